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

from asn1crypto import cms, crl
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import DiffResult
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko.sign.validation.generic_cms import validate_tst_signed_data
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.status import PdfSignatureStatus, SignatureCoverageLevel, TimestampSignatureStatus

from integrations.trust.certificates import leads_to_a_root, lists, revoked_since, trusting
from integrations.trust.checks import unread
from integrations.trust.countersigned import countersignature
from integrations.trust.details import iso, source_of, stamp_of, text_of
from integrations.trust.exactness import as_signed
from integrations.trust.longterm import (
    Added,
    Lasting,
    Roots,
    added,
    contents_fill_their_gap,
    exact,
    is_house,
    is_retired,
    lasting,
    leads_to_us,
    stamp_holds,
    token_of,
)
from integrations.trust.services import Anchors
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
    detail = {"time": iso(at), "source": source_of(info), "serial": str(info["serial_number"].native)}
    status = await validate_tst_signed_data(
        content["content"], trusting(roots.time, at), lambda algorithm: digest if algorithm == "sha256" else b""
    )
    ours = imprint["hash_algorithm"]["algorithm"].native == "sha256" and imprint["hashed_message"].native == digest
    if not (ours and status["intact"] and status["valid"]):
        return Check("time", False, {"code": "mismatch", **detail})
    if not leads_to_a_root(status):
        return Check("time", False, {"code": "no-chain", **detail})
    if source_of(info) == "internal" and not as_signed(token, roots.seal):
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
    whole = len(revision) == len(pdf)
    found = _added(pdf, seal) if whole else None
    proof = await _proof(pdf, seal, found, roots, crls) if found else None
    # What has been proven since then is judged as of then. Two contexts: in one, the seal's chain could be mended by
    # the certificates that came with the timestamp.
    moment = proof.since if proof else None
    status = await async_validate_pdf_signature(
        seal,
        signer_validation_context=trusting(roots.seal, moment),
        ts_validation_context=trusting(roots.time, moment),
        skip_diff=proof is not None,  # the proof holds only when nothing but archiving came after the seal
    )
    counter = await countersignature(seal, found, proof, roots, crls)
    good = found is not None and (proof is not None or not found.stamps) and (counter is None or counter.holds)
    lawful = found if good else None
    integrity = _integrity(seal, status, revision, to_the_letter=_to_the_letter(seal, status, roots, lawful))
    time = _time(seal, status.timestamp_validity, crls)
    unchanged = _unchanged(seal, status, pdf, revision, lawful)
    trust = _trust(status, roots, _revoked(seal, time, crls))
    checks = [integrity, unchanged, _signer(status), trust, time]
    level = _level(seal, integrity, trust, time, proof)
    return Inspection(sealed=True, checks=[*checks, level, *([counter] if counter else [])])


def _added(pdf: bytes, seal: EmbeddedPdfSignature) -> Added | None:
    try:
        return added(pdf, seal)
    except Exception:
        return None  # whatever was added to the seal, it is nothing that we add


async def _proof(
    pdf: bytes, seal: EmbeddedPdfSignature, found: Added, roots: Roots, crls: Sequence[crl.CertificateList]
) -> Lasting | None:
    try:
        proof = await lasting(pdf, seal, found, roots)
    except Exception:
        return None  # whatever was added to the seal, it is no archive of ours
    return None if proof and revoked_since(proof.last.signer_cert, crls) else proof


def _revoked(seal: EmbeddedPdfSignature, time: Check, crls: Sequence[crl.CertificateList]) -> bool:
    """Whether the seal's certificate was revoked when it sealed, or we cannot tell because no timestamp holds."""
    since = revoked_since(seal.signer_cert, crls)
    return since is not None and (not time.holds or datetime.fromisoformat(time.detail["time"]) >= since)


def _to_the_letter(
    seal: EmbeddedPdfSignature, status: PdfSignatureStatus, roots: Roots, lawful: Added | None
) -> bool:
    """Whether what no signature covers is as we write it: in our own seal, or in the last timestamp over it. What
    others write in theirs we cannot know; what stands before the last one is covered by it. Of a countersignature that
    is the last one its own line says so."""
    ours = is_house(status, roots)
    if lawful is not None:
        last = lawful.signatures[-1]
        if last is lawful.countersignature or source_of(token_of(last)) != "internal":
            return True
        return as_signed(exact(last.pkcs7_content), roots.seal)
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
    seal: EmbeddedPdfSignature, status: PdfSignatureStatus, pdf: bytes, revision: bytes, lawful: Added | None
) -> Check:
    after = len(pdf) - int(seal.byte_range[-2]) - int(seal.byte_range[-1])
    whole = after == 0 and status.coverage == SignatureCoverageLevel.ENTIRE_FILE
    if lawful and not whole:
        code = "archived-after" if lawful.countersignature is None else "countersigned-after"
        code = "archived-and-countersigned-after" if lawful.countersignature and lawful.stamps else code
        return Check("revisions", True, {"code": code, "bytes_after": str(after)})
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
            "organization": text_of(subject.get("organization_name")),
            "common_name": text_of(subject.get("common_name")),
            "serial": format(certificate.serial_number, "x"),
            "sha256": certificate.sha256.hex(),
        },
    )


def _trust(status: PdfSignatureStatus, roots: Roots, revoked: bool) -> Check:
    problem = status.trust_problem_indic
    path = status.validation_path if leads_to_us(status, roots) else None
    foreign = path is not None and not is_house(status, roots)
    holds = path is not None and not revoked
    code = "our-root" if holds else "signature-mismatch" if not status.valid else _slug(problem)
    code = "revoked" if path is not None and revoked else "own-seal" if holds and foreign else code
    code = "retired" if status.valid and problem is None and path is None and is_retired(status, roots) else code
    detail = {"code": code, "valid_until": iso(status.signing_cert.not_valid_after)}
    if path is not None:
        detail["root_sha256"] = path.first.sha256.hex()
    return Check("trust", holds, detail)


def _time(
    seal: EmbeddedPdfSignature, stamp: TimestampSignatureStatus | None, crls: Sequence[crl.CertificateList]
) -> Check:
    """The source is "internal" for our own authority's tokens: form and order, no independence."""
    if stamp is None:
        return Check("time", False, {"code": "no-timestamp"})
    holds = stamp_holds(stamp)
    matches = stamp.intact and stamp.valid
    code = "stamped" if holds else _slug(stamp.trust_problem_indic) if matches else "mismatch"
    if holds and revoked_since(stamp.signing_cert, crls):
        holds, code = False, "revoked"
    token = stamp_of(seal)
    return Check(
        "time",
        holds,
        {
            "code": code,
            "time": iso(stamp.timestamp),
            "source": source_of(token),
            "serial": str(token["serial_number"].native),
            "authority": text_of(stamp.signing_cert.subject.native.get("common_name")),
        },
    )


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
                "time": iso(token["gen_time"].native),
                "source": source_of(token),
                "until": iso(proof.until),
            },
        )
    level = "PAdES B-T" if time.holds else "PAdES B-B"
    reached = integrity.holds and time.holds
    return Check("level", reached, {"code": "reached" if reached else "not-reached", "level": level})


def _slug(problem: object) -> str:
    return str(getattr(problem, "name", None) or "no-chain").lower().replace("_", "-")
