"""Nurturing: who may be contacted now, which quotes have gone quiet, and what follows."""

from router.book import Writing
from router.model.cadences import Attempt
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.guard import PACKS, Purpose, Snapshot, Verdict, may_contact
from router.store import attempts


async def ask_guard(w: Writing, campaign: Campaign, contact: Contact, purpose: Purpose) -> Verdict:
    """The guard's answer now. Asked when planned, when reserved, and again by `permit` when it is done."""
    tries = await attempts.of_number(w.session, contact.phone, w.now)
    snapshot = Snapshot(
        pack=PACKS[campaign.rule_pack],
        zone=campaign.timezone,
        purpose=purpose,
        suppressed=await attempts.suppression(w.session, contact.phone),
        paused=campaign.paused and purpose is Purpose.commercial,
        consents=await attempts.consents(w.session, contact.id),
        commercial=[one.at for one in tries if one.purpose == Purpose.commercial],
        codes=[one.at for one in tries if one.purpose == Purpose.code],
        anything=[one.at for one in tries],
    )
    return may_contact(snapshot, w.now)


async def permit(
    w: Writing, campaign: Campaign, contact: Contact, *, channel: str, purpose: Purpose, lead_id: int | None
) -> tuple[Attempt, Verdict]:
    """Asks the guard at the moment of doing it and records the answer, in one transaction under a lock on the number.

    An allowed attempt reserves its place in the number's caps. The row's id must stand on the delivery: the database
    refuses a delivery to a customer without one.
    """
    await w.session.lock_word(contact.phone)
    verdict = await ask_guard(w, campaign, contact, purpose)
    attempt = Attempt(
        campaign_id=campaign.id, lead_id=lead_id, phone=contact.phone, channel=channel, purpose=purpose.value,
        verdict=verdict.word, rules=list(verdict.rules), detail=verdict.detail, at=w.now,
    )
    w.session.add(attempt)
    await w.session.flush()
    w.fact(
        f"guard.{verdict.word}", campaign_id=campaign.id, lead_id=lead_id, subject_id=attempt.id,
        channel=channel, purpose=purpose.value, rules=list(verdict.rules),
        until=verdict.until.isoformat() if verdict.until else None,
    )
    return attempt, verdict
