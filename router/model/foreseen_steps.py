"""Steps of a play: how somebody goes on inside a cadence, to its end. Each verb does to values what the one of its name
in `router.actions.enrolling` and `stepping` does to rows, by the same decisions (`router.model.stepping`)."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from router.model.best_time import Caller, band_of
from router.model.budgets import MESSAGE_COST
from router.model.cadence_rules import StepPlan, Way
from router.model.cadences import EnrolmentState, StepState
from router.model.foreseen_world import Played, World
from router.model.guard import Purpose, Verdict
from router.model.outcomes import ANSWERED
from router.model.pacing import Decision, Inside, Word, announced_at, next_step
from router.model.planning import UNANSWERED_SECONDS, EnrolmentAhead, StepAhead, drawn, lots_of
from router.model.stepping import (
    BUDGET_REST,
    CHANNELS,
    DONE_REST,
    INSIDE,
    WITH_US_REST,
    Moment,
    Refusal,
    Then,
    about_offer,
    after_asking,
    after_refusal,
    anew,
    follows_at,
    inside_of,
    latest,
    may_announce,
    may_follow,
    may_hurry,
    missed_template,
    moment,
    patience,
    stands_alone,
    template_of,
    turn,
)
from router.model.tasks import Disposition


def step_plan(enrolment: EnrolmentAhead, step: StepAhead) -> StepPlan:
    """What the cadence says of this step."""
    plan = enrolment.plan.step(step.n)
    if plan is None:
        raise LookupError(f"the cadence {enrolment.key} has no step {step.n}")
    return plan


def where(world: World, enrolment: EnrolmentAhead) -> Inside:
    """Where he stands."""
    quote = world.quote_of(enrolment)
    steps = sorted(enrolment.steps.values(), key=lambda one: one.n)
    return inside_of(
        enrolment.plan, enrolment, steps, quote.offered if quote is not None else None, world.ways(enrolment)
    )


def go_on(world: World, enrolment: EnrolmentAhead) -> None:
    """Plans what is next for an active enrolment."""
    if not world.ways(enrolment):
        leave(world, enrolment, "no_way")
        return
    times = world.times(world.person_of(enrolment))
    while enrolment.state in INSIDE:
        decision = next_step(where(world, enrolment), times, world.now)
        for n, _ in decision.skipped:
            skip(world, _row(world, enrolment, n, _way(enrolment, n), world.now, world.now))
        if decision.word is Word.exit:
            leave(world, enrolment, decision.reason)
        elif decision.word is Word.do and _plan(world, enrolment, decision):
            continue  # the next one
        return


def _way(enrolment: EnrolmentAhead, n: int) -> Way:
    """By which way the cadence takes this step first."""
    plan = enrolment.plan.step(n)
    return plan.channel if plan is not None else Way.call_task


def _row(world: World, enrolment: EnrolmentAhead, n: int, way: Way, due_at: datetime, not_after: datetime) -> StepAhead:
    """The step's one row, planned anew."""
    step = enrolment.steps.get(n)
    if step is None:
        step = enrolment.steps[n] = StepAhead(n, way, StepState.planned, world.now, due_at, not_after)
    step.state, step.way, step.planned_at = StepState.planned, way, world.now
    step.due_at, step.not_after, step.hurried = due_at, not_after, False
    return step


def skip(world: World, step: StepAhead) -> None:
    """The step is left out."""
    step.state, step.ended_at = StepState.skipped, world.now


def _plan(world: World, enrolment: EnrolmentAhead, decision: Decision) -> bool:
    """Plans the step; whether the next one is to be planned besides: it was left out, or runs and is not waited for."""
    if decision.way is None or decision.due_at is None or decision.not_after is None:
        return False
    step = _row(world, enrolment, decision.n, decision.way, decision.due_at, decision.not_after)
    verdict = consult(world, enrolment, step)
    then = after_asking(verdict, step.due_at, world.now, at_once=decision.way is Way.call_task)
    if then in (Then.do, Then.wait):
        _plan_announcement(world, enrolment, step)
    match then:
        case Then.refuse:
            return _refused(world, enrolment, step, verdict)
        case Then.put_off:
            put_off(world, enrolment, step, verdict.until or world.now, verdict)
        case Then.do:
            return _call(world, enrolment, step)
        case Then.wait:
            world.alarm("step", enrolment.id, step.due_at, step.n)
    return False


def consult(world: World, enrolment: EnrolmentAhead, step: StepAhead, way: Way | None = None) -> Verdict:
    """The guard's answer for this step now, by the way it was planned or this one."""
    purpose = Purpose(step_plan(enrolment, step).needs)
    person = world.person_of(enrolment)
    return world.ask(person, enrolment.lead_id, channel=CHANNELS[way or step.way], purpose=purpose, about=step)


def _plan_announcement(world: World, enrolment: EnrolmentAhead, step: StepAhead) -> None:
    """Sets when the step's call is announced, if it is to be, or again."""
    plan = step_plan(enrolment, step)
    if not may_announce(plan, step):
        return
    if (at := announced_at(plan, step.due_at, world.now)) is None:
        world.cancel("announce", enrolment.id, step.n)
    else:
        world.alarm("announce", enrolment.id, at, step.n)


def _refused(world: World, enrolment: EnrolmentAhead, step: StepAhead, verdict: Verdict) -> bool:
    """The guard says no; whether the step is left out. A paused campaign has no end we know of: nothing follows."""
    world.stopped(verdict, enrolment.person_id, enrolment.quote_id)
    match after_refusal(verdict.rules[0]):
        case Refusal.rest:
            return False
        case Refusal.leave:
            leave(world, enrolment, verdict.rules[0])
            return False
    skip(world, step)
    return True


def put_off(
    world: World, enrolment: EnrolmentAhead, step: StepAhead, until: datetime, verdict: Verdict | None = None
) -> None:
    """The step is due later."""
    calendar = world.person_of(enrolment).known.calendar
    step.due_at, step.not_after = until, latest(step_plan(enrolment, step), calendar, until)
    if verdict is not None:
        world.stopped(verdict, enrolment.person_id, enrolment.quote_id)
    world.alarm("step", enrolment.id, until, step.n)
    _plan_announcement(world, enrolment, step)


def step_due(world: World, enrolment: EnrolmentAhead, step: StepAhead) -> None:
    """A planned step's moment has come."""
    if step.state is not StepState.planned or enrolment.state not in INSIDE:
        return
    quote = world.quote_of(enrolment)
    match moment(step, enrolment.reason, quote.offered if quote is not None else None, world.now):
        case Moment.expired:
            leave(world, enrolment, "expired")
        case Moment.early:
            world.alarm("step", enrolment.id, step.due_at, step.n)
        case Moment.late:
            _replan(world, enrolment, step)
        case Moment.right:
            _take_turn(world, enrolment, step)


def _take_turn(world: World, enrolment: EnrolmentAhead, step: StepAhead) -> None:
    its = turn(step_plan(enrolment, step), where(world, enrolment))
    if its.stop:
        leave(world, enrolment, its.stop)
    elif its.way is None:
        skip(world, step)
        go_on(world, enrolment)
    elif _kept_back(world, enrolment, step, consult(world, enrolment, step, its.way)):
        return
    elif its.way is not Way.call_task:
        _text(world, enrolment, step, its.way)
    elif _call(world, enrolment, step):
        go_on(world, enrolment)


def _kept_back(world: World, enrolment: EnrolmentAhead, step: StepAhead, verdict: Verdict) -> bool:
    """Whether the guard keeps back a step whose moment has come, and then what follows from that."""
    match after_asking(verdict, world.now, world.now):
        case Then.refuse:
            if _refused(world, enrolment, step, verdict):
                go_on(world, enrolment)
            return True
        case Then.put_off:
            put_off(world, enrolment, step, verdict.until or world.now, verdict)
            return True
    return False


def _replan(world: World, enrolment: EnrolmentAhead, step: StepAhead) -> None:
    """It is later than it may be, and planned anew."""
    verdict = consult(world, enrolment, step)
    if verdict.word == "deny":
        if _refused(world, enrolment, step, verdict):
            go_on(world, enrolment)
        return
    calendar = world.person_of(enrolment).known.calendar
    put_off(world, enrolment, step, anew(calendar, world.now, enrolment.id, verdict.until))


# Texts


def _text(world: World, enrolment: EnrolmentAhead, step: StepAhead, way: Way) -> None:
    if not world.affordable(world.person_of(enrolment), enrolment.lead_id, MESSAGE_COST):
        world.block("budget", enrolment.person_id, enrolment.quote_id, world.now + BUDGET_REST)
        put_off(world, enrolment, step, world.now + BUDGET_REST)
        return
    if _send(world, enrolment, template_of(step_plan(enrolment, step)), way):
        step.state, step.way, step.began_at, step.ended_at = StepState.done, way, world.now, world.now
    else:
        skip(world, step)
    go_on(world, enrolment)


def _send(world: World, enrolment: EnrolmentAhead, template: str, way: Way) -> bool:
    """Whether the text went out: what speaks of an offer needs its link."""
    quote = world.quote_of(enrolment)
    if quote is not None and about_offer(template, quote.id):
        open_ = quote.can_send and quote.watched.is_open
        if not open_ and not stands_alone(template, way, linked=quote.watched.linked):
            return False
    person = world.person_of(enrolment)
    world.tried(person, "mail" if way is Way.email else "text", CHANNELS[way])
    if way is not Way.email:
        world.spend(person, enrolment.lead_id, MESSAGE_COST)
    enrolment.messages += 1
    return True


def missed_text(world: World, enrolment: EnrolmentAhead) -> None:
    """We called and reached nobody, or a machine: a text says so."""
    person = world.person_of(enrolment)
    if not may_follow(enrolment, world.ways(enrolment)):
        return
    if not world.affordable(person, enrolment.lead_id, MESSAGE_COST):
        return
    verdict = world.ask(person, enrolment.lead_id, channel="sms")
    if (later := follows_at(verdict, world.now)) is not None:
        world.alarm("text", enrolment.id, later)
    if verdict.allowed:
        _send(world, enrolment, missed_template(enrolment.outcomes, enrolment.quote_id), Way.sms)


# Calls that wait for an agent


def _call(world: World, enrolment: EnrolmentAhead, step: StepAhead) -> bool:
    """Queues the step's call; whether the next step is planned besides."""
    person, plan = world.person_of(enrolment), step_plan(enrolment, step)
    if person.busy:
        put_off(world, enrolment, step, world.now + WITH_US_REST)
        return False
    if enrolment.line_id is None:
        skip(world, step)
        return True
    enrolment.state = EnrolmentState.awaiting_agent
    step.state, step.began_at, step.tries, step.hurried = StepState.waiting, world.now, step.tries + 1, False
    step.band = band_of(world.now, person.known.zone)
    waits(world, enrolment, step, patience(plan, person.known.calendar, world.now))
    return not plan.wait_for_completion


def waits(
    world: World, enrolment: EnrolmentAhead, step: StepAhead, until: datetime | None, *, held: bool = False
) -> None:
    """It waits for whoever is there first. `held`: somebody is at it already, and it is counted no more."""
    person = world.person_of(enrolment)
    person.busy += 1
    step.dialled = held
    if held:
        over(world, enrolment, step, outcome_of(world, person, enrolment.key, step.n, step.tries))
        return
    if until is not None:
        world.alarm("unworked", enrolment.id, until, step.n)
    at = None if world.ahead.nurture_off else world.ahead.there(enrolment.line_id, world.now)
    if at is None or at > world.now:
        rule = "nurture.off" if world.ahead.nurture_off else "unstaffed"
        world.block(rule, enrolment.person_id, enrolment.quote_id, at)
    if at is not None:
        world.alarm("dial", enrolment.id, at, step.n)


def over(world: World, enrolment: EnrolmentAhead, step: StepAhead, outcome: Disposition) -> int:
    """The call is being made, and will have ended like this after so many seconds, which it answers."""
    step.outcome = outcome.value
    seconds = seconds_of(world, enrolment.line_id, outcome)
    world.alarm("over", enrolment.id, world.now + timedelta(seconds=seconds), step.n)
    return seconds


def outcome_of(world: World, person: Played, key: str, n: int, tries: int) -> Disposition:
    """How a call to him ends: drawn."""
    chance = Caller(person.known.zone, rates=world.rates_of(person.known)).chance(world.now)
    return drawn(chance, world.ahead.mix, lots_of(world.seed, person.id, key, n, tries))


def seconds_of(world: World, line_id: int | None, outcome: Disposition) -> int:
    """How long it takes."""
    line = world.ahead.lines.get(line_id or 0)
    return line.handle_seconds if line is not None and ANSWERED.get(outcome) else UNANSWERED_SECONDS


def unworked(world: World, enrolment: EnrolmentAhead, step: StepAhead) -> None:
    """Nobody has taken the call."""
    if step.state is not StepState.waiting or enrolment.state is not EnrolmentState.awaiting_agent or step.dialled:
        return
    plan = step_plan(enrolment, step)
    if may_hurry(plan, hurried=step.hurried):
        step.hurried = True
        calendar = world.person_of(enrolment).known.calendar
        world.alarm("unworked", enrolment.id, patience(plan, calendar, world.now), step.n)
        return
    _withdraw(world, enrolment, step)
    skip(world, step)
    enrolment.state = EnrolmentState.active
    go_on(world, enrolment)


def _withdraw(world: World, enrolment: EnrolmentAhead, step: StepAhead) -> bool:
    """Whether the call waited, and waits no more."""
    if step.dialled:
        return False
    world.person_of(enrolment).busy -= 1
    for kind in ("dial", "unworked"):
        world.cancel(kind, enrolment.id, step.n)
    return True


def plan_again(world: World, enrolment: EnrolmentAhead, step: StepAhead, until: datetime, verdict: Verdict) -> None:
    """The call that waited has not been made: it is a planned one again."""
    _withdraw(world, enrolment, step)
    step.state, step.began_at, step.band, step.tries = StepState.planned, None, "", step.tries - 1
    enrolment.state = EnrolmentState.active
    put_off(world, enrolment, step, until, verdict)


# Ends and rests


def leave(world: World, enrolment: EnrolmentAhead, reason: str) -> None:
    """It is over for him; over already, nothing changes."""
    if enrolment.state is EnrolmentState.exited:
        return
    enrolment.state = EnrolmentState.exited
    quote = world.quote_of(enrolment)
    for kind in ("resume", "longest"):
        world.cancel(kind, enrolment.id)
    _drop_plans(world, enrolment)
    if reason == "reached" and quote is not None:
        quote.reached += 1
    if reason == "done" and quote is not None:
        world.alarm("check", quote.id, world.now + DONE_REST)


def _drop_plans(world: World, enrolment: EnrolmentAhead) -> None:
    for step in enrolment.steps.values():
        if step.state is StepState.planned:
            for kind in ("step", "announce"):
                world.cancel(kind, enrolment.id, step.n)
        elif step.state is not StepState.waiting or not _withdraw(world, enrolment, step):
            continue
        step.state = StepState.canceled


def rest(world: World, enrolment: EnrolmentAhead, reason: str, until: datetime | None) -> None:
    """He is left alone for a while."""
    if enrolment.state is EnrolmentState.exited:
        return
    if enrolment.state is not EnrolmentState.paused:
        _drop_plans(world, enrolment)
        enrolment.state = EnrolmentState.paused
    enrolment.paused_reason = reason
    world.cancel("resume", enrolment.id)
    if until is not None:
        world.alarm("resume", enrolment.id, until)


def resume(world: World, enrolment: EnrolmentAhead, why: Sequence[str] = ()) -> None:
    """He goes on, if he rests for one of these reasons, or whatever for."""
    if enrolment.state is not EnrolmentState.paused or (why and enrolment.paused_reason not in why):
        return
    world.cancel("resume", enrolment.id)
    enrolment.state, enrolment.paused_reason, enrolment.resumed_at = EnrolmentState.active, "", world.now
    go_on(world, enrolment)
