"""Whether a sealed file outlasts its certificates (PAdES B-LTA). Imported by the workers only.

Its last timestamp must be good today; each one before it must have been good when the next one was made; and the seal
must have been good, not revoked by the lists in the file itself, when the first one was made. Nothing is fetched. Lists
that are newer than the file are not mixed in: they would be taken for what was known then.
"""

# mypy: allow-untyped-calls, no-warn-return-any
# asn1crypto and parts of pyHanko carry no types.

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

from asn1crypto import parser, tsp, x509
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESPassed
from pyhanko.sign.diff_analysis import (
    CatalogModificationRule,
    DiffResult,
    DSSCompareRule,
    FormUpdatingRule,
    GenericFieldModificationRule,
    ModificationLevel,
    ObjectStreamRule,
    SigFieldCreationRule,
    SigFieldModificationRule,
    StandardDiffPolicy,
    XrefStreamRule,
)
from pyhanko.sign.validation import async_validate_pdf_timestamp
from pyhanko.sign.validation.ades import ades_lta_validation
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.policy_decl import (
    PdfSignatureValidationSpec,
    RevinfoOnlineFetchingRule,
    RevocationInfoGatheringSpec,
    SignatureValidationSpec,
)
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.ltv.types import ValidationTimingInfo
from pyhanko_certvalidator.policy_decl import REQUIRE_REVINFO, CertRevTrustPolicy, RevocationCheckingPolicy
from pyhanko_certvalidator.registry import SimpleTrustManager

from integrations.trust.certificates import certificates, trusting
from integrations.trust.services import Anchors

ONLY_ARCHIVING = StandardDiffPolicy(
    global_rules=[
        CatalogModificationRule(),
        XrefStreamRule().as_qualified(ModificationLevel.LTA_UPDATES),
        ObjectStreamRule().as_qualified(ModificationLevel.LTA_UPDATES),
        DSSCompareRule().as_qualified(ModificationLevel.LTA_UPDATES),
    ],
    form_rule=FormUpdatingRule(
        field_rules=[SigFieldCreationRule(), SigFieldModificationRule(), GenericFieldModificationRule()]
    ),
)
"""What archiving itself adds, and nothing else: pyHanko's own policy lets titles and other metadata change too."""
IF_DECLARED = RevocationCheckingPolicy.from_legacy("hard-fail")


@dataclass(frozen=True)
class Roots:
    """Whom a seal may lead to, and whom its timestamps may."""

    seal: Sequence[x509.Certificate]
    time: Sequence[x509.Certificate]
    own: x509.Certificate | None = None
    """The company's own seal under somebody else's root: of all under that root, only it."""

    @classmethod
    def of(cls, anchors: Anchors) -> "Roots":
        house, own = certificates(anchors.house), certificates(anchors.own)
        above = [one for one in own if one.self_issued] or own[-1:]
        return cls([*house, *above], [*house, *certificates(anchors.time)], own[0] if own else None)


@dataclass(frozen=True)
class Lasting:
    """The file outlasts its certificates: `since` the first archive timestamp, `until` the last one's certificate
    expires (aware)."""

    since: datetime
    last: EmbeddedPdfSignature
    until: datetime


async def lasting(pdf: bytes, seal: EmbeddedPdfSignature, roots: Roots) -> Lasting | None:
    """None when it does not, e.g. because something else was added to it."""
    stamps = list(seal.reader.embedded_timestamp_signatures)
    if not stamps or not _nothing_else(pdf, seal, stamps):
        return None
    # What was added between and after them has just been looked at, more strictly than pyHanko would.
    moments = [token_of(one)["gen_time"].native for one in stamps]
    for stamp, moment in zip(stamps, [*moments[1:], None], strict=True):
        status = await async_validate_pdf_timestamp(stamp, trusting(roots.time, moment), skip_diff=True)
        if not (status.intact and status.valid and status.trusted):
            return None
    if not await _good_then(_as_of(pdf, seal, stamps[0]), moments[0], roots):
        return None
    return Lasting(moments[0], stamps[-1], stamps[-1].signer_cert.not_valid_after)


def token_of(stamp: EmbeddedPdfSignature) -> tsp.TSTInfo:
    return stamp.signed_data["encap_content_info"]["content"].parsed


def exact(record: bytes) -> bytes:
    """A signature's record without the zeros behind it."""
    return record[: parser.peek(record)]


def contents_fill_their_gap(signature: EmbeddedPdfSignature, pdf: bytes) -> bool:
    """What a signature leaves out of itself is the signature in hexadecimal, padded by zeros, and nothing else."""
    ranges = [int(number) for number in signature.byte_range]
    if len(ranges) != 4 or ranges[0] != 0:
        return False
    digits = signature.pkcs7_content.hex().encode()
    gap = pdf[ranges[1] : ranges[2]]
    if gap not in (b"<" + digits + b">", b"<" + digits.upper() + b">"):
        return False
    record = exact(signature.pkcs7_content)
    return _type_and_content(record) and not any(signature.pkcs7_content[len(record) :])


def _type_and_content(record: bytes) -> bool:
    """Whether a signature's record ends with the second of its two values, and its told length reaches for none of the
    zeros behind it."""
    content = parser.parse(record, strict=True)[4]
    kind = parser.peek(content)
    return kind + parser.peek(content[kind:]) == len(content)


def _nothing_else(pdf: bytes, seal: EmbeddedPdfSignature, stamps: Sequence[EmbeddedPdfSignature]) -> bool:
    """One revision for each timestamp, right after the seal and up to the last byte, which add nothing but that."""
    expected = [seal.signed_revision + place for place in range(1, len(stamps) + 1)]
    if [one.signed_revision for one in stamps] != expected or seal.reader.xrefs.total_revisions != expected[-1] + 1:
        return False
    if len(list(seal.reader.embedded_signatures)) != 1 + len(stamps):
        return False
    if stamps[-1].evaluate_signature_coverage() != SignatureCoverageLevel.ENTIRE_FILE:
        return False
    if not all(contents_fill_their_gap(one, pdf) for one in stamps):
        return False
    difference = ONLY_ARCHIVING.review_file(seal.reader, seal.signed_revision)
    return isinstance(difference, DiffResult) and difference.modification_level <= ModificationLevel.LTA_UPDATES


def _as_of(pdf: bytes, seal: EmbeddedPdfSignature, stamp: EmbeddedPdfSignature) -> EmbeddedPdfSignature:
    """The seal in the file as it was when this timestamp was made."""
    end = int(stamp.byte_range[2]) + int(stamp.byte_range[3])
    if end == len(pdf):
        return seal
    return PdfFileReader(BytesIO(pdf[:end])).embedded_regular_signatures[0]


async def _good_then(seal: EmbeddedPdfSignature, moment: datetime, roots: Roots) -> bool:
    spec = PdfSignatureValidationSpec(
        SignatureValidationSpec(
            _policy(roots.seal, REQUIRE_REVINFO),
            RevocationInfoGatheringSpec(RevinfoOnlineFetchingRule.LOCAL_ONLY),
            ts_cert_validation_policy=_policy(roots.time, IF_DECLARED),
        ),
        diff_policy=None,  # looked at before, more strictly
    )
    then = ValidationTimingInfo(moment, best_signature_time=moment, point_in_time_validation=True)
    result = await ades_lta_validation(seal, spec, timing_info=then)
    return result.ades_subindic == AdESPassed.OK


def _policy(roots: Sequence[x509.Certificate], rule: RevocationCheckingPolicy) -> CertValidationPolicySpec:
    return CertValidationPolicySpec(
        trust_manager=SimpleTrustManager.build(trust_roots=list(roots)), revinfo_policy=CertRevTrustPolicy(rule)
    )
