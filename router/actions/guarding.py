"""Guarding: may this person be contacted now? Asked when planned, when reserved, and recorded when it is done."""

from datetime import datetime

from router.book import Writing
from router.model.base import vouched
from router.model.budgets import LEG_COST, MESSAGE_COST
from router.model.cadences import Attempt
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.guard import Barred, Purpose, Snapshot, Try, Verdict, may_contact
from router.model.packs import pack_of
from router.store import attempts, budgets
from router.store.db import ReadSession


async def look(
    session: ReadSession, campaign: Campaign, contact: Contact, purpose: Purpose, now: datetime, *,
    lead_id: int | None = None,
) -> Snapshot:
    """All that the guard looks at, as it stands in this transaction. `lead_id` is the request it is about: what was
    agreed to with it may have been taken back since."""
    tries = await attempts.of_number(session, contact.phone, now)
    reason = await attempts.suppression(session, contact.phone)
    return Snapshot(
        pack=pack_of(campaign.rule_pack, campaign.country),
        phone=contact.phone,
        zones=(campaign.timezone,),
        purpose=purpose,
        barred=(Barred(reason),) if reason else (),
        paused=campaign.paused and purpose is Purpose.commercial,
        consents=await attempts.consents(session, contact.id),
        countries=frozenset(campaign.countries or [campaign.country]),
        taken_back=await attempts.taken_back(session, lead_id) if lead_id else frozenset(),
        tries=[Try(one.at, Purpose(one.purpose), one.channel) for one in tries],
        caller_id=campaign.caller_id,
    )


async def ask_guard(
    w: Writing, campaign: Campaign, contact: Contact, purpose: Purpose, lead_id: int | None = None
) -> Verdict:
    """The guard's answer now. Asked when planned, when reserved, and again by `permit` when it is done."""
    return may_contact(await look(w.session, campaign, contact, purpose, w.now, lead_id=lead_id), w.now)


async def permit(
    w: Writing, campaign: Campaign, contact: Contact, *, channel: str, purpose: Purpose, lead_id: int | None
) -> tuple[Attempt, Verdict]:
    """Asks the guard at the moment of doing it and records the answer, in one transaction under a lock on the number.

    An allowed attempt reserves its place in the number's caps. The row's id must stand on the delivery: the database
    refuses a delivery to a customer without one.
    """
    await w.session.lock_word(contact.phone)
    verdict = await ask_guard(w, campaign, contact, purpose, lead_id)
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


async def refund(w: Writing, attempt_id: int) -> None:
    """The try never reached a telephone: its place in the caps, and today's money, are free again."""
    attempt = await w.session.locked(Attempt, attempt_id)
    if attempt is None or attempt.refunded_at is not None:
        return
    attempt.refunded_at = w.now
    await w.session.flush()
    campaign = vouched(await w.session.get(Campaign, attempt.campaign_id))
    if attempt.at.date() == w.now.date():
        cost = {"call": LEG_COST, "mail": 0}.get(attempt.channel, MESSAGE_COST)
        scopes = await budgets.scopes_of(
            w.session, campaign, attempt.phone, lead_id=attempt.lead_id, at=attempt.at
        )
        w.spend(-cost, scopes)
