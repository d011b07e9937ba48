"""Who has signed after the seal, as a line of an inspection. Imported by the reading worker only."""

# mypy: allow-untyped-calls, no-warn-return-any
# asn1crypto and parts of pyHanko carry no types.

from collections.abc import Sequence

from asn1crypto import crl
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.status import PdfSignatureStatus, SignatureCoverageLevel

from integrations.trust.certificates import revoked_since
from integrations.trust.details import iso, source_of, stamp_of, text_of
from integrations.trust.exactness import as_signed
from integrations.trust.longterm import (
    Added,
    Lasting,
    Roots,
    exact,
    is_good,
    is_house,
    leads_to_us,
    status_of,
    token_of,
)
from router.ports import Check

NAME = "countersignature"


async def countersignature(
    seal: EmbeddedPdfSignature, found: Added | None, proof: Lasting | None, roots: Roots,
    crls: Sequence[crl.CertificateList],
) -> Check | None:
    """Whether the signature after the seal is the company's: who countersigned, when, and as what. None when nobody has
    signed after it. Never raises."""
    later = [one for one in seal.reader.embedded_regular_signatures if one.signed_revision > seal.signed_revision]
    if not later:
        return None
    try:
        return await _judged(later[0], found if proof else None, roots, crls)
    except Exception:
        return Check(NAME, False, {"code": "unreadable"})


async def _judged(
    one: EmbeddedPdfSignature, proven: Added | None, roots: Roots, crls: Sequence[crl.CertificateList]
) -> Check:
    """As of the timestamp over it, where the file is `proven` by its timestamps; as of today else."""
    over = proven.stamp_over(one) if proven else None
    status = await status_of(one, roots, token_of(over)["gen_time"].native if over is not None else None)
    code, stamp = _code(status, roots), status.timestamp_validity
    since = revoked_since(one.signer_cert, crls)
    if code == "countersigned" and since is not None and (stamp is None or stamp.timestamp >= since):
        code = "revoked"
    if code == "countersigned" and over is None and is_house(status, roots):
        code = code if as_signed(exact(one.pkcs7_content), roots.seal) else "not-as-signed"
    form = one.sig_object.get("/SubFilter") == "/ETSI.CAdES.detached"
    subject = status.signing_cert.subject.native
    return Check(
        NAME,
        code == "countersigned" and form,
        {
            "code": code if form else "other-form",
            "name": text_of(one.sig_object.get("/Name")),
            "reason": text_of(one.sig_object.get("/Reason")),
            "organization": text_of(subject.get("organization_name")),
            "common_name": text_of(subject.get("common_name")),
            "time": iso(stamp.timestamp) if stamp is not None else "",
            "source": source_of(stamp_of(one)) if stamp is not None else "",
            "authority": text_of(stamp.signing_cert.subject.native.get("common_name")) if stamp is not None else "",
            "level": "PAdES B-LTA" if over is not None else "PAdES B-T" if stamp is not None else "PAdES B-B",
        },
    )


def _code(status: PdfSignatureStatus, roots: Roots) -> str:
    if not status.intact or not status.valid:
        return "mismatch"
    if status.coverage < SignatureCoverageLevel.ENTIRE_REVISION:
        return "not-all-covered"
    if not leads_to_us(status, roots):
        return "not-the-company's"
    return "countersigned" if is_good(status, roots) else "no-timestamp"
