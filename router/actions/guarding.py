"""Guarding: may this person be contacted now? Asked when planned, when reserved, and recorded when it is done."""

from router.actions import suppressing
from router.book import Writing
from router.model.base import vouched
from router.model.budgets import LEG_COST, MESSAGE_COST
from router.model.cadences import Attempt
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.guard import PACKS, Purpose, Snapshot, Verdict, may_contact
from router.store import attempts, budgets, suppressions


async def ask_guard(
    w: Writing, campaign: Campaign, contact: Contact, purpose: Purpose, lead_id: int | None = None,
    *, channel: str = "call", promised: bool = False,
) -> Verdict:
    """The guard's answer now. Asked when planned, when reserved, and again by `permit` when it is done. `lead_id` is
    the request it is about: what was agreed to with it may have been taken back since."""
    tries = await attempts.of_number(w.session, contact.phone, w.now)
    persons = await suppressions.persons(w.session, contact.id)
    barred = await suppressions.in_force(w.session, contact.phone, persons, w.now)
    snapshot = Snapshot(
        pack=PACKS[campaign.rule_pack],
        phone=contact.phone,
        zone=campaign.timezone,
        purpose=purpose,
        suppressed=next((one.reason for one in barred if one.channel in ("", channel)), ""),
        paused=campaign.paused and purpose is Purpose.commercial,
        consents=frozenset(await attempts.consents(w.session, contact.id, lead_id)),
        countries=frozenset(campaign.countries or [campaign.country]),
        taken_back=await attempts.taken_back(w.session, lead_id) if lead_id else frozenset(),
        commercial=[one.at for one in tries if one.purpose == Purpose.commercial],
        codes=[one.at for one in tries if one.purpose == Purpose.code],
        anything=[one.at for one in tries],
    )
    return may_contact(snapshot, w.now)


async def permit(
    w: Writing, campaign: Campaign, contact: Contact, *, channel: str, purpose: Purpose, lead_id: int | None,
    promised: bool = False,
) -> tuple[Attempt, Verdict]:
    """Asks the guard at the moment of doing it and records the answer, in one transaction under a lock on the number.

    An allowed attempt reserves its place in the number's caps. The row's id must stand on the delivery: the database
    refuses a delivery to a customer without one.
    """
    await suppressing.lock(w, contact)
    verdict = await ask_guard(w, campaign, contact, purpose, lead_id, channel=channel, promised=promised)
    attempt = Attempt(
        campaign_id=campaign.id, lead_id=lead_id, phone=contact.phone, channel=channel, purpose=purpose.value,
        verdict=verdict.word, rules=list(verdict.rules), detail=verdict.detail, at=w.now, contact_id=contact.id,
        receipt_id=await _relied_on(w, contact, purpose, lead_id) if verdict.allowed else None,
    )
    w.session.add(attempt)
    await w.session.flush()
    w.fact(
        f"guard.{verdict.word}", campaign_id=campaign.id, lead_id=lead_id, subject_id=attempt.id,
        channel=channel, purpose=purpose.value, rules=list(verdict.rules),
        until=verdict.until.isoformat() if verdict.until else None,
    )
    return attempt, verdict


async def _relied_on(w: Writing, contact: Contact, purpose: Purpose, lead_id: int | None) -> int | None:
    """The receipt of the consent by which he is contacted, if there is one."""
    given = (await attempts.consents(w.session, contact.id, lead_id)).get(purpose.value)
    return given.receipt_id if given is not None else None


async def refund(w: Writing, attempt_id: int) -> None:
    """The try never reached a telephone: its place in the caps, and today's money, are free again."""
    attempt = await w.session.locked(Attempt, attempt_id)
    if attempt is None or attempt.refunded_at is not None:
        return
    attempt.refunded_at = w.now
    await w.session.flush()
    campaign = vouched(await w.session.get(Campaign, attempt.campaign_id))
    if attempt.at.date() == w.now.date():
        cost = LEG_COST if attempt.channel == "call" else MESSAGE_COST
        scopes = await budgets.scopes_of(
            w.session, campaign, attempt.phone, lead_id=attempt.lead_id, at=attempt.at
        )
        w.spend(-cost, scopes)
