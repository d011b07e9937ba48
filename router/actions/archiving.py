"""Archiving: sealed documents, and the certificates of their evidence, get a later timestamp over all of them, before
what proves them now expires."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from router.actions import certifying, choosing_services, outgoing, trusting
from router.book import Writing
from router.model.archives import AGAIN_AFTER, IN_VAIN_AFTER, RENEW_BEFORE, Archive
from router.model.attestations import Attestation
from router.model.authority import ISSUING, ROOT
from router.model.base import vouched
from router.model.deliveries import Delivery, DeliveryKind
from router.model.errors import Conflict, NotAllowedNow
from router.model.signings import Signing
from router.model.trust_accounts import ServiceName
from router.model.vault import new_token
from router.ports import Archived, ArchiveOrder, Stamps
from router.store import alarms, archives, attestations, authority, blobs, evidence, signings, trust_accounts

ARCHIVE = "signings.archive"
"""The alarm of every night."""
STAMP = "signing.stamp"
"""The alarm for the timestamp from outside that was not to be had at the seal."""
AT_ONCE = 200
"""Documents ordered in one transaction."""
SPACING = timedelta(seconds=1)
"""They fall due one after the other, and the next batch after them: texts and seals never queue behind a night's."""
NOTHING = "There is nothing to archive."
NOT_UP_TO_DATE = "The authority's lists of revoked certificates are not up to date."
EXTERNAL = "external"
"""The time source of a document that carries a timestamp from outside."""


async def order_due(w: Writing, recurring_id: int, *, outside: bool) -> None:
    """Queues the archiving of all documents and certificates that are due. `outside`: timestamps of others are wanted.
    Where a campaign has chosen who gives them, nobody else does."""
    documents = await archives.due(w.session, w.now, AT_ONCE)
    certificates = await archives.certificates_due(w.session, w.now, AT_ONCE)
    papers: list[Signing | Attestation] = [*documents, *certificates]
    for place, paper in enumerate(papers):
        signing = await _signing_of(w, paper)
        stamps = await _stamps(w, signing, paper, outside=outside)
        await _order(w, signing, stamps, w.now + place * SPACING, edition=_edition_of(paper))
        paper.archive_at = w.now + AGAIN_AFTER
    await w.session.flush()
    if AT_ONCE in (len(documents), len(certificates)):
        await alarms.set_alarm(w.session, ARCHIVE, recurring_id, w.now + len(papers) * SPACING)


async def _signing_of(w: Writing, paper: Signing | Attestation) -> Signing:
    return paper if isinstance(paper, Signing) else vouched(await w.session.get(Signing, paper.signing_id))


def _edition_of(paper: Signing | Attestation) -> int | None:
    return paper.edition if isinstance(paper, Attestation) else None


async def _stamps(w: Writing, signing: Signing, paper: Signing | Attestation, *, outside: bool) -> Stamps:
    if await trust_accounts.chosen(w.session, signing.campaign_id, ServiceName.time) is not None:
        return Stamps.outside
    if not outside:
        return Stamps.own
    newest = await archives.newest(w.session, signing.id, _edition_of(paper))
    lasts = newest is not None and newest.lasts(w.now)
    # One that lasts already lacks nothing but another's word.
    return Stamps.outside if lasts and paper.time_source != EXTERNAL else Stamps.outside_or_own


async def stamp(w: Writing, signing_id: int) -> None:
    """Queues the timestamp from outside (an alarm's handler)."""
    signing = await w.session.locked(Signing, signing_id)
    if signing is not None and signing.sealed_sha256 is not None and signing.time_source != EXTERNAL:
        await _order(w, signing, Stamps.outside, w.now)


async def _order(
    w: Writing, signing: Signing, stamps: Stamps, due_at: datetime, *, edition: int | None = None
) -> None:
    order = {"stamps": stamps.value, **({"edition": edition} if edition is not None else {})}
    delivery = await outgoing.post_about(
        w, signing, DeliveryKind.archive, f"archive:{new_token()}", "archive", order
    )
    delivery.due_at = due_at
    await w.session.flush()


@dataclass(frozen=True)
class _Found:
    """What is archived: the document, which the signing stands for, or the newest edition of its certificate; its
    newest version, and the bytes the next one begins with."""

    paper: Signing | Attestation
    newest: Archive | None
    base_sha256: bytes


async def _found(w: Writing, delivery: Delivery, signing: Signing) -> _Found | None:
    edition = delivery.order.get("edition")
    paper = signing if edition is None else await attestations.of_signing(w.session, signing.id)
    if paper is None or _edition_of(paper) != edition:
        return None
    sealed = paper.sha256 if isinstance(paper, Attestation) else signing.sealed_sha256
    if sealed is None:
        return None
    newest = await archives.newest(w.session, signing.id, edition)
    return _Found(paper, newest, newest.sha256 if newest else sealed)


async def archive_order(w: Writing, delivery: Delivery) -> ArchiveOrder:
    """What is to be archived: the newest version, our issuers' lists of today and a serial never given before.

    Raises NotAllowedNow when there is nothing to add, Conflict as long as a list is missing or too old.
    """
    signing = await w.session.get(Signing, delivery.signing_id)
    if signing is None or (found := await _found(w, delivery, signing)) is None:
        raise NotAllowedNow(NOTHING)
    stamps = Stamps(str(delivery.order["stamps"]))
    lasts = found.newest is not None and found.newest.lasts(w.now)
    if lasts and (stamps is Stamps.own or found.paper.time_source == EXTERNAL):
        raise NotAllowedNow(NOTHING)
    lists = {one.issuer: one for one in await authority.crls(w.session)}
    if {ISSUING, ROOT} - set(lists) or any(one.next_update <= w.now for one in lists.values()):
        raise Conflict(NOT_UP_TO_DATE)
    pdf = await blobs.content(w.session, found.base_sha256)
    assert pdf is not None  # noqa: S101  a foreign key says so
    return ArchiveOrder(
        pdf=pdf, keys=await certifying.keys_of(w), crls=[lists[ISSUING].content, lists[ROOT].content],
        timestamp_serial=await signings.next_serial(w.session), stamps=stamps,
        time=await choosing_services.time_of(w, signing.campaign_id),
        trusted=await trusting.trusted(w.session),
    )  # fmt: skip


async def archived(w: Writing, delivery: Delivery, made: Archived) -> None:
    """Stores the new version once; one that does not follow the newest, because another worker was sooner, is dropped,
    and so is one that would last no longer."""
    signing = await w.session.locked(Signing, delivery.signing_id)
    if signing is None or (found := await _found(w, delivery, signing)) is None:
        return
    paper, newest = found.paper, found.newest
    base = await blobs.content(w.session, found.base_sha256)
    if base is None or not made.pdf.startswith(base) or len(made.pdf) == len(base):
        return
    lasted = newest.until if newest is not None else None
    if lasted is not None and made.time_source != EXTERNAL and made.until <= lasted:
        paper.archive_at = w.now + IN_VAIN_AFTER
        return
    edition = _edition_of(paper)
    sha256 = await blobs.keep(w.session, made.pdf, "application/pdf", w.now)
    w.session.add(Archive(
        signing_id=signing.id, base_sha256=found.base_sha256, sha256=sha256, level=made.level,
        time_source=made.time_source, until=made.until, created_at=w.now, edition=edition,
    ))  # fmt: skip
    paper.level = made.level
    paper.time_source = EXTERNAL if made.time_source == EXTERNAL else paper.time_source
    outside_missing = paper.time_source != EXTERNAL and delivery.order["stamps"] != Stamps.own
    paper.archive_at = w.now + AGAIN_AFTER if outside_missing else made.until - RENEW_BEFORE
    await evidence.append(w.session, signing, w.now, "archived" if edition is None else "certificate.archived", {
        "sha256": sha256.hex(), "level": made.level, "time_source": made.time_source,
    })  # fmt: skip
    w.fact(
        "signing.archived", campaign_id=signing.campaign_id, lead_id=signing.lead_id, subject_id=signing.id,
        level=made.level, time_source=made.time_source, what="document" if edition is None else "certificate",
    )  # fmt: skip
    w.hint(f"signing:{signing.id}")
