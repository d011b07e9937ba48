"""Announcements of a play: what `router.actions.announcing` does to rows is done to values, by the same decisions
(`router.model.stepping`)."""

from router.model.budgets import MESSAGE_COST
from router.model.cadence_rules import Way
from router.model.cadences import StepState
from router.model.foreseen_steps import step_plan, where
from router.model.foreseen_world import World
from router.model.guard import may_contact, once_announced
from router.model.pacing import announced_at
from router.model.planning import EnrolmentAhead, StepAhead
from router.model.stepping import CHANNELS, INSIDE, announced_later, comes_to_nothing, may_announce


def announce(world: World, enrolment: EnrolmentAhead, step: StepAhead) -> None:
    """The moment has come to announce the step's call, unless the call is not planned any more."""
    if step.state is not StepState.planned or enrolment.state not in INSIDE:
        return
    plan, inside = step_plan(enrolment, step), where(world, enrolment)
    if not may_announce(plan, step):
        return
    if announced_at(plan, step.due_at, world.now) is None or comes_to_nothing(plan, inside, step.due_at):
        return
    person, lead_id = world.person_of(enrolment), enrolment.lead_id
    if Way.sms not in inside.ways or person.busy or world.ahead.nurture_off:
        return
    if not world.affordable(person, lead_id, MESSAGE_COST):
        return
    call = world.snapshot(person, lead_id, CHANNELS[Way.call_task])
    if not may_contact(once_announced(call, world.now), step.due_at).allowed:
        return
    text = world.ask(person, lead_id, channel=CHANNELS[Way.sms])
    if (later := announced_later(text, step.due_at)) is not None:
        world.alarm("announce", enrolment.id, later, step.n)
    elif text.allowed:
        step.announced_at, step.announced_for = world.now, step.due_at
        step.announcements += 1
        world.tried(person, "text", CHANNELS[Way.sms])
        world.spend(person, lead_id, MESSAGE_COST)
