"""What a PDF's seal says of it, line by line. Imported by the worker only.

Reads strangers' files: whatever a parser raises becomes "unreadable", and the worker bounds time and memory. A file is
looked at as it is first; when it cannot be read, or shows no seal, its earlier revisions are, because junk behind the
end and a removed seal must be named and not merely fail.
"""

# mypy: allow-untyped-calls, no-warn-return-any
# asn1crypto and parts of pyHanko carry no types.

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime
from io import BytesIO

from asn1crypto import cms, crl, tsp
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import DiffResult
from pyhanko.sign.general import find_unique_cms_attribute
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko.sign.validation.generic_cms import validate_tst_signed_data
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.status import PdfSignatureStatus, SignatureCoverageLevel, TimestampSignatureStatus

from integrations.trust.certificates import leads_to_a_root, lists, revoked_since, trusting
from integrations.trust.checks import unread
from integrations.trust.exactness import as_signed
from integrations.trust.longterm import Lasting, Roots, contents_fill_their_gap, exact, lasting, token_of
from integrations.trust.services import Anchors
from integrations.trust.timestamps import POLICY
from router.ports import Check, Inspection

END = b"%%EOF"
MOST_REVISIONS = 4  # looked back at, so that a file of nothing but end marks costs little


def inspect(pdf: bytes, anchors: Anchors, crls: Sequence[bytes] = ()) -> Inspection:
    """Never raises. Nobody but the `anchors` is trusted, nothing is fetched. `crls` are our issuers' current lists."""
    code = "no-seal"
    for revision in _revisions(pdf):
        try:
            seal = _seal(revision)
            if seal is not None:
                return asyncio.run(_judged(seal, pdf, revision, Roots.of(anchors), lists(crls)))
        except Exception:
            code = "unreadable"
    return unread(code)


def inspect_stamp(token: bytes, digest: bytes, anchors: Anchors) -> Check:
    """What a timestamp says of a SHA-256. Never raises."""
    try:
        return asyncio.run(_stamp_judged(token, digest, Roots.of(anchors)))
    except Exception:
        return Check("time", False, {"code": "unreadable"})


async def _stamp_judged(token: bytes, digest: bytes, roots: Roots) -> Check:
    content = cms.ContentInfo.load(token, strict=True)
    info = content["content"]["encap_content_info"]["content"].parsed
    imprint, at = info["message_imprint"], info["gen_time"].native
    detail = {"time": _iso(at), "source": _source(info), "serial": str(info["serial_number"].native)}
    status = await validate_tst_signed_data(
        content["content"], trusting(roots.time, at), lambda algorithm: digest if algorithm == "sha256" else b""
    )
    ours = imprint["hash_algorithm"]["algorithm"].native == "sha256" and imprint["hashed_message"].native == digest
    if not (ours and status["intact"] and status["valid"]):
        return Check("time", False, {"code": "mismatch", **detail})
    if not leads_to_a_root(status):
        return Check("time", False, {"code": "no-chain", **detail})
    if _source(info) == "internal" and not as_signed(token, roots.seal):
        return Check("time", False, {"code": "not-as-signed", **detail})
    return Check("time", True, {"code": "stamped", **detail})


def _revisions(pdf: bytes) -> Iterator[bytes]:
    """The file, then what ends at its last end marks, the longest first."""
    yield pdf
    end = len(pdf)
    for _ in range(MOST_REVISIONS):
        mark = pdf.rfind(END, 0, end)
        if mark < 0:
            return
        end = mark
        after = mark + len(END)
        for line_end in (b"\r\n", b"\n", b"\r"):
            if pdf.startswith(line_end, after):
                after += len(line_end)
                break
        if after < len(pdf):
            yield pdf[:after]


def _seal(revision: bytes) -> EmbeddedPdfSignature | None:
    """The first signature of the file: a certifying seal can be no other."""
    signatures = PdfFileReader(BytesIO(revision)).embedded_regular_signatures
    return signatures[0] if signatures else None


async def _judged(
    seal: EmbeddedPdfSignature, pdf: bytes, revision: bytes, roots: Roots, crls: Sequence[crl.CertificateList]
) -> Inspection:
    proof = await _proof(pdf, seal, roots, crls) if len(revision) == len(pdf) else None
    # What has been proven since then is judged as of then. Two contexts: in one, the seal's chain could be mended by
    # the certificates that came with the timestamp.
    moment = proof.since if proof else None
    status = await async_validate_pdf_signature(
        seal,
        signer_validation_context=trusting(roots.seal, moment),
        ts_validation_context=trusting(roots.time, moment),
        skip_diff=proof is not None,  # the proof holds only when nothing but archiving came after the seal
    )
    integrity = _integrity(seal, status, revision, to_the_letter=_to_the_letter(seal, status, roots, proof))
    time = _time(seal, status.timestamp_validity, crls)
    unchanged = _unchanged(seal, status, pdf, revision, proof)
    trust = _trust(status, roots, _revoked(seal, time, crls))
    checks = [integrity, unchanged, _signer(status), trust, time]
    return Inspection(sealed=True, checks=[*checks, _level(seal, integrity, trust, time, proof)])


async def _proof(
    pdf: bytes, seal: EmbeddedPdfSignature, roots: Roots, crls: Sequence[crl.CertificateList]
) -> Lasting | None:
    try:
        proof = await lasting(pdf, seal, roots)
    except Exception:
        return None  # whatever was added to the seal, it is no archive of ours
    return None if proof and revoked_since(proof.last.signer_cert, crls) else proof


def _revoked(seal: EmbeddedPdfSignature, time: Check, crls: Sequence[crl.CertificateList]) -> bool:
    """Whether the seal's certificate was revoked when it sealed, or we cannot tell because no timestamp holds."""
    since = revoked_since(seal.signer_cert, crls)
    return since is not None and (not time.holds or datetime.fromisoformat(time.detail["time"]) >= since)


def _to_the_letter(
    seal: EmbeddedPdfSignature, status: PdfSignatureStatus, roots: Roots, proof: Lasting | None
) -> bool:
    """Whether what no signature covers is as we write it: in our own seal, and in the last timestamp over it. What
    others write in theirs we cannot know; the timestamps before the last one are covered by it."""
    ours = status.validation_path is not None and status.validation_path.first.sha256 in _house(roots)
    if proof is not None:
        last = proof.last
        return _source(token_of(last)) != "internal" or as_signed(exact(last.pkcs7_content), roots.seal)
    stamp = status.timestamp_validity
    strange = stamp is not None and not stamp.trusted  # the line about time says so
    return not ours or strange or as_signed(exact(seal.pkcs7_content), roots.seal)


def _integrity(
    seal: EmbeddedPdfSignature, status: PdfSignatureStatus, revision: bytes, *, to_the_letter: bool
) -> Check:
    code = ""
    if not status.intact:
        code = "digest-mismatch"
    elif not status.valid:
        code = "signature-mismatch"
    elif status.coverage < SignatureCoverageLevel.ENTIRE_REVISION or not contents_fill_their_gap(seal, revision):
        code = "not-all-covered"
    elif not to_the_letter:
        code = "not-as-signed"
    return Check("integrity", not code, {"code": code or "intact", "digest": status.md_algorithm})


def _unchanged(
    seal: EmbeddedPdfSignature, status: PdfSignatureStatus, pdf: bytes, revision: bytes, proof: Lasting | None
) -> Check:
    after = len(pdf) - int(seal.byte_range[-2]) - int(seal.byte_range[-1])
    whole = after == 0 and status.coverage == SignatureCoverageLevel.ENTIRE_FILE
    if proof and not whole:
        return Check("revisions", True, {"code": "archived-after", "bytes_after": str(after)})
    detail = {"code": "nothing-after" if whole else "changed-after", "bytes_after": str(after)}
    if not whole:
        difference = status.diff_result
        detail["change"] = difference.modification_level.name.lower() if isinstance(difference, DiffResult) else "other"
        if len(revision) < len(pdf):
            detail["change"] = "not-a-revision"  # what follows cannot be read as one, or hides the seal
    return Check("revisions", whole, detail)


def _signer(status: PdfSignatureStatus) -> Check:
    certificate = status.signing_cert
    subject = certificate.subject.native
    return Check(
        "signer",
        bool(status.valid),
        {
            "code": "signed-by" if status.valid else "signature-mismatch",
            "organization": _text(subject.get("organization_name")),
            "common_name": _text(subject.get("common_name")),
            "serial": format(certificate.serial_number, "x"),
            "sha256": certificate.sha256.hex(),
        },
    )


def _trust(status: PdfSignatureStatus, roots: Roots, revoked: bool) -> Check:
    problem = status.trust_problem_indic
    path = status.validation_path if status.valid and problem is None else None
    foreign = path is not None and roots.own is not None and path.first.sha256 not in _house(roots)
    if foreign and roots.own is not None and status.signing_cert.sha256 != roots.own.sha256:
        path = None  # under the same root as our own seal, but somebody else's
    holds = path is not None and not revoked
    code = "our-root" if holds else "signature-mismatch" if not status.valid else _slug(problem)
    code = "revoked" if path is not None and revoked else "own-seal" if holds and foreign else code
    detail = {"code": code, "valid_until": _iso(status.signing_cert.not_valid_after)}
    if path is not None:
        detail["root_sha256"] = path.first.sha256.hex()
    return Check("trust", holds, detail)


def _house(roots: Roots) -> set[bytes]:
    """Our own roots: those under which seal and timestamps may both stand."""
    return {one.sha256 for one in roots.seal} & {one.sha256 for one in roots.time}


def _time(
    seal: EmbeddedPdfSignature, stamp: TimestampSignatureStatus | None, crls: Sequence[crl.CertificateList]
) -> Check:
    """The source is "internal" for our own authority's tokens: form and order, no independence."""
    if stamp is None:
        return Check("time", False, {"code": "no-timestamp"})
    holds = bool(stamp.intact and stamp.valid and stamp.trusted)
    matches = stamp.intact and stamp.valid
    code = "stamped" if holds else _slug(stamp.trust_problem_indic) if matches else "mismatch"
    if holds and revoked_since(stamp.signing_cert, crls):
        holds, code = False, "revoked"
    token = _token(seal)
    return Check(
        "time",
        holds,
        {
            "code": code,
            "time": _iso(stamp.timestamp),
            "source": _source(token),
            "serial": str(token["serial_number"].native),
            "authority": _text(stamp.signing_cert.subject.native.get("common_name")),
        },
    )


def _token(seal: EmbeddedPdfSignature) -> tsp.TSTInfo:
    token = find_unique_cms_attribute(seal.signer_info["unsigned_attrs"], "signature_time_stamp_token")
    return token["content"]["encap_content_info"]["content"].parsed


def _level(
    seal: EmbeddedPdfSignature, integrity: Check, trust: Check, time: Check, proof: Lasting | None
) -> Check:
    """The level really reached: basic, with time, or lasting. It counts only for an intact seal in the PAdES form."""
    if seal.sig_object.get("/SubFilter") != "/ETSI.CAdES.detached":
        return Check("level", False, {"code": "other-form", "level": ""})
    if proof and integrity.holds and trust.holds and time.holds:
        token = token_of(proof.last)
        return Check(
            "level",
            True,
            {
                "code": "lasting",
                "level": "PAdES B-LTA",
                "time": _iso(token["gen_time"].native),
                "source": _source(token),
                "until": _iso(proof.until),
            },
        )
    level = "PAdES B-T" if time.holds else "PAdES B-B"
    reached = integrity.holds and time.holds
    return Check("level", reached, {"code": "reached" if reached else "not-reached", "level": level})


def _source(token: tsp.TSTInfo) -> str:
    return "internal" if token["policy"].native == POLICY else "external"


def _slug(problem: object) -> str:
    return str(getattr(problem, "name", None) or "no-chain").lower().replace("_", "-")


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    return "" if value is None else str(value)


def _iso(moment: object) -> str:
    return str(getattr(moment, "isoformat", lambda: "")())
