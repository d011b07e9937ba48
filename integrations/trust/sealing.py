"""The company's seal on a PDF: PAdES B-T, certifying, with the evidence attached. Imported by the worker only.

Everything is appended: the bytes given are the first bytes of the result, so whoever has the offer can find it there.
DocMDP permission 2, because readers take the later additions of long-term validation for a breach of permission 1.
"""

# mypy: allow-untyped-calls, no-warn-return-any
# asn1crypto and parts of pyHanko carry no types.

import asyncio
from datetime import UTC, datetime
from io import BytesIO

from asn1crypto import keys as asn1_keys
from asn1crypto import pem, x509
from cryptography import x509 as pyca
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pyhanko.pdf_utils import embed, generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner, SimpleSigner
from pyhanko_certvalidator.registry import SimpleCertificateStore

from integrations.trust.timestamps import EmbeddedTimestamper
from router.ports import Refused, Sealed, SealKeys, SealOrder

FIELD = "Seal"
EVIDENCE = "evidence.json"


def seal(order: SealOrder) -> Sealed:
    """Raises Refused: for good when PDF, keys or serial do not fit, for now when a certificate is not valid today."""
    if order.timestamp_serial < 1:
        raise Refused("a timestamp's serial is a positive number", permanent=True, code="bad-serial")
    _fit(order.keys.seal_certificate, order.keys.seal_key)
    stamp_key = _fit(order.keys.timestamp_certificate, order.keys.timestamp_key)
    try:
        pdf = asyncio.run(_signed(order, stamp_key))
    except Exception as error:
        # The sentence of a parser may quote the document: only the kind of the fault leaves this room.
        kind = type(error).__name__
        raise Refused(f"the PDF cannot be sealed ({kind})", permanent=True, code="unsealable") from error
    if not pdf.startswith(order.pdf):
        raise Refused("sealing would not keep the document's bytes", permanent=True, code="bytes-changed")
    return Sealed(pdf=pdf, level="PAdES B-T", time_source="internal")


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


async def _signed(order: SealOrder, stamp_key: ec.EllipticCurvePrivateKey) -> bytes:
    writer = IncrementalPdfFileWriter(BytesIO(order.pdf))
    _attach(writer, order.evidence)
    metadata = PdfSignatureMetadata(
        field_name=FIELD,
        md_algorithm="sha256",
        subfilter=SigSeedSubFilter.PADES,
        certify=True,
        docmdp_permissions=MDPPerm.FILL_FORMS,
        reason=order.reason or None,
        location=order.location or None,
    )
    issuing = _certificate(order.keys.issuing_certificate)
    stamper = EmbeddedTimestamper(
        (_certificate(order.keys.timestamp_certificate), issuing), stamp_key, serial=order.timestamp_serial
    )
    signer = PdfSigner(metadata, signer=_signer(order.keys, issuing), timestamper=stamper)
    result = await signer.async_sign_pdf(writer)
    return bytes(result.getbuffer())


def _attach(writer: IncrementalPdfFileWriter, evidence: bytes) -> None:
    # The MD5 checksum the format offers is left out: the seal covers the file, and hardened systems have no MD5.
    params = embed.EmbeddedFileParams(embed_checksum=False, modification_date=datetime.now(UTC))
    stream = embed.EmbeddedFileObject.from_file_data(writer, evidence, params=params, mime_type="application/json")
    spec = embed.FileSpec(
        EVIDENCE, file_name=EVIDENCE, embedded_data=stream, af_relationship=generic.pdf_name("/Data")
    )
    embed.embed_file(writer, spec)


def _signer(keys: SealKeys, issuing: x509.Certificate) -> SimpleSigner:
    registry = SimpleCertificateStore()
    registry.register(issuing)
    return SimpleSigner(
        signing_cert=_certificate(keys.seal_certificate),
        signing_key=asn1_keys.PrivateKeyInfo.load(_der(keys.seal_key)),
        cert_registry=registry,
        embed_roots=False,
    )


def _certificate(data: bytes) -> x509.Certificate:
    return x509.Certificate.load(_der(data))


def _der(data: bytes) -> bytes:
    _, _, der = pem.unarmor(data)
    return bytes(der)
