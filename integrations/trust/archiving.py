"""Makes a sealed file outlast its certificates: PAdES B-LTA, and again before its last timestamp's certificate expires.

One revision is added, with the certificates and the lists of revoked ones known today, and a timestamp over all of it.
The result is looked at as anyone would later: what is not proven then is not called archived. Imported by its worker
only.
"""

# mypy: allow-untyped-calls, no-warn-return-any
# asn1crypto and parts of pyHanko carry no types.

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from io import BytesIO

from asn1crypto import cms, crl, ocsp, x509
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.general import extract_certificate_info
from pyhanko.sign.signers.pdf_signer import PdfTimeStamper
from pyhanko.sign.timestamps import TimeStamper
from pyhanko.sign.timestamps.common_utils import TimestampRequestError
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko.sign.validation.generic_cms import extract_tst_data_iter
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko_certvalidator import CertificateValidator, ValidationContext

from integrations.trust.certificates import certificate, lists
from integrations.trust.longterm import Roots, added, lasting
from integrations.trust.outside import OutsideTimestamper, asked, leave_alone
from integrations.trust.sealing import PlainWriter, own_stamper
from integrations.trust.services import Anchors, OutsideTime
from integrations.trust.timestamps import EmbeddedTimestamper
from router.ports import NO_TIME, Archived, ArchiveOrder, Refused, Stamps

LEVEL = "PAdES B-LTA"
OUTSIDE_SECONDS = 20.0
FETCH_SECONDS = 15.0


def archive(order: ArchiveOrder, anchors: Anchors, time: OutsideTime | None = None) -> Archived:
    """Raises Refused: for good when this is no seal that could be proven later, for now when the timestamp that is
    wanted, or a foreign issuer's list, is not to be had."""
    own = own_stamper(order)
    try:
        return asyncio.run(_archived(order, Roots.of(anchors), time, own))
    except Refused:
        raise
    except Exception as error:
        # The sentence of a parser may quote the document: only the kind of the fault leaves this room.
        kind = type(error).__name__
        raise Refused(f"the PDF cannot be archived ({kind})", permanent=True, code="unarchivable") from error


async def _archived(
    order: ArchiveOrder, roots: Roots, time: OutsideTime | None, own: EmbeddedTimestamper
) -> Archived:
    for stamper in asked(order.time, time if order.stamps is not Stamps.own else None, OUTSIDE_SECONDS):
        try:
            return await _proven(await _stamped(order, stamper, roots), order, roots, "external")
        except TimestampRequestError:
            leave_alone(stamper)
    if order.stamps is Stamps.outside or order.time is not None:
        raise Refused("no timestamp authority outside answers", permanent=False, code=NO_TIME)
    return await _proven(await _stamped(order, own, roots), order, roots, "internal")


async def _proven(pdf: bytes, order: ArchiveOrder, roots: Roots, source: str) -> Archived:
    if not pdf.startswith(order.pdf):
        raise Refused("archiving would not keep the document's bytes", permanent=True, code="bytes-changed")
    seal = PdfFileReader(BytesIO(pdf)).embedded_regular_signatures[0]
    proof = await lasting(pdf, seal, added(pdf, seal), roots)
    if proof is None:
        raise Refused("the archived PDF would prove nothing", permanent=True, code="not-provable")
    return Archived(pdf=pdf, level=LEVEL, time_source=source, until=proof.until)


async def _stamped(order: ArchiveOrder, stamper: TimeStamper, roots: Roots) -> bytes:
    writer = PlainWriter(BytesIO(order.pdf))
    reader = writer.prev
    signed = [data for one in reader.embedded_regular_signatures for data in _signed_data(one)]
    signed += [one.signed_data for one in reader.embedded_timestamp_signatures]
    if isinstance(stamper, OutsideTimestamper):
        signed.append((await stamper.async_dummy_response("sha256"))["content"])
    known = await _known(signed, lists(order.crls), roots)
    house = [certificate(order.keys.root_certificate), certificate(order.keys.issuing_certificate)]
    DocumentSecurityStore.supply_dss_in_writer(
        writer, None, certs=[*house, *known.certificates], crls=known.crls, ocsps=known.ocsps
    )
    field = f"Archive{len(list(reader.embedded_timestamp_signatures)) + 1}"
    result = await PdfTimeStamper(stamper, field_name=field).async_timestamp_pdf(writer, "sha256")
    return bytes(result.getbuffer())


def _signed_data(seal: EmbeddedPdfSignature) -> Iterator[cms.SignedData]:
    yield seal.signed_data
    yield from extract_tst_data_iter(seal.signer_info, signed=False)


@dataclass
class _Known:
    """What later readers need: certificates, and what their issuers say of them today."""

    certificates: list[x509.Certificate]
    crls: list[crl.CertificateList]
    ocsps: list[ocsp.OCSPResponse]


async def _known(signed: Sequence[cms.SignedData], own: list[crl.CertificateList], roots: Roots) -> _Known:
    """Our own issuers' lists are at hand; those of others are fetched where their certificates say. Raises Refused."""
    known, ours = _Known([], [*own], []), {one.issuer.hashable for one in own}
    for one in signed:
        info = extract_certificate_info(one)
        known.certificates += [info.signer_cert, *info.other_certs]
        if info.signer_cert.issuer.hashable not in ours:
            asked = ValidationContext(
                trust_roots=[*roots.seal, *roots.time], allow_fetching=True, revocation_mode="hard-fail"
            )
            try:
                async with asyncio.timeout(FETCH_SECONDS), aclosing(asked):
                    await CertificateValidator(
                        info.signer_cert, intermediate_certs=info.other_certs, validation_context=asked
                    ).async_validate_usage(set())
            except Exception as error:
                kind = type(error).__name__
                sentence = f"a foreign certificate's state is not to be had ({kind})"
                raise Refused(sentence, permanent=False, code="no-revocation") from error
            known.crls += asked.crls
            known.ocsps += asked.ocsps
    return known
