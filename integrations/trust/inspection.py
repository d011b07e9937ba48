"""What a PDF's seal says of it, line by line. Imported by the worker only.

Reads strangers' files: whatever a parser raises becomes "unreadable", and the worker bounds time and memory. A file is
looked at as it is first; when it cannot be read, or shows no seal, its earlier revisions are, because junk behind the
end and a removed seal must be named and not merely fail.
"""

# mypy: allow-untyped-calls, no-warn-return-any
# asn1crypto and parts of pyHanko carry no types.

import asyncio
from collections.abc import Iterator
from io import BytesIO

from asn1crypto import parser, pem, tsp, x509
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import DiffResult
from pyhanko.sign.general import find_unique_cms_attribute
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.status import PdfSignatureStatus, SignatureCoverageLevel, TimestampSignatureStatus
from pyhanko_certvalidator import ValidationContext

from integrations.trust.checks import unread
from integrations.trust.timestamps import POLICY
from router.ports import Check, Inspection

END = b"%%EOF"
MOST_REVISIONS = 4  # looked back at, so that a file of nothing but end marks costs little


def inspect(pdf: bytes, root_certificate: bytes) -> Inspection:
    """Never raises. `root_certificate`: PEM of the only root that is trusted; nothing is fetched."""
    code = "no-seal"
    for revision in _revisions(pdf):
        try:
            seal = _seal(revision)
            if seal is not None:
                return asyncio.run(_judged(seal, pdf, revision, root_certificate))
        except Exception:
            code = "unreadable"
    return unread(code)


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


async def _judged(seal: EmbeddedPdfSignature, pdf: bytes, revision: bytes, root_certificate: bytes) -> Inspection:
    # Two contexts: in one, the seal's chain could be mended by the certificates that came with the timestamp.
    status = await async_validate_pdf_signature(
        seal,
        signer_validation_context=_trusting(root_certificate),
        ts_validation_context=_trusting(root_certificate),
    )
    integrity = _integrity(seal, status, revision)
    time = _time(seal, status.timestamp_validity)
    checks = [integrity, _unchanged(seal, status, pdf, revision), _signer(status), _trust(status), time]
    return Inspection(sealed=True, checks=[*checks, _level(seal, integrity, time)])


def _trusting(root_certificate: bytes) -> ValidationContext:
    _, _, root = pem.unarmor(root_certificate)
    return ValidationContext(trust_roots=[x509.Certificate.load(root)], allow_fetching=False)


def _integrity(seal: EmbeddedPdfSignature, status: PdfSignatureStatus, revision: bytes) -> Check:
    code = ""
    if not status.intact:
        code = "digest-mismatch"
    elif not status.valid:
        code = "signature-mismatch"
    elif status.coverage < SignatureCoverageLevel.ENTIRE_REVISION or not _gap_is_the_seal(seal, revision):
        code = "not-all-covered"
    return Check("integrity", not code, {"code": code or "intact", "digest": status.md_algorithm})


def _gap_is_the_seal(seal: EmbeddedPdfSignature, revision: bytes) -> bool:
    """What the seal leaves out of itself is the signature in hexadecimal, padded by zeros, and nothing else."""
    ranges = [int(number) for number in seal.byte_range]
    if len(ranges) != 4 or ranges[0] != 0:
        return False
    digits = seal.pkcs7_content.hex().encode()
    gap = revision[ranges[1] : ranges[2]]
    if gap not in (b"<" + digits + b">", b"<" + digits.upper() + b">"):
        return False
    length = parser.peek(seal.pkcs7_content)
    return not any(seal.pkcs7_content[length:])


def _unchanged(seal: EmbeddedPdfSignature, status: PdfSignatureStatus, pdf: bytes, revision: bytes) -> Check:
    after = len(pdf) - int(seal.byte_range[-2]) - int(seal.byte_range[-1])
    whole = after == 0 and status.coverage == SignatureCoverageLevel.ENTIRE_FILE
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


def _trust(status: PdfSignatureStatus) -> Check:
    problem = status.trust_problem_indic
    path = status.validation_path if status.valid and problem is None else None
    holds = path is not None
    code = "our-root" if holds else "signature-mismatch" if not status.valid else _slug(problem)
    detail = {"code": code, "valid_until": _iso(status.signing_cert.not_valid_after)}
    if path is not None:
        detail["root_sha256"] = path.first.sha256.hex()
    return Check("trust", holds, detail)


def _time(seal: EmbeddedPdfSignature, stamp: TimestampSignatureStatus | None) -> Check:
    """The source is "internal" for our own authority's tokens: form and order, no independence."""
    if stamp is None:
        return Check("time", False, {"code": "no-timestamp"})
    holds = bool(stamp.intact and stamp.valid and stamp.trusted)
    matches = stamp.intact and stamp.valid
    code = "stamped" if holds else _slug(stamp.trust_problem_indic) if matches else "mismatch"
    token = _token(seal)
    return Check(
        "time",
        holds,
        {
            "code": code,
            "time": _iso(stamp.timestamp),
            "source": "internal" if token["policy"].native == POLICY else "external",
            "serial": str(token["serial_number"].native),
            "authority": _text(stamp.signing_cert.subject.native.get("common_name")),
        },
    )


def _token(seal: EmbeddedPdfSignature) -> tsp.TSTInfo:
    token = find_unique_cms_attribute(seal.signer_info["unsigned_attrs"], "signature_time_stamp_token")
    return token["content"]["encap_content_info"]["content"].parsed


def _level(seal: EmbeddedPdfSignature, integrity: Check, time: Check) -> Check:
    """The level really reached: basic, or with time. A level counts only for an intact seal in the PAdES form."""
    if seal.sig_object.get("/SubFilter") != "/ETSI.CAdES.detached":
        return Check("level", False, {"code": "other-form", "level": ""})
    level = "PAdES B-T" if time.holds else "PAdES B-B"
    reached = integrity.holds and time.holds
    return Check("level", reached, {"code": "reached" if reached else "not-reached", "level": level})


def _slug(problem: object) -> str:
    return str(getattr(problem, "name", None) or "no-chain").lower().replace("_", "-")


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    return "" if value is None else str(value)


def _iso(moment: object) -> str:
    return str(getattr(moment, "isoformat", lambda: "")())
