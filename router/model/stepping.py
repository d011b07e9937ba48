"""Stepping: what becomes of a cadence's step, from its planning to its end. Pure; moments are aware.

The verbs of `router.actions` and the plan (`router.model.foreseeing`) both decide by these: what is planned is done.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from router.model.cadence_rules import LEAST_NOTICE, MOST_MESSAGES, CadencePlan, Skip, StepPlan, Way
from router.model.cadences import EnrolmentState, StepState
from router.model.calendars import Unit, add, next_business
from router.model.guard import Verdict
from router.model.hours import Opening
from router.model.letters import ALONE
from router.model.pacing import Inside, Past, left_out, spread
from router.model.tasks import Disposition

LONGEST = timedelta(days=90)
"""Nobody is inside a cadence for longer."""
UNWORKED_HOURS = 8
"""Business hours a call waits for an agent before it is hurried, and as many again before it is left out."""
PAUSED_REST = timedelta(minutes=15)
"""How long a paused campaign's steps and quotes rest before they are looked at again."""
DONE_REST = timedelta(minutes=1)
"""A quote whose cadence has come to its end is looked at again so long after it."""
WITH_US_REST = timedelta(minutes=30)
"""How long a step waits for who is with us just now."""
BUDGET_REST = timedelta(hours=4)
"""A text the day's money does not allow is tried again so much later."""
AS_ANNOUNCED = timedelta(hours=1)
"""A call that begins so much sooner or later than it was announced is still the one that was announced."""
MOST_ANNOUNCEMENTS = 2
"""A call that has moved further than that is announced once more, not a third time."""
MISSED_WITHIN = timedelta(hours=4)
"""A text that we called makes sense for so long."""

INSIDE = (EnrolmentState.active, EnrolmentState.awaiting_agent)
"""While steps are planned and done."""
OVER = (StepState.done, StepState.skipped)
AFTERWARDS = ("expired_winback", "sold")
"""What begins after the offer's time: its end ends nothing."""
CHANNELS = {Way.sms: "sms", Way.email: "mail", Way.whatsapp: "whatsapp", Way.call_task: "call"}
"""What the guard calls the ways of a cadence."""

_PAUSED = "campaign.paused"
_OF_THE_NUMBER = ("suppressed.wrong_number", "suppressed.invalid_number")
"""Nothing is left to do by telephone; by other ways there may be."""
_ENDING = ("suppressed.", "consent.", "quiet.", "refused.")
"""What the guard's no begins with that ends an enrolment."""
_BY_NUMBER = frozenset({Way.sms, Way.call_task, Way.whatsapp})
_WITHOUT_OFFER = ("missed_you", "how_is_it")
"""Texts that are not about the offer, whatever the cadence is about."""


class Enrolled(Protocol):
    """An enrolment, as far as it decides what is next: a row, or one that is foreseen."""

    @property
    def state(self) -> EnrolmentState: ...
    @property
    def created_at(self) -> datetime: ...
    @property
    def reason(self) -> str: ...
    @property
    def calls(self) -> int: ...
    @property
    def messages(self) -> int: ...
    @property
    def outcomes(self) -> Sequence[str]: ...
    @property
    def not_before(self) -> datetime | None: ...
    @property
    def other_band(self) -> bool: ...
    @property
    def again(self) -> int | None: ...
    @property
    def resumed_at(self) -> datetime | None: ...


class Stepped(Protocol):
    """A step, likewise."""

    @property
    def n(self) -> int: ...
    @property
    def state(self) -> StepState: ...
    @property
    def planned_at(self) -> datetime: ...
    @property
    def due_at(self) -> datetime: ...
    @property
    def not_after(self) -> datetime: ...
    @property
    def began_at(self) -> datetime | None: ...
    @property
    def ended_at(self) -> datetime | None: ...


class Foretold(Protocol):
    """A step whose call may be announced: by so many texts by now, the last of which named `announced_for`."""

    @property
    def due_at(self) -> datetime: ...
    @property
    def tries(self) -> int: ...
    @property
    def announcements(self) -> int: ...
    @property
    def announced_for(self) -> datetime | None: ...


@dataclass(frozen=True)
class Offered:
    """The offer a cadence is about: until when it is good, and when a person opened it last."""

    valid_until: datetime
    opened_at: datetime | None


def inside_of(
    plan: CadencePlan, enrolment: Enrolled, steps: Sequence[Stepped], offer: Offered | None, ways: frozenset[Way]
) -> Inside:
    """Where somebody stands, as the rules read it; the steps by their number."""
    opened = offer.opened_at if offer is not None else None
    conditions = {
        Skip.opened: opened is not None and opened >= enrolment.created_at,
        Skip.not_opened: offer is not None and opened is None,
        Skip.talked: "talked" in enrolment.outcomes,
        Skip.replied: "replied" in enrolment.outcomes,
    }
    return Inside(
        plan=plan, enrolled_at=enrolment.created_at,
        valid_until=offer.valid_until if offer is not None and enrolment.reason not in AFTERWARDS else None,
        past=tuple(
            # A call that waited in vain for an agent took its time: what follows is counted from its end.
            Past(one.n, one.began_at or one.planned_at, one.ended_at or one.planned_at,
                 skipped=one.state is StepState.skipped and one.began_at is None)
            for one in steps if one.state in OVER
        ),
        running=next((one.n for one in steps if one.state is StepState.waiting), None),
        calls=enrolment.calls, messages=enrolment.messages, not_before=enrolment.not_before,
        other_band=enrolment.other_band, again=enrolment.again, ways=ways,
        true=frozenset(name for name, holds in conditions.items() if holds), resumed_at=enrolment.resumed_at,
    )  # fmt: skip


def reachable(ways: frozenset[Way], *, no_number: bool) -> frozenset[Way]:
    """The ways that are left. `no_number`: the number has turned out not to be his, or nobody's."""
    return ways - _BY_NUMBER if no_number else ways


# The guard's answer


class Then(StrEnum):
    """What follows from the guard's answer about a step."""

    refuse = "refuse"
    put_off = "put_off"
    wait = "wait"
    do = "do"


def after_asking(verdict: Verdict, due_at: datetime, now: datetime, *, at_once: bool = True) -> Then:
    """For a step due then. `at_once`: what is due may be done here and now; else it waits for its alarm."""
    if verdict.word == "deny":
        return Then.refuse
    if verdict.until is not None and verdict.until > due_at:
        return Then.put_off
    return Then.do if at_once and due_at <= now else Then.wait


class Refusal(StrEnum):
    """What a no of the guard means: all rests with its campaign, it is over for him, or this step is left out."""

    rest = "rest"
    leave = "leave"
    leave_out = "leave_out"


def after_refusal(rule: str) -> Refusal:
    """By the first rule of the no."""
    if rule == _PAUSED:
        return Refusal.rest
    if rule.startswith(_ENDING) and rule not in _OF_THE_NUMBER:
        return Refusal.leave
    return Refusal.leave_out


def latest(plan: StepPlan, calendar: Opening, due_at: datetime) -> datetime:
    """How late a step that was put off until then may still be done."""
    return add(calendar, due_at, plan.not_after, Unit.bmin)


def anew(calendar: Opening, now: datetime, key: int, until: datetime | None) -> datetime:
    """When a step is done that is later than it may be: in business hours, spread by `key` (an outage must not end in a
    burst), and not before the guard allows."""
    at = next_business(calendar, now) + spread(key)
    return max(at, until or at)


# A step whose moment has come


class Moment(StrEnum):
    """Whether the moment is right: the offer's time may be over, the step not due yet, or due for too long."""

    expired = "expired"
    early = "early"
    late = "late"
    right = "right"


def moment(step: Stepped, reason: str, offer: Offered | None, now: datetime) -> Moment:
    """`reason` is why the enrolment began."""
    if offer is not None and offer.valid_until <= now and reason not in AFTERWARDS:
        return Moment.expired
    if step.due_at > now:
        return Moment.early
    return Moment.late if now > step.not_after else Moment.right


@dataclass(frozen=True)
class Turn:
    """What the step comes to: the cadence ends for the reason `stop`, the step is left out (`way` None), or done by
    this way."""

    way: Way | None = None
    stop: str = ""
    why: str = ""


def turn(plan: StepPlan, inside: Inside) -> Turn:
    """What a step comes to whose moment is right, before the guard is asked."""
    why, way = left_out(plan, inside)
    stop = [one for one in plan.stop_on if one in inside.true]
    return Turn(stop=stop[0].value) if stop else Turn(way, why=why)


# Announcements


def may_announce(plan: StepPlan, step: Foretold) -> bool:
    """Whether a step's call is to be announced, or announced again: before it is made for the first time, once, and
    once more when it comes at another time than was announced."""
    if plan.announce_minutes is None or step.tries:
        return False
    return not step.announcements or (step.announcements < MOST_ANNOUNCEMENTS and not as_announced(step))


def as_announced(step: Foretold) -> bool:
    """Whether the call comes when it was announced. What was told is unknown of old announcements, and holds."""
    return step.announced_for is None or abs(step.due_at - step.announced_for) <= AS_ANNOUNCED


def comes_to_nothing(plan: StepPlan, inside: Inside, due_at: datetime) -> bool:
    """Whether a planned call will not be made anyway, as things stand."""
    its = turn(plan, inside)
    expired = inside.valid_until is not None and inside.valid_until <= due_at
    return expired or bool(its.stop) or its.way is None


def announced_later(verdict: Verdict, due_at: datetime) -> datetime | None:
    """When the guard is asked again about the text that it defers; None when nobody would read it before the call."""
    in_time = verdict.until is not None and verdict.until + timedelta(minutes=LEAST_NOTICE) <= due_at
    return verdict.until if in_time else None


# Calls that wait for an agent


def patience(plan: StepPlan, calendar: Opening, now: datetime) -> datetime:
    """Until when a call waits for an agent."""
    if plan.life:
        return add(calendar, now, plan.life, Unit.bmin)
    return add(calendar, now, UNWORKED_HOURS, Unit.bh)


def may_hurry(plan: StepPlan, *, hurried: bool) -> bool:
    """Whether a call nobody has taken is hurried: once, and not what is only worth something at once."""
    return not plan.life and not hurried


# Texts


def template_of(plan: StepPlan) -> str:
    """The text of a step."""
    return plan.template or "offer_again"


def about_offer(template: str, quote_id: int | None) -> bool:
    """Whether a text speaks of the offer, and is nothing without it."""
    return quote_id is not None and template not in _WITHOUT_OFFER


def stands_alone(template: str, way: Way, *, linked: bool) -> bool:
    """Whether a text about an offer that has no link of ours, because it was made elsewhere, says enough without."""
    return way is Way.email and not linked and template in ALONE


def may_follow(enrolment: Enrolled, ways: frozenset[Way]) -> bool:
    """Whether a text may follow a call that reached nobody."""
    active = enrolment.state is EnrolmentState.active
    return active and enrolment.messages < MOST_MESSAGES and Way.sms in ways


def missed_template(outcomes: Sequence[str], quote_id: int | None) -> str:
    """The text that follows a call: who has a message of ours on his machine needs his offer."""
    left = bool(outcomes) and outcomes[-1] == Disposition.voicemail_left
    return "offer_again" if left and quote_id is not None else "missed_you"


def follows_at(verdict: Verdict, now: datetime) -> datetime | None:
    """When the guard is asked about that text again; None when it would make no sense any more."""
    soon = verdict.until is not None and verdict.until - now <= MISSED_WITHIN
    return verdict.until if soon else None
