"""Archiving: sealed documents get a later timestamp over all of them, before what proves them now expires."""

from datetime import datetime, timedelta

from router.actions import certifying, outgoing
from router.book import Writing
from router.model.archives import AGAIN_AFTER, IN_VAIN_AFTER, RENEW_BEFORE, Archive
from router.model.authority import ISSUING, ROOT
from router.model.deliveries import Delivery, DeliveryKind
from router.model.errors import Conflict, NotAllowedNow
from router.model.signings import Signing
from router.model.vault import new_token
from router.ports import Archived, ArchiveOrder, Stamps
from router.store import alarms, archives, authority, blobs, evidence, signings

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
    """Queues the archiving of all documents that are due. `outside`: timestamps of others are wanted."""
    due = await archives.due(w.session, w.now, AT_ONCE)
    for place, signing in enumerate(due):
        newest = await archives.newest(w.session, signing.id)
        stamps = Stamps.outside_or_own if outside else Stamps.own
        if outside and newest is not None and signing.time_source != EXTERNAL and newest.lasts(w.now):
            stamps = Stamps.outside  # it lasts already; only another's word is missing
        await _order(w, signing, stamps, w.now + place * SPACING)
        signing.archive_at = w.now + AGAIN_AFTER
    await w.session.flush()
    if len(due) == AT_ONCE:
        await alarms.set_alarm(w.session, ARCHIVE, recurring_id, w.now + AT_ONCE * SPACING)


async def stamp(w: Writing, signing_id: int) -> None:
    """Queues the timestamp from outside (an alarm's handler)."""
    signing = await w.session.locked(Signing, signing_id)
    if signing is not None and signing.sealed_sha256 is not None and signing.time_source != EXTERNAL:
        await _order(w, signing, Stamps.outside, w.now)


async def _order(w: Writing, signing: Signing, stamps: Stamps, due_at: datetime) -> None:
    delivery = await outgoing.post(
        w, DeliveryKind.archive, f"archive:{new_token()}", {"stamps": stamps.value},
        campaign_id=signing.campaign_id, lead_id=signing.lead_id, signing_id=signing.id, purpose="archive",
    )  # fmt: skip
    delivery.due_at = due_at
    await w.session.flush()


async def archive_order(w: Writing, delivery: Delivery) -> ArchiveOrder:
    """What is to be archived: the newest version, our issuers' lists of today and a serial never given before.

    Raises NotAllowedNow when there is nothing to add, Conflict as long as a list is missing or too old.
    """
    signing = await w.session.get(Signing, delivery.signing_id)
    if signing is None or signing.sealed_sha256 is None:
        raise NotAllowedNow(NOTHING)
    newest, stamps = await archives.newest(w.session, signing.id), Stamps(str(delivery.order["stamps"]))
    lasts = newest is not None and newest.lasts(w.now)
    if lasts and (stamps is Stamps.own or signing.time_source == EXTERNAL):
        raise NotAllowedNow(NOTHING)
    lists = {one.issuer: one for one in await authority.crls(w.session)}
    if {ISSUING, ROOT} - set(lists) or any(one.next_update <= w.now for one in lists.values()):
        raise Conflict(NOT_UP_TO_DATE)
    pdf = await blobs.content(w.session, newest.sha256 if newest else signing.sealed_sha256)
    assert pdf is not None  # noqa: S101  a foreign key says so
    return ArchiveOrder(
        pdf=pdf, keys=await certifying.keys_of(w), crls=[lists[ISSUING].content, lists[ROOT].content],
        timestamp_serial=await signings.next_serial(w.session), stamps=stamps,
    )  # fmt: skip


async def archived(w: Writing, delivery: Delivery, made: Archived) -> None:
    """Stores the new version once; one that does not follow the newest, because another worker was sooner, is dropped,
    and so is one that would last no longer."""
    signing = await w.session.locked(Signing, delivery.signing_id)
    if signing is None or signing.sealed_sha256 is None:
        return
    newest = await archives.newest(w.session, signing.id)
    base_sha256 = newest.sha256 if newest else signing.sealed_sha256
    base = await blobs.content(w.session, base_sha256)
    if base is None or not made.pdf.startswith(base) or len(made.pdf) == len(base):
        return
    lasted = newest.until if newest is not None else None
    if lasted is not None and made.time_source != EXTERNAL and made.until <= lasted:
        signing.archive_at = w.now + IN_VAIN_AFTER
        return
    sha256 = await blobs.keep(w.session, made.pdf, "application/pdf", w.now)
    w.session.add(Archive(
        signing_id=signing.id, base_sha256=base_sha256, sha256=sha256, level=made.level, time_source=made.time_source,
        until=made.until, created_at=w.now,
    ))  # fmt: skip
    signing.level = made.level
    signing.time_source = EXTERNAL if made.time_source == EXTERNAL else signing.time_source
    outside_missing = signing.time_source != EXTERNAL and delivery.order["stamps"] != Stamps.own
    signing.archive_at = w.now + AGAIN_AFTER if outside_missing else made.until - RENEW_BEFORE
    await evidence.append(w.session, signing, w.now, "archived", {
        "sha256": sha256.hex(), "level": made.level, "time_source": made.time_source,
    })  # fmt: skip
    w.fact(
        "signing.archived", campaign_id=signing.campaign_id, lead_id=signing.lead_id, subject_id=signing.id,
        level=made.level, time_source=made.time_source,
    )  # fmt: skip
    w.hint(f"signing:{signing.id}")
