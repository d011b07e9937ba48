"""Foreseeing: days played forward in a moment, by values instead of rows and by the deciders that act in the house.

A test drives the real house through a fortnight and compares hour by hour. Nothing is read, written or sent.
"""

from dataclasses import replace
from datetime import timedelta

from router.model.cadences import EnrolmentState, StepState
from router.model.foreseen_announcing import announce
from router.model.foreseen_calls import booked_over, call_over, dial, dial_booked, enrol
from router.model.foreseen_steps import go_on, leave, missed_text, resume, step_due, unworked, waits
from router.model.foreseen_world import Alarm, World
from router.model.nurturing import BUSY_REST, MOST_TALKS, gives_way, kept_back, next_look, starts
from router.model.planning import Ahead, Course, EnrolmentAhead, QuoteAhead
from router.model.staleness import Finding, Hold, Patience, look
from router.model.stepping import LONGEST

TALK = timedelta(minutes=10)
"""Whoever talks with us at the start is free again after so long."""


def play(ahead: Ahead, seed: str) -> Course:
    """One play of the days ahead, with the lots of this seed."""
    world = World(ahead, seed)
    _begin(world)
    for alarm in world.ringing():
        _ring(world, alarm)
    return Course(world.contacts, world.blocks)


def _begin(world: World) -> None:
    """What is set already: in the order in which it was."""
    for booked in world.ahead.booked:
        world.alarm("booked", booked.task_id, max(booked.at, world.now))
    for quote in world.quotes.values():
        _tell_holds(world, quote)
        if quote.check_at is not None:
            world.alarm("check", quote.id, quote.check_at)
        if quote.ends_at is not None:
            world.alarm("end", quote.id, quote.ends_at)
    for enrolment in list(world.enrolments.values()):
        _take_up(world, enrolment)
    waited_for = {one.person_id for one in world.ahead.booked}
    for person in world.persons.values():
        if person.known.with_us and person.id not in waited_for:
            world.alarm("free", person.id, world.now + TALK)


def _tell_holds(world: World, quote: QuoteAhead) -> None:
    person = world.ahead.persons[quote.person_id]
    for hold, until in quote.watched.holds.items():
        known = person.promised_at if hold is Hold.promise else until
        world.block(f"holds.{hold.value}", person.id, quote.id, known)


def _take_up(world: World, enrolment: EnrolmentAhead) -> None:
    if enrolment.state is EnrolmentState.exited:
        return
    world.alarm("longest", enrolment.id, enrolment.created_at + LONGEST)
    if enrolment.state is EnrolmentState.paused:
        world.block(f"rests.{enrolment.paused_reason}", enrolment.person_id, enrolment.quote_id, enrolment.resume_at)
    for kind, at in (("resume", enrolment.resume_at), ("text", enrolment.text_at)):
        if at is not None:
            world.alarm(kind, enrolment.id, at)
    for step in enrolment.steps.values():
        if step.state is StepState.planned:
            world.alarm("step", enrolment.id, step.due_at, step.n)
            if step.announce_at is not None:
                world.alarm("announce", enrolment.id, step.announce_at, step.n)
        elif step.state is StepState.waiting:
            world.person_of(enrolment).busy = 0
            waits(world, enrolment, step, enrolment.unworked_at, held=enrolment.held)


def _ring(world: World, alarm: Alarm) -> None:
    match alarm.kind:
        case "check":
            _check_quote(world, world.quotes[alarm.subject])
        case "end":
            _quote_ends(world, world.quotes[alarm.subject])
        case "booked":
            dial_booked(world, world.booked[alarm.subject])
        case "booked_over":
            booked_over(world, world.booked[alarm.subject])
        case "free":
            world.persons[alarm.subject].busy = world.waiting(alarm.subject)
        case "resume":
            resume(world, world.enrolments[alarm.subject])
        case "text":
            missed_text(world, world.enrolments[alarm.subject])
        case "longest":
            leave(world, world.enrolments[alarm.subject], "too_long")
        case _:
            enrolment = world.enrolments[alarm.subject]
            _OF_STEPS[alarm.kind](world, enrolment, enrolment.steps[alarm.n])


_OF_STEPS = {"step": step_due, "announce": announce, "dial": dial, "over": call_over, "unworked": unworked}


# Quotes


def _check_quote(world: World, quote: QuoteAhead) -> None:
    """Has it gone quiet, and what now?"""
    watched, person = quote.watched, world.persons[quote.person_id]
    if not watched.is_open and watched.ended_at is None:
        return
    patience = Patience.of_seconds(quote.stale_seconds)
    finding = look(replace(watched, holds=world.holds(quote)), person.known.calendar, world.now, patience)
    if (again := next_look(finding, quote.stale_after, world.now)) is not None:
        world.alarm("check", quote.id, again)
    if finding.reason is not None:
        _act(world, quote, finding)


def _act(world: World, quote: QuoteAhead, finding: Finding) -> None:
    person = world.persons[quote.person_id]
    live = world.live_of(person.id)
    if live is not None and not gives_way(live, finding, quote.id, quote.watched.base):
        world.alarm("check", quote.id, world.now + min(quote.stale_after, BUSY_REST))
        return
    if quote.reached >= MOST_TALKS:
        world.block("talked_in_vain", person.id, quote.id, None)
        return
    verdict = world.ask(person, quote.lead_id)
    if not verdict.allowed:
        world.stopped(verdict, person.id, quote.id)
        again = kept_back(verdict, world.now)
        if again is not None and not person.known.guard.paused:  # a pause of the campaign has no end we know of
            world.alarm("check", quote.id, again)
        return
    if live is not None:
        leave(world, live, "at_hand")
    for start in starts(finding):
        began = enrol(world, quote, start, quote)
        if began is not None:
            world.cancel("check", quote.id)
            go_on(world, began)
            return


def _quote_ends(world: World, quote: QuoteAhead) -> None:
    """Its time is over."""
    if not quote.watched.is_open:
        return
    quote.watched = replace(quote.watched, is_open=False, ended_at=world.now)
    world.cancel("check", quote.id)
    live = world.live_of(quote.person_id)
    if live is not None and live.quote_id == quote.id:
        leave(world, live, "expired")
    if not quote.last_word:
        world.alarm("check", quote.id, world.now)
