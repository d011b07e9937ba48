"""Telling: what a person is told about the call promised to him, by text message with his own link."""

import contextlib

from router.actions.talking import Text, send_text
from router.book import Writing
from router.model.base import vouched
from router.model.budgets import MESSAGE_COST
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.errors import NotAllowedNow
from router.model.guard import Purpose
from router.model.phone import international
from router.model.promises import OPEN, Promise, PromiseState
from router.store import budgets
from router.wording import brief, wording

LINK = "promise"
"""The vault's purpose for links in text messages."""
PROMISED, MISSED, BROKEN = "sms/promise.txt", "sms/missed.txt", "sms/broken.txt"
REMINDER, DELAYED, ABSENT, SHIFTED = "sms/reminder.txt", "sms/delayed.txt", "sms/absent.txt", "sms/shifted.txt"

_SUBJECTS = {
    PROMISED: "promise", MISSED: "promise_missed", BROKEN: "promise_broken", REMINDER: "promise_reminder",
    DELAYED: "promise_delayed", ABSENT: "promise_absent", SHIFTED: "promise_shifted",
}


def link(w: Writing, promise: Promise) -> str:
    """The token of the promise's own link."""
    return w.vault.token(LINK, str(promise.id))


async def tell(w: Writing, promise: Promise, template: str) -> None:
    """Queues a text with the time and the link, once for each promise and template, if the guard and the day's money
    allow: the promise holds anyway."""
    campaign = vouched(await w.session.get(Campaign, promise.campaign_id))
    contact = vouched(await w.session.get(Contact, promise.contact_id))
    scopes = await budgets.scopes_of(w.session, campaign, contact.phone, lead_id=promise.lead_id, at=w.now)
    if not contact.phone or not await budgets.room_for(w.session, w.now.date(), MESSAGE_COST, scopes):
        return
    values = {
        "company": campaign.company_name,
        "when": brief(promise.starts_at, promise.zone, promise.locale),
        "phone": international(campaign.phone_for(None) or campaign.caller_id),
        "caller": international(campaign.caller_id),
    }
    body, shown = (
        wording().text(template, promise.locale, what=what, **values)
        for what in (f"{w.public_url}/s/{link(w, promise)}", "[link]")
    )
    subject = _SUBJECTS[template]
    text = Text(body, shown, subject, Purpose.service, f"{subject}:{promise.id}")
    with contextlib.suppress(NotAllowedNow):
        async with w.attempt():
            await send_text(w, campaign, contact, text, lead_id=promise.lead_id)


async def ended(w: Writing, promise_id: int) -> None:
    """The promise has come to nothing (an alarm's handler): its person is told, and how he gets another time."""
    promise = vouched(await w.session.get(Promise, promise_id))
    if promise.state is PromiseState.broken_by_customer:
        await tell(w, promise, BROKEN)
    elif promise.state is PromiseState.missed_by_us:
        await tell(w, promise, MISSED)


async def remind(w: Writing, promise_id: int) -> None:
    """The call comes soon (an alarm's handler)."""
    promise = await w.session.locked(Promise, promise_id)
    if promise is not None and promise.state in OPEN and promise.starts_at > w.now:
        await tell(w, promise, REMINDER)
