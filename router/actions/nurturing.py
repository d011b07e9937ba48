"""Nurturing: which quotes have gone quiet, and what follows."""

from datetime import timedelta

from router.actions.guarding import ask_guard
from router.book import Writing
from router.model.base import vouched
from router.model.cadences import Enrolment, EnrolmentState
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.guard import Purpose, Verdict
from router.model.quotes import OPEN, Quote, QuoteState
from router.model.signings import Signing, SigningState
from router.model.tasks import TIER_HOT, TIER_STALE, Disposition, Task, TaskKind, TaskState, kept_for, placed
from router.store import alarms, cadences, quotes, signings, tasks

QUOTE_CHECK = "quote.check"

_NO_MORE = frozenset({Disposition.not_interested, Disposition.do_not_call, Disposition.wrong_number, Disposition.sold})
_UNREACHED = frozenset({Disposition.no_answer, Disposition.busy, Disposition.failed, Disposition.not_permitted})


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


async def promised(w: Writing, contact_id: int) -> None:
    """The person was promised a call: until then nothing else is tried. A nurture call that waits is withdrawn, and its
    quote is looked at again after its rest."""
    for task_id in await cadences.waiting_of_contact(w.session, contact_id):
        gone = await w.move(
            Task, task_id, TaskState.withdrawn, frm=(TaskState.queued, TaskState.scheduled), ended_at=w.now,
            data={"reason": "promised"},
        )
        if gone is not None:
            await expired(w, gone, "promised")
            w.hint("wallboard")


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


async def expired(w: Writing, task: Task, reason: str = "expired") -> None:
    """Nobody had time for the quiet quote: it is looked at again after its rest."""
    quote = await w.session.locked(Quote, vouched(task.quote_id))
    if quote is None or quote.state not in OPEN:
        return
    live = await cadences.live_of_quote(w.session, quote.id)
    if live is not None:
        await w.move(Enrolment, live.id, EnrolmentState.active, data={"reason": reason})
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
