"""A sealed PDF taken apart for tools that are not ours: what its seal covers, and where in it everything stands.
Imported by the reading worker only; what raises here is no seal of ours."""

# mypy: allow-untyped-calls, no-warn-return-any
# asn1crypto and parts of pyHanko carry no types.

from collections.abc import Iterable, Sequence
from io import BytesIO

from asn1crypto import cms, pem, x509
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.general import find_unique_cms_attribute
from pyhanko.sign.validation.generic_cms import extract_tst_data_iter
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature

from integrations.trust.certificates import carried, certificates
from integrations.trust.longterm import exact, token_of
from integrations.trust.services import Anchors
from router.ports import Parts, Refused, SignaturePart


def parts(pdf: bytes, anchors: Anchors) -> Parts:
    """Raises Refused."""
    try:
        return _parts(PdfFileReader(BytesIO(pdf)), anchors)
    except Exception as error:
        kind = type(error).__name__
        raise Refused(f"the PDF carries no seal of ours ({kind})", permanent=True, code="no-seal") from error


def _parts(reader: PdfFileReader, anchors: Anchors) -> Parts:
    seal, *later = reader.embedded_regular_signatures
    stamps = list(reader.embedded_timestamp_signatures)
    house = certificates(anchors.house)
    signed = [
        data for one in (seal, *later)
        for data in (one.signed_data, *extract_tst_data_iter(one.signer_info, signed=False))
    ]  # fmt: skip
    found = [one for data in (*signed, *(stamp.signed_data for stamp in stamps)) for one in carried(data)]
    known = [*found, *certificates(anchors.own), *certificates(anchors.time)]
    # Of others, who were trusted once or by other campaigns, only those this document leads to.
    others = [*certificates(anchors.chosen), *(one for used in anchors.seals for one in certificates(used.chain))]
    known += _above(found, others)
    return Parts(
        seal=_seal(seal), archives=[_archive(one) for one in stamps], certificate=_pem(seal.signer_cert),
        issuers=[_pem(one) for one in _once(known) if not one.self_issued],
        roots=[_pem(one) for one in _once([*house, *(one for one in known if one.self_issued)])],
        house=seal.signer_cert.issuer in _names([*house, *(one for one in found if one.issuer in _names(house))]),
        countersignature=_seal(later[0]) if later else None,
    )  # fmt: skip


def _seal(seal: EmbeddedPdfSignature) -> SignaturePart:
    record = exact(seal.pkcs7_content)
    token: cms.ContentInfo = find_unique_cms_attribute(seal.signer_info["unsigned_attrs"], "signature_time_stamp_token")
    at = token["content"]["encap_content_info"]["content"].parsed["gen_time"].native
    return SignaturePart(
        _range(seal), record, _place(record, seal.signer_info["signature"].native), _place(record, token.dump()), at
    )


def _archive(stamp: EmbeddedPdfSignature) -> SignaturePart:
    record = exact(stamp.pkcs7_content)
    return SignaturePart(_range(stamp), record, (0, 0), (0, len(record)), token_of(stamp)["gen_time"].native)


def _range(signature: EmbeddedPdfSignature) -> tuple[int, int, int, int]:
    first, length, second, rest = (int(number) for number in signature.byte_range)
    return first, length, second, rest


def _place(record: bytes, part: bytes) -> tuple[int, int]:
    return record.index(part), len(part)


def _above(found: Iterable[x509.Certificate], others: Iterable[x509.Certificate]) -> list[x509.Certificate]:
    """Of the others, those that certify what was found, however far above it."""
    left, above = list(others), list[x509.Certificate]()
    names = {one.issuer.hashable for one in found}
    while more := [one for one in left if one.subject.hashable in names]:
        left = [one for one in left if one.subject.hashable not in names]
        above += more
        names = {one.issuer.hashable for one in more}
    return above


def _names(found: Iterable[x509.Certificate]) -> list[x509.Name]:
    return [one.subject for one in found]


def _once(found: Iterable[x509.Certificate]) -> Sequence[x509.Certificate]:
    return list({one.sha256: one for one in found}.values())


def _pem(one: x509.Certificate) -> bytes:
    return pem.armor("CERTIFICATE", one.dump())
