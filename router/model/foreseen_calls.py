"""Calls of a play: dialled, over, and what comes of it for the cadence and the quote. Each verb does to values what the
one in `router.actions.calling` and `nurturing` does to rows, by the same decisions (`router.model.nurturing`)."""

from dataclasses import replace
from datetime import datetime, timedelta

from router.model.budgets import LEG_COST
from router.model.cadence_rules import Start
from router.model.cadences import EnrolmentState, StepState
from router.model.calendars import Unit, add
from router.model.foreseen_steps import go_on, leave, outcome_of, over, plan_again, rest, resume, seconds_of
from router.model.foreseen_world import Played, World
from router.model.guard import Purpose, Verdict, rests_until
from router.model.nurturing import Next, counted, following, rests_over, sequel_of, state_after, watch_on
from router.model.outcomes import ANSWERED, FINAL
from router.model.planning import Booked, EnrolmentAhead, QuoteAhead, StepAhead
from router.model.staleness import Reason
from router.model.stepping import LONGEST
from router.model.tasks import Disposition


def enrol(world: World, about: QuoteAhead | Booked, start: Start, quote: QuoteAhead | None) -> EnrolmentAhead | None:
    """A new enrolment; None when this quiet was enrolled in this cadence before, or he is in one."""
    person = world.persons[about.person_id]
    key, plan = world.ahead.cadences[person.known.campaign_id][start]
    base = quote.watched.base if quote is not None else world.now
    if world.live_of(person.id) is not None or (quote is not None and (key, base) in quote.began):
        return None
    if quote is not None:
        quote.began.add((key, base))
        if start.value == Reason.expired_winback:
            quote.watched = replace(quote.watched, won_back=True)
    made = EnrolmentAhead(
        world.next_id, person.id, about.lead_id, about.line_id, quote.id if quote else None, key, plan, start.value,
        EnrolmentState.active, world.now, base,
    )
    world.add(made)
    world.alarm("longest", made.id, world.now + LONGEST)
    return made


# A cadence's own call


def dial(world: World, enrolment: EnrolmentAhead, step: StepAhead) -> None:
    """Somebody is there for the call that waits. The guard is asked before he is rung, then money."""
    if step.state is not StepState.waiting:
        return
    person = world.person_of(enrolment)
    verdict = world.ask(person, enrolment.lead_id, about=step)
    if not verdict.allowed:
        _may_not_ring(world, enrolment, step, verdict)
        return
    step.dialled = True
    if not world.affordable(person, enrolment.lead_id, LEG_COST):
        world.block("budget", person.id, enrolment.quote_id, None)
        _call_over(world, enrolment, step, Disposition.not_permitted)
        return
    outcome = outcome_of(world, person, enrolment.key, step.n, step.tries)
    seconds = over(world, enrolment, step, outcome)
    world.joined(person, step)
    world.tried(person, "call", "call", seconds=seconds, busy=outcome is Disposition.busy)
    world.spend(person, enrolment.lead_id, LEG_COST)


def _may_not_ring(world: World, enrolment: EnrolmentAhead, step: StepAhead, verdict: Verdict) -> None:
    """The guard forbids the call that waits: its step is planned again for when it may be made, or it is over for good
    (`router.actions.listing`, `deferring`)."""
    until, quote = rests_until(verdict, world.now), world.quote_of(enrolment)
    if until is not None:
        plan_again(world, enrolment, step, until, verdict)
        return
    world.stopped(verdict, enrolment.person_id, enrolment.quote_id)
    if quote is not None:
        world.cancel("check", quote.id)
    leave(world, enrolment, verdict.rules[0])


def call_over(world: World, enrolment: EnrolmentAhead, step: StepAhead) -> None:
    """The call has ended as it was drawn."""
    _call_over(world, enrolment, step, Disposition(step.outcome))


def _call_over(world: World, enrolment: EnrolmentAhead, step: StepAhead, outcome: Disposition) -> None:
    person, quote = world.person_of(enrolment), world.quote_of(enrolment)
    person.busy -= 1
    _told(world, person, outcome)
    _sequel(world, enrolment, step, outcome)
    if quote is None or not quote.watched.is_open:
        return
    quote.last_word = quote.last_word or outcome in FINAL
    watch = watch_on(outcome, quote.stale_after)
    if watch.anew:
        world.rest_anew(quote)
    live = world.live_of(person.id)
    if watch.over:
        world.cancel("check", quote.id)
    elif live is None or live.quote_id != quote.id:
        world.alarm("check", quote.id, world.now + watch.rest)


def _told(world: World, person: Played, outcome: Disposition) -> None:
    """What is known of him after a call."""
    if ANSWERED.get(outcome):
        world.moved_by_person(person.id)
    world.remember(person, outcome)
    world.count_answer(person, outcome)


def _sequel(world: World, enrolment: EnrolmentAhead, step: StepAhead, outcome: Disposition) -> None:
    world.cancel("unworked", enrolment.id, step.n)
    if step.state is not StepState.waiting:
        return
    person = world.person_of(enrolment)
    sequel = sequel_of(outcome, enrolment, person.known.calendar, world.now, enrolment.plan.outcomes)
    for attribute, value in counted(enrolment, enrolment.no_number, step.n, outcome, sequel).items():
        setattr(enrolment, attribute, value)
    step.outcome, step.state = outcome.value, state_after(sequel)
    if step.state is StepState.done:
        step.ended_at = world.now
    then = following(sequel, outcome, enrolment.state, enrolment.outcomes, promised=person.promised)
    match then.word:
        case Next.go_on:
            enrolment.state = EnrolmentState.active
            if then.text:
                world.alarm("text", enrolment.id, world.now)
            go_on(world, enrolment)
        case Next.leave:
            leave(world, enrolment, then.reason)
        case Next.rest:
            calendar = person.known.calendar
            until = add(calendar, world.now, then.days, Unit.bd) if then.days is not None else None
            rest(world, enrolment, then.reason, until)


# Calls that stand already


def dial_booked(world: World, booked: Booked) -> None:
    """The moment of a call has come that was promised, put off, or waits for an agent."""
    person = world.persons[booked.person_id]
    purpose = Purpose.commercial if booked.commercial else Purpose.requested
    verdict = world.ask(person, booked.lead_id, purpose=purpose, promised=booked.promised)
    if not verdict.allowed:
        _booked_later(world, booked, verdict.until, verdict)
        return
    at = world.ahead.there(booked.line_id, world.now)
    if at is None or at > world.now:
        _booked_later(world, booked, at)
        return
    if not world.affordable(person, booked.lead_id, LEG_COST):
        world.block("budget", person.id, None, None)
        _booked_over(world, booked, Disposition.not_permitted)
        return
    outcome = outcome_of(world, person, f"task {booked.task_id}", 0, 0)
    seconds = seconds_of(world, booked.line_id, outcome)
    world.tried(person, "call", "call", seconds=seconds, purpose=purpose, busy=outcome is Disposition.busy)
    world.spend(person, booked.lead_id, LEG_COST)
    person.busy += 1
    world.alarm("booked_over", booked.task_id, world.now + timedelta(seconds=seconds))
    world.booked[booked.task_id] = replace(booked, outcome=outcome)


def _booked_later(world: World, booked: Booked, at: datetime | None, verdict: Verdict | None = None) -> None:
    if verdict is not None:
        world.stopped(verdict, booked.person_id, None)
    else:
        world.block("unstaffed", booked.person_id, None, at)
    if at is not None:
        world.alarm("booked", booked.task_id, at)


def booked_over(world: World, booked: Booked) -> None:
    """Such a call has ended as it was drawn."""
    _booked_over(world, booked, booked.outcome or Disposition.no_answer)


def _booked_over(world: World, booked: Booked, outcome: Disposition) -> None:
    person = world.persons[booked.person_id]
    person.busy = world.waiting(person.id)
    _told(world, person, outcome)
    was_promised = booked.promised and person.promised
    person.promised = person.promised and not booked.promised
    live = world.live_of(person.id)
    if live is not None and outcome in FINAL:
        leave(world, live, outcome.value)
    elif live is not None:
        resume(world, live, rests_over(promised=person.promised))
    elif was_promised and outcome in _NOT_THERE:
        _no_show(world, booked, person)


_NOT_THERE = (Disposition.no_answer, Disposition.busy)
"""A promise is broken by the customer then (`router.actions.keeping`)."""


def _no_show(world: World, booked: Booked, person: Played) -> None:
    """Who was not there when it was arranged comes into the cadence for that."""
    if world.ask(person, booked.lead_id).word == "deny" or not person.known.guard.phone:
        return
    began = enrol(world, booked, Start.no_show, None)
    if began is not None:
        go_on(world, began)
