"""Enrolling: a person inside a cadence, from the first step to the last. Texts are sent by `router.actions.stepping`.

Every verb here holds the enrolment's row lock: a step is done only while its enrolment is active and of the step's own
version, and whatever ends or stops the enrolment cancels what is planned in the same transaction. So a stop either
comes before a text, which is then never sent, or after it. Rows are locked in the order number, signing, quote,
enrolment, step, task.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from router.actions import timing
from router.actions.guarding import ask_guard, told
from router.book import Writing
from router.model.base import vouched
from router.model.best_time import band_of
from router.model.cadence_rules import CadencePlan, StepPlan, Way, read_body
from router.model.cadences import CadenceVersion, Enrolment, EnrolmentState, Step, StepState
from router.model.calendars import Unit, add
from router.model.campaigns import Campaign, Queue
from router.model.contacts import Contact
from router.model.conversations import Channel
from router.model.guard import PENDING_REST, Purpose, Verdict, is_pending
from router.model.pacing import Decision, Inside, Times, Word, announced_at, next_step, spread
from router.model.quotes import Quote
from router.model.stepping import (
    CHANNELS,
    DONE_REST,
    INSIDE,
    LONGEST,
    PAUSED_REST,
    UNWORKED_HOURS,
    WITH_US_REST,
    Offered,
    Refusal,
    Then,
    after_asking,
    after_refusal,
    anew,
    latest,
    may_announce,
    may_hurry,
    patience,
    reachable,
)
from router.model.stepping import inside_of as standing
from router.model.tasks import (
    TIER_EXPIRING,
    TIER_HOT,
    TIER_STALE,
    TIER_WIN_BACK,
    Task,
    TaskKind,
    TaskState,
    kept_for,
    placed,
)
from router.store import addresses, alarms, cadences, conversations, tasks
from router.store.db import ReadSession

QUOTE_CHECK = "quote.check"
"""The alarm at which it is asked whether a quote is quiet."""
STEP_DUE = "step.due"
"""The alarm of a planned step."""
STEP_ANNOUNCE = "step.announce"
"""The alarm at which a planned call is announced to its person."""
STEP_DEFER = "step.defer"
"""The alarm of a step whose call waits no more, because the guard has put it off."""
STEP_UNWORKED = "step.unworked"
"""The alarm at which nobody has taken a step's call for too long."""
ENROLMENT_RESUME = "enrolment.resume"
"""The alarm at which a rest is over."""
ENROLMENT_END = "enrolment.end"
"""The alarm at which an enrolment ends, whatever became of it."""

_TIERS = {
    "sign_abandoned": TIER_HOT, "hot_reopen": TIER_HOT, "expiring": TIER_EXPIRING, "expired_winback": TIER_WIN_BACK,
    "sold": TIER_WIN_BACK,
}


@dataclass(frozen=True)
class Case:
    """An enrolment, locked, with what belongs to it."""

    enrolment: Enrolment
    plan: CadencePlan
    campaign: Campaign
    contact: Contact
    quote: Quote | None


async def case_of(w: Writing, enrolment: Enrolment) -> Case | None:
    """None for one of a plan of before."""
    version = await w.session.get(CadenceVersion, enrolment.version_id) if enrolment.version_id else None
    if version is None:
        return None
    return Case(
        enrolment, read_body(version.body), vouched(await w.session.get(Campaign, enrolment.campaign_id)),
        vouched(await w.session.get(Contact, enrolment.contact_id)),
        await w.session.get(Quote, enrolment.quote_id) if enrolment.quote_id else None,
    )


async def ways_of(w: Writing, case: Case) -> frozenset[Way]:
    """By which ways this person can be reached at all."""
    ways = await ways_to(w.session, case.campaign, case.contact, w.now, can_mail=w.can_mail)
    return reachable(ways, no_number=case.enrolment.no_number)


async def ways_to(
    session: ReadSession, campaign: Campaign, contact: Contact, now: datetime, *, can_mail: bool
) -> frozenset[Way]:
    """The same before he is in a cadence. WhatsApp: while he may be answered there. `can_mail`: the house has a mail
    server."""
    open_to_him: set[Way] = set()
    if contact.phone:
        open_to_him = {Way.sms, Way.call_task}
        if campaign.whatsapp and await conversations.wrote_since(
            session, contact.id, Channel.whatsapp, now - timedelta(hours=24)
        ):
            open_to_him.add(Way.whatsapp)
    if can_mail and campaign.mail_from and await addresses.address_of(session, contact.id):
        open_to_him.add(Way.email)
    return frozenset(open_to_him)


def offered(quote: Quote | None) -> Offered | None:
    """The offer, as the rules read it."""
    return Offered(quote.valid_until, quote.last_open_at) if quote is not None else None


async def inside_of(w: Writing, case: Case) -> Inside:
    """Where he stands, as the rules read it."""
    steps = await cadences.steps_of(w.session, case.enrolment.id)
    return standing(case.plan, case.enrolment, steps, offered(case.quote), await ways_of(w, case))


async def begin(w: Writing, enrolment: Enrolment) -> None:
    """Somebody has come in: his first step is planned."""
    w.fact("enrolment.active", campaign_id=enrolment.campaign_id, lead_id=enrolment.lead_id, subject_id=enrolment.id,
           reason=enrolment.reason, version=enrolment.version_id, **_about(enrolment))
    await alarms.set_alarm(w.session, ENROLMENT_END, enrolment.id, w.now + LONGEST)
    await go_on(w, enrolment)


def _about(enrolment: Enrolment) -> dict[str, int]:
    return {"quote": enrolment.quote_id} if enrolment.quote_id else {}


async def go_on(w: Writing, enrolment: Enrolment, *, late: bool = False) -> None:
    """Plans what is next for an active enrolment. `late`: the step before was due long ago; what is planned anew is
    spread, so that an outage ends without a burst."""
    case = await case_of(w, enrolment)
    if case is None:
        await leave(w, enrolment, "upgraded")
        return
    if not await ways_of(w, case):
        await leave(w, enrolment, enrolment.outcomes[-1] if enrolment.no_number and enrolment.outcomes else "no_way")
        return
    times = await timing.times_of(w, case.campaign, case.contact)
    while enrolment.state in INSIDE:
        decision = next_step(await inside_of(w, case), times, w.now)
        for n, reason in decision.skipped:
            await _leave_out(w, case, n, reason)
        match decision.word:
            case Word.exit:
                await leave(w, enrolment, decision.reason)
            case Word.do if await _plan(w, case, times, decision, late=late):
                continue  # it was left out: the next one
        return


async def _leave_out(w: Writing, case: Case, n: int, reason: str) -> None:
    step = await _row(w, case, n, _way(case.plan, n), w.now, w.now)
    await w.move(Step, step.id, StepState.skipped, ended_at=w.now, reason=reason, data={"n": n, "reason": reason})


def _way(plan: CadencePlan, n: int) -> Way:
    return vouched(plan.step(n)).channel


async def _row(w: Writing, case: Case, n: int, way: Way, due_at: datetime, not_after: datetime) -> Step:
    """The step's one row, planned anew."""
    enrolment = case.enrolment
    known = next((one for one in await cadences.steps_of(w.session, enrolment.id) if one.n == n), None)
    values: dict[str, Any] = {
        "version_id": vouched(enrolment.version_id), "way": way.value, "planned_at": w.now, "due_at": due_at,
        "not_after": not_after, "reason": "",
    }
    if known is not None:
        return vouched(await w.move(
            Step, known.id, StepState.planned, **values, data={"n": n, "way": way.value, "due": due_at.isoformat()}
        ))
    made = Step(enrolment_id=enrolment.id, campaign_id=enrolment.campaign_id, lead_id=enrolment.lead_id, n=n,
                state=StepState.planned, **values)
    w.session.add(made)
    await w.session.flush()
    w.fact("step.planned", campaign_id=made.campaign_id, lead_id=made.lead_id, subject_id=made.id, n=n,
           way=way.value, due=due_at.isoformat())
    return made


async def _plan(w: Writing, case: Case, times: Times, decision: Decision, *, late: bool) -> bool:
    """Plans the step; whether it was left out instead. A call that is due is queued at once."""
    due_at, not_after, way = vouched(decision.due_at), vouched(decision.not_after), vouched(decision.way)
    if late:
        due_at += spread(case.enrolment.id)
        not_after = max(not_after, due_at + PAUSED_REST)
    step = await _row(w, case, decision.n, way, due_at, not_after)
    verdict = await consult(w, case, step)
    then = after_asking(verdict, step.due_at, w.now, at_once=way is Way.call_task)
    if then in (Then.do, Then.wait):
        await _plan_announcement(w, case, step)
    match then:
        case Then.refuse:
            return await refused(w, case, step, verdict)
        case Then.put_off:
            await put_off(w, case, step, vouched(verdict.until), verdict.rules[0])
        case Then.do:
            await _call(w, case, step, verdict)
        case Then.wait:
            await alarms.set_alarm(w.session, STEP_DUE, step.id, step.due_at)
    return False


async def _plan_announcement(w: Writing, case: Case, step: Step) -> None:
    """Sets when the step's call is announced, if it is to be, or again."""
    plan = step_plan(case, step)
    if not may_announce(plan, step):
        return
    at = announced_at(plan, step.due_at, w.now)
    if at is None:
        await alarms.cancel(w.session, STEP_ANNOUNCE, step.id, w.now)
        unannounced(w, step, "short_notice")
    else:
        await alarms.set_alarm(w.session, STEP_ANNOUNCE, step.id, at)


def unannounced(w: Writing, step: Step, reason: str, rules: Sequence[str] = ()) -> None:
    """The step's call comes without being announced. `rules` are the guard's, if that was in the way."""
    w.fact("step.unannounced", campaign_id=step.campaign_id, lead_id=step.lead_id, subject_id=step.id, n=step.n,
           reason=reason, rules=list(rules))


def step_plan(case: Case, step: Step) -> StepPlan:
    """What the cadence says of this step."""
    return vouched(case.plan.step(step.n))


async def consult(w: Writing, case: Case, step: Step, way: Way | None = None) -> Verdict:
    """The guard's answer for this step now, by the way it was planned or this one, told in the journal."""
    purpose = Purpose(step_plan(case, step).needs)
    verdict = await ask_guard(
        w, case.campaign, case.contact, purpose, case.enrolment.lead_id, channel=CHANNELS[way or Way(step.way)],
        announced=step.announcement_id,
    )
    told(w, verdict, case.campaign, purpose, lead_id=case.enrolment.lead_id, subject_id=step.id, when="plan",
         way=step.way)
    return verdict


async def refused(w: Writing, case: Case, step: Step, verdict: Verdict) -> bool:
    """The guard says no: the enrolment ends, or rests with its campaign or until a register has answered, or the step
    is left out (True) where the no is about this way only."""
    rule = verdict.rules[0]
    if is_pending(verdict):
        await put_off(w, case, step, max(step.due_at, w.now + PENDING_REST), rule)
        return False
    match after_refusal(rule):
        case Refusal.rest:
            # What is planned for later stays so.
            await put_off(w, case, step, max(step.due_at, w.now + PAUSED_REST), rule)
            return False
        case Refusal.leave:
            await leave(w, case.enrolment, rule)
            return False
    await w.move(Step, step.id, StepState.skipped, ended_at=w.now, reason=rule, data={"n": step.n, "reason": rule})
    return True


async def put_off(w: Writing, case: Case, step: Step, until: datetime, reason: str) -> None:
    """The step is due later (aware), and may be as late then as it might be now."""
    late = latest(step_plan(case, step), timing.calendar_of(case.campaign, case.contact), until)
    vouched(await w.move(
        Step, step.id, StepState.planned, due_at=until, not_after=late, reason=reason,
        data={"n": step.n, "due": until.isoformat(), "reason": reason},
    ))
    await alarms.set_alarm(w.session, STEP_DUE, step.id, until)
    await _plan_announcement(w, case, step)


async def _queue_of(w: Writing, case: Case) -> Queue | None:
    """The quote's own line, or the one in which the request waited last."""
    if case.quote is not None and case.quote.queue_id is not None:
        return await w.session.get(Queue, case.quote.queue_id)
    newest = await tasks.newest_of_lead(w.session, case.enrolment.lead_id)
    return None if newest is None else await tasks.queue_of(w.session, newest)


async def _call(w: Writing, case: Case, step: Step, verdict: Verdict) -> None:
    """Queues the step's call, kept for whoever wrote the quote. Who is with us just now is called later."""
    if await tasks.with_us(w.session, case.contact.id):
        await put_off(w, case, step, w.now + WITH_US_REST, "with_us")
        return
    plan, enrolment = step_plan(case, step), case.enrolment
    tier = plan.tier or _TIERS.get(enrolment.reason, TIER_STALE)
    queue = await _queue_of(w, case)
    if queue is None:
        await w.move(Step, step.id, StepState.skipped, ended_at=w.now, reason="no_line", data={"n": step.n})
        await go_on(w, enrolment)
        return
    owner = case.quote.agent_id if case.quote is not None else case.contact.agent_id
    task = Task(
        **placed(queue.line, TaskKind.nurture, tier, w.now), **kept_for(queue.line, owner, w.now),
        lead_id=enrolment.lead_id, contact_id=enrolment.contact_id, state=TaskState.queued, enqueued_at=w.now,
        quote_id=enrolment.quote_id,
    )
    w.session.add(task)
    await w.session.flush()
    await w.move(
        Enrolment, enrolment.id, EnrolmentState.awaiting_agent, data={"reason": enrolment.reason, **_about(enrolment)}
    )
    calendar = timing.calendar_of(case.campaign, case.contact)
    await w.move(
        Step, step.id, StepState.waiting, task_id=task.id, began_at=w.now, tries=step.tries + 1, reason="",
        band=band_of(w.now, timing.zone_of(case.campaign, case.contact)), data={"n": step.n, "task": task.id},
    )
    await alarms.set_alarm(w.session, STEP_UNWORKED, step.id, patience(plan, calendar, w.now))
    w.fact("task.queued", campaign_id=task.campaign_id, lead_id=task.lead_id, subject_id=task.id, tier=task.tier,
           reason=enrolment.reason, rules=list(verdict.rules))
    w.hint("dispatch", "wallboard")
    if not plan.wait_for_completion:
        await go_on(w, enrolment)


async def call_due(w: Writing, case: Case, step: Step) -> None:
    """A planned call's moment has come: the guard is asked again, and its call waits for an agent."""
    verdict = await consult(w, case, step)
    if await kept_back(w, case, step, verdict):
        return
    await _call(w, case, step, verdict)


async def kept_back(w: Writing, case: Case, step: Step, verdict: Verdict) -> bool:
    """Whether the guard keeps back a step whose moment has come, and then what follows from that."""
    match after_asking(verdict, w.now, w.now):
        case Then.refuse:
            if await refused(w, case, step, verdict):
                await go_on(w, case.enrolment)
            return True
        case Then.put_off:
            await put_off(w, case, step, vouched(verdict.until), verdict.rules[0])
            return True
    return False


async def drop_plans(w: Writing, enrolment: Enrolment, reason: str) -> None:
    """Nothing that is planned happens, and a call that waits is withdrawn. One that is being held goes on."""
    for step in await cadences.steps_of(w.session, enrolment.id):
        if step.state is StepState.planned:
            for kind in (STEP_DUE, STEP_ANNOUNCE):
                await alarms.cancel(w.session, kind, step.id, w.now)
        elif step.state is StepState.waiting:
            await alarms.cancel(w.session, STEP_UNWORKED, step.id, w.now)
            if not await withdraw_call(w, step, reason):
                continue
        else:
            continue
        await w.move(Step, step.id, StepState.canceled, reason=reason, data={"n": step.n, "reason": reason})


async def withdraw_call(w: Writing, step: Step, reason: str) -> bool:
    """Whether the step's call waited, and is withdrawn."""
    waiting = await cadences.waiting_task(w.session, step.task_id) if step.task_id is not None else None
    gone = waiting and await w.move(
        Task, waiting.id, TaskState.withdrawn, frm=(TaskState.queued, TaskState.scheduled), ended_at=w.now,
        data={"reason": reason},
    )
    w.hint("wallboard")
    return gone is not None


async def leave(w: Writing, enrolment: Enrolment, reason: str) -> None:
    """It is over for him. Nothing of it happens any more; over already, nothing changes."""
    gone = await w.move(
        Enrolment, enrolment.id, EnrolmentState.exited, exit_reason=reason, ended_at=w.now, data={"reason": reason}
    )
    if gone is None:
        return
    for kind in (ENROLMENT_RESUME, ENROLMENT_END):
        await alarms.cancel(w.session, kind, enrolment.id, w.now)
    await drop_plans(w, gone, reason)
    if reason == "done" and gone.quote_id is not None:
        # Another reason may hold by now, e.g. that it ends soon; this cadence does not begin again in this quiet.
        await alarms.set_alarm(w.session, QUOTE_CHECK, gone.quote_id, w.now + DONE_REST)


async def rest(w: Writing, enrolment: Enrolment, reason: str, until: datetime | None = None) -> None:
    """He is left alone for a while: until then (aware) at most, where it is known; else until somebody says so."""
    if enrolment.state is EnrolmentState.exited:
        return
    if enrolment.state is EnrolmentState.paused:
        enrolment.paused_reason = reason
        await w.session.flush()
    else:
        await drop_plans(w, enrolment, reason)
        vouched(await w.move(
            Enrolment, enrolment.id, EnrolmentState.paused, paused_reason=reason, data={"reason": reason}
        ))
    if until is not None:
        await alarms.set_alarm(w.session, ENROLMENT_RESUME, enrolment.id, until)
    else:
        await alarms.cancel(w.session, ENROLMENT_RESUME, enrolment.id, w.now)


async def resume(w: Writing, enrolment: Enrolment, why: Sequence[str] = ()) -> bool:
    """He goes on from the step he was at, counted from now. Only if he rests, and for one of the reasons `why`, if any
    is named."""
    if enrolment.state is not EnrolmentState.paused or (why and enrolment.paused_reason not in why):
        return False
    await alarms.cancel(w.session, ENROLMENT_RESUME, enrolment.id, w.now)
    active = vouched(await w.move(
        Enrolment, enrolment.id, EnrolmentState.active, paused_reason="", resumed_at=w.now,
        data={"reason": enrolment.paused_reason},
    ))
    await go_on(w, active)
    return True


async def fallback(w: Writing, enrolment: Enrolment, days: int) -> datetime:
    """So many of the customer's business days from now (aware), for rests that somebody should end sooner."""
    campaign = vouched(await w.session.get(Campaign, enrolment.campaign_id))
    contact = vouched(await w.session.get(Contact, enrolment.contact_id))
    return add(timing.calendar_of(campaign, contact), w.now, days, Unit.bd)


async def unworked(w: Writing, step_id: int) -> None:
    """Nobody has taken the step's call (an alarm's handler): it is hurried once, and left out after as long again. One
    that is only worth something at once is left out."""
    found = await w.session.get(Step, step_id)
    if found is None:
        return
    enrolment = vouched(await w.session.locked(Enrolment, found.enrolment_id))
    step = vouched(await w.session.locked(Step, step_id))
    case = await case_of(w, enrolment)
    if case is None or step.state is not StepState.waiting or enrolment.state is not EnrolmentState.awaiting_agent:
        return
    waiting = await cadences.waiting_task(w.session, vouched(step.task_id))
    if waiting is None:
        return  # somebody is at it
    calendar = timing.calendar_of(case.campaign, case.contact)
    if may_hurry(step_plan(case, step), hurried=step.reason == "hurried"):
        await _hurry(w, waiting)
        step.reason = "hurried"
        await w.session.flush()
        await alarms.set_alarm(w.session, STEP_UNWORKED, step.id, add(calendar, w.now, UNWORKED_HOURS, Unit.bh))
        return
    await withdraw_call(w, step, "unstaffed")
    await unstaffed(w, enrolment, step)


async def unstaffed(w: Writing, enrolment: Enrolment, step: Step) -> None:
    """Nobody had time for it: the step is left out, and he goes on."""
    await alarms.cancel(w.session, STEP_UNWORKED, step.id, w.now)
    await w.move(Step, step.id, StepState.skipped, ended_at=w.now, reason="unstaffed",
                 data={"n": step.n, "reason": "unstaffed"})
    active = await w.move(Enrolment, enrolment.id, EnrolmentState.active, data={"reason": "unstaffed"})
    if active is not None:
        await go_on(w, active)


async def _hurry(w: Writing, task: Task) -> None:
    """Moves the call one class up in its line, and tells the supervisors."""
    queue = await tasks.queue_of(w.session, task)
    moved = placed(queue.line, task.kind, max(task.tier - 1, TIER_HOT), task.since_ms)
    for column in ("tier", "lane", "rank"):
        setattr(task, column, moved[column])
    await w.session.flush()
    w.fact("step.hurried", campaign_id=task.campaign_id, lead_id=task.lead_id, subject_id=task.id, tier=task.tier)
    w.hint("dispatch", "wallboard")


async def replan(w: Writing, case: Case, step: Step) -> None:
    """The step is later than it may be: it is planned anew, through the guard, spread over a while."""
    calendar = timing.calendar_of(case.campaign, case.contact)
    w.fact("step.late", campaign_id=step.campaign_id, lead_id=step.lead_id, subject_id=step.id, n=step.n,
           late_s=round((w.now - step.due_at).total_seconds()))
    verdict = await consult(w, case, step)
    if verdict.word == "deny":
        if await refused(w, case, step, verdict):
            await go_on(w, case.enrolment)
        return
    await put_off(w, case, step, anew(calendar, w.now, case.enrolment.id, verdict.until), "late")
