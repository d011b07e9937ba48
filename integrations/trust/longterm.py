"""Whether a sealed file outlasts its certificates (PAdES B-LTA). Imported by the workers only.

Its last timestamp must be good today; each one before it must have been good when the next one was made; and the seal
must have been good, not revoked by the lists in the file itself, when the first one was made. So must the company's
countersignature, wherever it stands among the timestamps, when the next one was made, or today. Nothing is fetched.
Lists that are newer than the file are not mixed in: they would be taken for what was known then.
"""

# mypy: allow-untyped-calls, no-warn-return-any
# asn1crypto and parts of pyHanko carry no types.

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO

from asn1crypto import parser, tsp, x509
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESPassed
from pyhanko.sign.diff_analysis import (
    CatalogModificationRule,
    DSSCompareRule,
    FormUpdatingRule,
    GenericFieldModificationRule,
    ModificationLevel,
    ObjectStreamRule,
    SigFieldCreationRule,
    SigFieldModificationRule,
    StandardDiffPolicy,
    SuspiciousModification,
    XrefStreamRule,
)
from pyhanko.sign.fields import MDPPerm
from pyhanko.sign.validation import async_validate_pdf_signature, async_validate_pdf_timestamp
from pyhanko.sign.validation.ades import ades_lta_validation
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.policy_decl import (
    PdfSignatureValidationSpec,
    RevinfoOnlineFetchingRule,
    RevocationInfoGatheringSpec,
    SignatureValidationSpec,
)
from pyhanko.sign.validation.status import PdfSignatureStatus, SignatureCoverageLevel, TimestampSignatureStatus
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.ltv.types import ValidationTimingInfo
from pyhanko_certvalidator.policy_decl import REQUIRE_REVINFO, CertRevTrustPolicy, RevocationCheckingPolicy
from pyhanko_certvalidator.registry import SimpleTrustManager

from integrations.trust.certificates import certificates, trusting
from integrations.trust.services import Anchors
from router.ports import UsedSeal

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
ONLY_SIGNING = StandardDiffPolicy(
    global_rules=[
        CatalogModificationRule(),
        XrefStreamRule().as_qualified(ModificationLevel.LTA_UPDATES),
        ObjectStreamRule().as_qualified(ModificationLevel.LTA_UPDATES),
    ],
    form_rule=FormUpdatingRule(field_rules=[SigFieldCreationRule(), SigFieldModificationRule()]),
)
"""What one more signature adds, and nothing else: no other field of a form may be filled in with it."""
IF_DECLARED = RevocationCheckingPolicy.from_legacy("hard-fail")


@dataclass(frozen=True)
class Roots:
    """Whom a seal may lead to, and whom its timestamps may."""

    seal: Sequence[x509.Certificate]
    time: Sequence[x509.Certificate]
    own: Mapping[bytes, datetime | None] = field(default_factory=dict)
    """The company's own seals under somebody else's roots, by their SHA-256, and until when each was in use: of all
    under those roots, only they."""

    @classmethod
    def of(cls, anchors: Anchors) -> "Roots":
        house, above = certificates(anchors.house), list[x509.Certificate]()
        own: dict[bytes, datetime | None] = {}
        for seal in (UsedSeal(anchors.own), *anchors.seals):
            if chain := certificates(seal.chain):
                above += [one for one in chain if one.self_issued] or chain[-1:]
                own.setdefault(chain[0].sha256, seal.until)  # what is in use now comes first
        return cls([*house, *above], [*house, *certificates(anchors.time), *certificates(anchors.chosen)], own)


@dataclass(frozen=True)
class Lasting:
    """The file outlasts its certificates: `since` the first archive timestamp, `until` the last one's certificate
    expires (aware)."""

    since: datetime
    last: EmbeddedPdfSignature
    until: datetime


@dataclass(frozen=True)
class Added:
    """What was lawfully added to a sealed file, in its order: timestamps over all of it, one countersignature."""

    signatures: Sequence[EmbeddedPdfSignature]

    @property
    def stamps(self) -> Sequence[EmbeddedPdfSignature]:
        return [one for one in self.signatures if _is_stamp(one)]

    @property
    def countersignature(self) -> EmbeddedPdfSignature | None:
        return next((one for one in self.signatures if not _is_stamp(one)), None)

    def stamp_over(self, signature: EmbeddedPdfSignature) -> EmbeddedPdfSignature | None:
        """The first timestamp that covers this signature."""
        return next((one for one in self.stamps if one.signed_revision > signature.signed_revision), None)


async def lasting(
    pdf: bytes, seal: EmbeddedPdfSignature, found: Added | None, roots: Roots
) -> Lasting | None:
    """None when it does not. `found` is what was `added` to the seal; None for something else, which is no proof."""
    if found is None or not found.stamps or not await _countersigned_well(pdf, found, roots):
        return None
    stamps = found.stamps
    # What was added between and after them has been looked at before, more strictly than pyHanko would.
    moments = [token_of(one)["gen_time"].native for one in stamps]
    for stamp, moment in zip(stamps, [*moments[1:], None], strict=True):
        status = await async_validate_pdf_timestamp(stamp, trusting(roots.time, moment), skip_diff=True)
        if not (status.intact and status.valid and status.trusted):
            return None
    if not await _good_then(_as_of(pdf, seal, stamps[0]), moments[0], roots):
        return None
    return Lasting(moments[0], stamps[-1], stamps[-1].signer_cert.not_valid_after)


async def _countersigned_well(pdf: bytes, found: Added, roots: Roots) -> bool:
    """Whether the countersignature, if there is one, is the company's and was good when it was next covered by a
    timestamp, or is today."""
    one = found.countersignature
    if one is None:
        return True
    stamp = found.stamp_over(one)
    if stamp is None:
        return is_good(await status_of(one, roots, None), roots)
    moment = token_of(stamp)["gen_time"].native
    good = is_good(await status_of(one, roots, moment), roots)
    return good and await _good_then(_as_of(pdf, one, stamp), moment, roots)


async def status_of(one: EmbeddedPdfSignature, roots: Roots, moment: datetime | None) -> PdfSignatureStatus:
    """What is to be found out about a countersignature by itself, as of a moment (aware; now without one)."""
    return await async_validate_pdf_signature(
        one, signer_validation_context=trusting(roots.seal, moment),
        ts_validation_context=trusting(roots.time, moment), skip_diff=True,
    )  # fmt: skip


def stamp_holds(stamp: TimestampSignatureStatus) -> bool:
    """Whether a timestamp holds, and is somebody's whose word counts."""
    return bool(stamp.intact and stamp.valid and stamp.trusted)


def is_good(status: PdfSignatureStatus, roots: Roots) -> bool:
    """Whether a signature holds, is the company's, and has a timestamp that holds."""
    timely = status.timestamp_validity is not None and stamp_holds(status.timestamp_validity)
    covered = status.coverage >= SignatureCoverageLevel.ENTIRE_REVISION
    return bool(status.intact and status.valid and covered and timely and leads_to_us(status, roots))


def leads_to_us(status: PdfSignatureStatus, roots: Roots) -> bool:
    """Whether the signer is this company: its certificate leads to our own root, or is its own under another's."""
    if not status.valid or status.trust_problem_indic is not None or status.validation_path is None:
        return False
    own = status.signing_cert.sha256 in roots.own and not is_retired(status, roots)
    return own or is_house(status, roots)


def is_retired(status: PdfSignatureStatus, roots: Roots) -> bool:
    """Whether it was made with a seal of the company's own that was not in use any more, or nobody can tell when."""
    until, stamp = roots.own.get(status.signing_cert.sha256), status.timestamp_validity
    if until is None:
        return False
    return stamp is None or not stamp_holds(stamp) or stamp.timestamp > until


def is_house(status: PdfSignatureStatus, roots: Roots) -> bool:
    """Whether the signer's certificate leads to one of our own roots: those under which seal and timestamps may both
    stand."""
    house = {one.sha256 for one in roots.seal} & {one.sha256 for one in roots.time}
    return status.validation_path is not None and status.validation_path.first.sha256 in house


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


def added(pdf: bytes, seal: EmbeddedPdfSignature) -> Added | None:
    """What was added to the seal, if it is one revision for each timestamp and one for a countersignature, right after
    the seal and up to the last byte, which add nothing but that; None for anything else, or nothing. Whose they are is
    not looked at."""
    later = [one for one in seal.reader.embedded_signatures if one.signed_revision > seal.signed_revision]
    expected = [seal.signed_revision + place for place in range(1, len(later) + 1)]
    if not later or len(list(seal.reader.embedded_signatures)) != 1 + len(later):
        return None
    if [one.signed_revision for one in later] != expected or seal.reader.xrefs.total_revisions != expected[-1] + 1:
        return None
    if sum(not _is_stamp(one) for one in later) > 1:
        return None
    if later[-1].evaluate_signature_coverage() != SignatureCoverageLevel.ENTIRE_FILE:
        return None
    if not all(contents_fill_their_gap(one, pdf) and _adds_itself(one) for one in later):
        return None
    return Added(later)


def _is_stamp(one: EmbeddedPdfSignature) -> bool:
    return one.sig_object_type == "/DocTimeStamp"


def _adds_itself(one: EmbeddedPdfSignature) -> bool:
    """Whether its revision holds what such a signature needs, and nothing else: of a form, its own field alone, which
    is not seen on any page."""
    policy, most = (
        (ONLY_ARCHIVING, ModificationLevel.LTA_UPDATES) if _is_stamp(one)
        else (ONLY_SIGNING, ModificationLevel.FORM_FILLING)
    )  # fmt: skip
    before, after = (one.reader.get_historical_resolver(one.signed_revision - back) for back in (1, 0))
    try:
        return policy.apply(before, after, doc_mdp=MDPPerm.FILL_FORMS).modification_level <= most
    except SuspiciousModification:
        return False


def _as_of(pdf: bytes, one: EmbeddedPdfSignature, stamp: EmbeddedPdfSignature) -> EmbeddedPdfSignature:
    """The signature in the file as it was when this timestamp was made."""
    end = int(stamp.byte_range[2]) + int(stamp.byte_range[3])
    if end == len(pdf):
        return one
    then = PdfFileReader(BytesIO(pdf[:end])).embedded_regular_signatures
    return next(same for same in then if same.signed_revision == one.signed_revision)


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
