"""Nurturing: who may be contacted now, which quotes have gone quiet, and what follows."""

from datetime import timedelta

from router.book import Writing
from router.model.base import vouched
from router.model.budgets import LEG_COST, MESSAGE_COST
from router.model.cadences import Attempt, Enrolment, EnrolmentState
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.guard import PACKS, Purpose, Snapshot, Verdict, may_contact
from router.model.quotes import OPEN, Quote, QuoteState
from router.model.signings import Signing, SigningState
from router.model.tasks import TIER_HOT, TIER_STALE, Disposition, Task, TaskKind, TaskState, kept_for, placed
from router.store import alarms, attempts, budgets, cadences, quotes, signings, tasks

QUOTE_CHECK = "quote.check"

_NO_MORE = frozenset({Disposition.not_interested, Disposition.do_not_call, Disposition.wrong_number, Disposition.sold})
_UNREACHED = frozenset({Disposition.no_answer, Disposition.busy, Disposition.failed, Disposition.not_permitted})


async def ask_guard(
    w: Writing, campaign: Campaign, contact: Contact, purpose: Purpose, lead_id: int | None = None
) -> Verdict:
    """The guard's answer now. Asked when planned, when reserved, and again by `permit` when it is done. `lead_id` is
    the request it is about: what was agreed to with it may have been taken back since."""
    tries = await attempts.of_number(w.session, contact.phone, w.now)
    snapshot = Snapshot(
        pack=PACKS[campaign.rule_pack],
        phone=contact.phone,
        zone=campaign.timezone,
        purpose=purpose,
        suppressed=await attempts.suppression(w.session, contact.phone),
        paused=campaign.paused and purpose is Purpose.commercial,
        consents=await attempts.consents(w.session, contact.id),
        countries=frozenset(campaign.countries or [campaign.country]),
        taken_back=await attempts.taken_back(w.session, lead_id) if lead_id else frozenset(),
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
        cost = LEG_COST if attempt.channel == "call" else MESSAGE_COST
        scopes = await budgets.scopes_of(
            w.session, campaign, attempt.phone, lead_id=attempt.lead_id, at=attempt.at
        )
        w.spend(-cost, scopes)


async def check_quote(w: Writing, quote_id: int) -> None:
    """Has this quote gone quiet, and what now? (An alarm's handler.) Our own messages never make it fresh again."""
    quote = await w.session.locked(Quote, quote_id)
    if quote is None or quote.state not in OPEN or quote.idle_base is None:
        return
    campaign = vouched(await w.session.get(Campaign, quote.campaign_id))
    contact = vouched(await w.session.get(Contact, quote.contact_id))
    stale_at = quote.idle_base + campaign.stale_after
    if stale_at > w.now:
        await alarms.set_alarm(w.session, QUOTE_CHECK, quote.id, stale_at)
        return
    if await tasks.with_us(w.session, quote.contact_id):
        await alarms.set_alarm(w.session, QUOTE_CHECK, quote.id, w.now + campaign.stale_after)
        return
    verdict = await ask_guard(w, campaign, contact, Purpose.commercial)
    w.fact(
        f"guard.{verdict.word}", campaign_id=campaign.id, lead_id=quote.lead_id, subject_id=quote.id, when="plan",
        purpose=Purpose.commercial.value, rules=list(verdict.rules),
        until=verdict.until.isoformat() if verdict.until else None,
    )
    if verdict.until is not None:
        await alarms.set_alarm(w.session, QUOTE_CHECK, quote.id, verdict.until)
    elif verdict.allowed:
        reason = _stale_reason(quote, await signings.of_quote(w.session, quote.id))
        await _enrol(w, quote, reason, campaign.stale_after, verdict)


async def talked(w: Writing, contact_id: int) -> None:
    """A conversation has ended: the person's open quotes rest anew from here."""
    await quotes.moved_by_person(w.session, contact_id, w.now)


def _stale_reason(quote: Quote, signing: Signing | None) -> str:
    if signing is not None and signing.state in (SigningState.code_sent, SigningState.verified):
        return "sign_abandoned"
    return "opened_unsigned" if quote.state is QuoteState.opened else "never_opened"


async def _enrol(w: Writing, quote: Quote, reason: str, stale_after: timedelta, verdict: Verdict) -> None:
    """Enrols the person, once for each quiet, and queues the call; one not reached before is called again.

    Who is inside the cadence of another quote stays there; this one is looked at again later.
    """
    common = {"campaign_id": quote.campaign_id, "lead_id": quote.lead_id}
    live = await cadences.live_of_quote(w.session, quote.id)
    if live is not None:
        waiting = await w.move(
            Enrolment, live.id, EnrolmentState.awaiting_agent, frm=(EnrolmentState.active,), data={"reason": reason}
        )
        if waiting is None:
            return
    else:
        enrolment_id = await cadences.enrol(w.session, quote, reason, w.now)
        if enrolment_id is None:
            await alarms.set_alarm(w.session, QUOTE_CHECK, quote.id, w.now + stale_after)
            return
        w.fact("enrolment.awaiting_agent", **common, subject_id=enrolment_id, quote=quote.id, reason=reason)
    task = await _nurture_task(w, quote, TIER_HOT if reason == "sign_abandoned" else TIER_STALE)
    w.fact("task.queued", **common, subject_id=task.id, tier=task.tier, reason=reason,
           rules=list(verdict.rules))
    w.hint("dispatch", "wallboard")


async def _nurture_task(w: Writing, quote: Quote, tier: int) -> Task:
    queue = await tasks.queue_of(w.session, vouched(await tasks.newest_of_lead(w.session, quote.lead_id)))
    task = Task(
        **placed(queue.line, TaskKind.nurture, tier, w.now), **kept_for(queue.line, quote.agent_id, w.now),
        lead_id=quote.lead_id, contact_id=quote.contact_id,
        state=TaskState.queued, enqueued_at=w.now, quote_id=quote.id,
    )
    w.session.add(task)
    await w.session.flush()
    return task


async def task_closed(w: Writing, task: Task, disposition: Disposition) -> None:
    """A nurture call is over, and an open quote is looked at again when it has rested once more.

    Who was reached leaves the cadence: another quiet begins. Who was not stays in it, and is called again.
    """
    assert task.quote_id is not None  # noqa: S101  a nurture task has one
    quote = await w.session.locked(Quote, task.quote_id)
    if quote is None or quote.state not in OPEN or disposition in _NO_MORE:
        await _exit(w, task.quote_id, disposition.value)
        return
    campaign = vouched(await w.session.get(Campaign, quote.campaign_id))
    if disposition in _UNREACHED:
        live = await cadences.live_of_quote(w.session, quote.id)
        if live is not None:
            await w.move(Enrolment, live.id, EnrolmentState.active, data={"reason": disposition.value})
    else:
        await _exit(w, task.quote_id, disposition.value)
        quote.idle_base = w.now
    await alarms.set_alarm(w.session, QUOTE_CHECK, quote.id, w.now + campaign.stale_after)


async def expired(w: Writing, task: Task) -> None:
    """Nobody had time for the quiet quote: it is looked at again after its rest."""
    quote = await w.session.locked(Quote, vouched(task.quote_id))
    if quote is None or quote.state not in OPEN:
        return
    live = await cadences.live_of_quote(w.session, quote.id)
    if live is not None:
        await w.move(Enrolment, live.id, EnrolmentState.active, data={"reason": "expired"})
    campaign = vouched(await w.session.get(Campaign, quote.campaign_id))
    await alarms.set_alarm(w.session, QUOTE_CHECK, quote.id, w.now + campaign.stale_after)


async def _exit(w: Writing, quote_id: int, reason: str) -> None:
    enrolment = await cadences.live_of_quote(w.session, quote_id)
    if enrolment is not None:
        await w.move(
            Enrolment, enrolment.id, EnrolmentState.exited, exit_reason=reason, ended_at=w.now, data={"reason": reason}
        )


async def quote_ended(w: Writing, quote_id: int, reason: str) -> None:
    """The quote is signed, declined or void: nothing is done about its being quiet, and a waiting call is withdrawn.

    A call that already rings at an agent, or is being held, goes on.
    """
    await alarms.cancel(w.session, QUOTE_CHECK, quote_id, w.now)
    await _exit(w, quote_id, reason)
    waiting = await cadences.waiting_task(w.session, quote_id)
    if waiting is not None:
        await w.move(
            Task, waiting.id, TaskState.withdrawn, frm=(TaskState.queued, TaskState.scheduled), ended_at=w.now,
            data={"reason": reason},
        )
        w.hint("wallboard")
