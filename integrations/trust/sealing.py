"""The company's seal on a PDF: PAdES B-T, certifying, with the evidence attached; and its countersignature on what was
sealed, a second signature that approves. Imported by the worker only.

Everything is appended: the bytes given are the first bytes of the result, so whoever has the offer can find it there.
DocMDP permission 2, because readers take the later additions of long-term validation for a breach of permission 1.
"""

# mypy: allow-untyped-calls, no-warn-return-any
# asn1crypto and parts of pyHanko carry no types.

import asyncio
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

from asn1crypto import cms
from asn1crypto import keys as asn1_keys
from cryptography import x509 as pyca
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pyhanko.pdf_utils import embed, generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner, Signer, SimpleSigner
from pyhanko.sign.timestamps import TimeStamper
from pyhanko.sign.timestamps.common_utils import TimestampRequestError
from pyhanko_certvalidator.registry import SimpleCertificateStore

from integrations.trust.certificates import certificate, der
from integrations.trust.outside import asked, leave_alone
from integrations.trust.own_seal import own_signer
from integrations.trust.services import OutsideTime, OwnSeal
from integrations.trust.timestamps import EmbeddedTimestamper
from router.ports import (
    NO_TIME,
    ArchiveOrder,
    CountersignOrder,
    Refused,
    Sealed,
    SealKeys,
    SealOrder,
    Stamped,
    StampOrder,
)

FIELD = "Seal"
COUNTERSIGNATURE = "Countersignature"
EVIDENCE = "evidence.json"
OUTSIDE_SECONDS = 4.0
"""After so long a seal begins with no further authority outside: with the one it waits for then, nine seconds are the
most, and a seal's lease is fifteen."""


def seal(
    order: SealOrder | CountersignOrder, time: OutsideTime | None = None, own: OwnSeal | None = None
) -> Sealed:
    """Raises Refused: for good when PDF, keys or serial do not fit, for now when a certificate is not valid today.

    When no authority outside gives a timestamp, our own does, and the result says so. But not in the place of one that
    was chosen: that is Refused for now.
    """
    if order.timestamp_serial < 1:
        raise Refused("a timestamp's serial is a positive number", permanent=True, code="bad-serial")
    signer = own_signer(own) if own else _house_signer(order.keys)
    stamper = own_stamper(order)
    try:
        pdf, by = asyncio.run(_signed(order, time, signer, stamper))
    except Refused:
        raise
    except Exception as error:
        # The sentence of a parser may quote the document: only the kind of the fault leaves this room.
        kind = type(error).__name__
        raise Refused(f"the PDF cannot be sealed ({kind})", permanent=True, code="unsealable") from error
    if not pdf.startswith(order.pdf):
        raise Refused("sealing would not keep the document's bytes", permanent=True, code="bytes-changed")
    return Sealed(
        pdf=pdf, level="PAdES B-T", time_source="external" if by else "internal", time_by=by,
        outside_due=time is not None and order.time is None and not by,
        until=signer.signing_cert.not_valid_after if signer.signing_cert is not None else None,
    )


def stamp(order: StampOrder, time: OutsideTime | None = None) -> Stamped:
    """A timestamp on a digest, by whom seals are stamped. Raises Refused, as `seal` does."""
    own = own_stamper(order)
    try:
        return asyncio.run(_stamped(order, time, own))
    except Exception as error:
        kind = type(error).__name__
        raise Refused(f"the digest cannot be stamped ({kind})", permanent=True, code="unstampable") from error


async def _stamped(order: StampOrder, time: OutsideTime | None, own: EmbeddedTimestamper) -> Stamped:
    for stamper in asked(None, time if time and time.first else None, OUTSIDE_SECONDS):
        try:
            return _told(await stamper.async_timestamp(order.digest, "sha256"), "external")
        except TimestampRequestError:
            leave_alone(stamper)
    return _told(await own.async_timestamp(order.digest, "sha256"), "internal")


def _told(token: cms.ContentInfo, source: str) -> Stamped:
    info = token["content"]["encap_content_info"]["content"].parsed
    return Stamped(token=token.dump(), time_source=source, at=info["gen_time"].native)


def _fit(certificate_pem: bytes, key_pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        certificate = pyca.load_pem_x509_certificate(certificate_pem)
        key = serialization.load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Refused("the sealing keys cannot be read", permanent=True, code="bad-keys") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise Refused("key and certificate do not belong together", permanent=True, code="bad-keys")
    if not certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc:
        raise Refused("the sealing certificate is not valid today", permanent=False, code="certificate-expired")
    return key


def own_stamper(order: SealOrder | CountersignOrder | ArchiveOrder | StampOrder) -> EmbeddedTimestamper:
    """Our own timestamp authority, for the one token whose serial the order gives. Raises Refused."""
    key = _fit(order.keys.timestamp_certificate, order.keys.timestamp_key)
    chain = (certificate(order.keys.timestamp_certificate), certificate(order.keys.issuing_certificate))
    serial = order.serial if isinstance(order, StampOrder) else order.timestamp_serial
    return EmbeddedTimestamper(chain, key, serial=serial)


async def _signed(
    order: SealOrder | CountersignOrder, time: OutsideTime | None, signer: Signer, own: EmbeddedTimestamper
) -> tuple[bytes, str]:
    """The sealed document, and the host of who gave the time; "" for our own authority."""
    for stamper in asked(order.time, time if time and time.first else None, OUTSIDE_SECONDS):
        try:
            return await _signed_with(order, signer, stamper), stamper.host
        except TimestampRequestError:
            leave_alone(stamper)
    if order.time is not None:
        raise Refused("the chosen authority gives no timestamp", permanent=False, code=NO_TIME)
    return await _signed_with(order, signer, own), ""


async def _signed_with(order: SealOrder | CountersignOrder, signer: Signer, stamper: TimeStamper) -> bytes:
    common: dict[str, Any] = {
        "md_algorithm": "sha256", "subfilter": SigSeedSubFilter.PADES, "reason": order.reason or None,
        "location": order.location or None,
    }  # fmt: skip
    if isinstance(order, CountersignOrder):
        writer: IncrementalPdfFileWriter = PlainWriter(BytesIO(order.pdf))
        metadata = PdfSignatureMetadata(field_name=COUNTERSIGNATURE, name=order.name, **common)
    else:
        writer = IncrementalPdfFileWriter(BytesIO(order.pdf))
        _attach(writer, order.evidence)
        metadata = PdfSignatureMetadata(
            field_name=FIELD, certify=True, docmdp_permissions=MDPPerm.FILL_FORMS, **common
        )
    result = await PdfSigner(metadata, signer=signer, timestamper=stamper).async_sign_pdf(writer)
    return bytes(result.getbuffer())


class PlainWriter(IncrementalPdfFileWriter):
    """Leaves title and date of change as they are: a later reader need not ask whether they were changed by others."""

    def _update_meta(self) -> None: ...


def _attach(writer: IncrementalPdfFileWriter, evidence: bytes) -> None:
    # The MD5 checksum the format offers is left out: the seal covers the file, and hardened systems have no MD5.
    params = embed.EmbeddedFileParams(embed_checksum=False, modification_date=datetime.now(UTC))
    stream = embed.EmbeddedFileObject.from_file_data(writer, evidence, params=params, mime_type="application/json")
    spec = embed.FileSpec(
        EVIDENCE, file_name=EVIDENCE, embedded_data=stream, af_relationship=generic.pdf_name("/Data")
    )
    embed.embed_file(writer, spec)


def _house_signer(keys: SealKeys) -> SimpleSigner:
    _fit(keys.seal_certificate, keys.seal_key)
    registry = SimpleCertificateStore()
    registry.register(certificate(keys.issuing_certificate))
    return SimpleSigner(
        signing_cert=certificate(keys.seal_certificate),
        signing_key=asn1_keys.PrivateKeyInfo.load(der(keys.seal_key)),
        cert_registry=registry,
        embed_roots=False,
    )
