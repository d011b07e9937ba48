"""Pacing: what is done next about somebody inside a cadence, when, and when not any more. Pure; moments are aware.

`next_step` decides from values alone: where he stands, what happened last, his calendar, when he may be called.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from router.model.best_time import Caller, Window, best, first, other_band
from router.model.cadence_rules import LEAST_NOTICE, MOST_CALLS, MOST_MESSAGES, Band, CadencePlan, Skip, StepPlan, Way
from router.model.calendars import Unit, add
from router.model.hours import Opening

AHEAD = timedelta(days=14)
"""So far the lawful windows are looked up: over a long holiday, not more."""
LOOK_DAYS = 2
"""The best time is looked for within so many business days."""
SPREAD = timedelta(minutes=30)
"""What is late is planned anew across so long, or all of it would leave in one burst."""


@dataclass(frozen=True)
class Past:
    """A step that is over: when it began and ended, and whether it was done or left out."""

    n: int
    began_at: datetime
    ended_at: datetime
    skipped: bool = False


@dataclass(frozen=True)
class Inside:
    """Where somebody stands. `running` is the step under way, if any; `calls` and `messages` those that counted;
    `not_before` and `other_band` are what the last outcome asks of the next call; `again` is the number of the call
    that is made once more; `ways` are those open to him; `true` the conditions that hold. After a rest delays are
    counted from `resumed_at`."""

    plan: CadencePlan
    enrolled_at: datetime
    valid_until: datetime | None = None
    past: tuple[Past, ...] = ()
    running: int | None = None
    calls: int = 0
    messages: int = 0
    not_before: datetime | None = None
    other_band: bool = False
    again: int | None = None
    ways: frozenset[Way] = frozenset(Way)
    true: frozenset[Skip] = frozenset()
    resumed_at: datetime | None = None


class Word(StrEnum):
    """The decision: a step is due then, nothing is done until what runs is over, or it is at its end."""

    do = "do"
    wait = "wait"
    exit = "exit"


@dataclass(frozen=True)
class Decision:
    """`skipped` are steps left out on the way here, with why. `not_after` is how late the step may still be done."""

    word: Word
    n: int = 0
    way: Way | None = None
    due_at: datetime | None = None
    not_after: datetime | None = None
    reason: str = ""
    skipped: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class Times:
    """What bounds when something may be done: the customer's calendar, the lawful windows for calls and messages ahead,
    and what is known of when he answers."""

    calendar: Opening
    windows: Sequence[Window] = ()
    caller: Caller = field(default_factory=lambda: Caller("UTC"))


def next_step(inside: Inside, times: Times, now: datetime) -> Decision:
    """What is next. It ends: each step is done or left out once, and an offer that is over ends all but a win-back."""
    if inside.valid_until is not None and inside.valid_until <= now:
        return Decision(Word.exit, reason="expired")
    over = {one.n: one for one in inside.past}
    skipped: list[tuple[int, str]] = []
    for step in inside.plan.ordered:
        if step.n in over:
            continue
        if step.n == inside.running and step.wait_for_completion:
            return Decision(Word.wait, reason="running", skipped=tuple(skipped))
        if step.n == inside.running:
            continue
        if stop := [one for one in step.stop_on if one in inside.true]:
            return Decision(Word.exit, reason=stop[0].value, skipped=tuple(skipped))
        why, way = left_out(step, inside)
        due = None
        if not why:
            due = _due(step, inside, times, now)
            why = "too_late" if _too_late(step, inside, times, now) else ""
        if not why and due is not None and inside.valid_until is not None and due >= inside.valid_until:
            why = "after_the_end"
        if why or due is None:
            skipped.append((step.n, why))
            continue
        late = add(times.calendar, max(due, now), step.not_after, Unit.bmin)
        if inside.valid_until is not None:
            late = min(late, inside.valid_until)
        return Decision(Word.do, step.n, way, max(due, now), late, skipped=tuple(skipped))
    if inside.running is not None:
        return Decision(Word.wait, reason="running", skipped=tuple(skipped))
    return Decision(Word.exit, reason="done", skipped=tuple(skipped))


def _too_late(step: StepPlan, inside: Inside, times: Times, now: datetime) -> bool:
    """Whether the moment before the offer's end that the step is for has passed: nobody learns of it afterwards."""
    if step.anchor != "valid_until" or step.n == inside.again:
        return False
    return add(times.calendar, _anchored(step, inside, times), step.not_after, Unit.bmin) < now


def left_out(step: StepPlan, inside: Inside) -> tuple[str, Way | None]:
    """Why a step is left out, or the way it takes."""
    if skip := [one for one in step.skip_if if one in inside.true]:
        return skip[0].value, None
    if step.is_call and inside.calls >= MOST_CALLS and inside.again != step.n:
        return "most_calls", None
    if not step.is_call and inside.messages >= MOST_MESSAGES:
        return "most_messages", None
    way = next((one for one in (step.channel, *step.otherwise) if one in inside.ways), None)
    return ("", way) if way is not None else (f"no_{step.channel.value}", None)


def _due(step: StepPlan, inside: Inside, times: Times, now: datetime) -> datetime:
    """When the step is due by its anchor, in its window, and where it is a call by the outcome before it."""
    at = _anchored(step, inside, times)
    if step.n == inside.again and inside.not_before is not None:
        at = inside.not_before  # the same call once more, not the step anew
    if not step.is_call:
        return in_window(step, times.calendar, max(at, now))
    at = max(at, now, inside.not_before or now)
    choose = step.band if not inside.other_band or step.band is Band.best else Band.other
    if choose is Band.other and times.caller.tried:
        at = other_band(times.windows, times.caller, at) or at
    elif choose is Band.best:
        latest = add(times.calendar, at, LOOK_DAYS, Unit.bd)
        at = best(times.windows, times.caller, at, _before_the_end(latest, inside)) or at
    else:
        at = first(times.windows, at) or at
    return in_window(step, times.calendar, at)


def _before_the_end(latest: datetime, inside: Inside) -> datetime:
    return latest if inside.valid_until is None else min(latest, inside.valid_until)


def _anchored(step: StepPlan, inside: Inside, times: Times) -> datetime:
    """The moment the step's anchor and delay name. A step left out passes its anchor on: nobody waits for what is not
    done."""
    if step.anchor == "valid_until" and inside.valid_until is not None:
        return add(times.calendar, inside.valid_until, -step.delay, step.unit)
    base = _base(step, inside)
    return add(times.calendar, max(base, inside.resumed_at or base), step.delay, step.unit)


def _base(step: StepPlan, inside: Inside) -> datetime:
    if step.anchor == "enrol":
        return inside.enrolled_at
    done = {one.n: one for one in inside.past if not one.skipped}
    if step.anchor.startswith("step:"):
        named = int(step.anchor.removeprefix("step:"))
        if named in done:
            return done[named].ended_at
    before = [one for n, one in done.items() if n < step.n]
    if not before:
        return inside.enrolled_at
    latest = max(before, key=lambda one: one.n)
    plan = inside.plan.step(latest.n)
    return latest.ended_at if plan is None or plan.wait_for_completion else latest.began_at


def in_window(step: StepPlan, calendar: Opening, at: datetime) -> datetime:
    """`at`, or when the step's own window opens next."""
    if step.window is None:
        return at
    opens, closes = (time.fromisoformat(one) for one in step.window)
    zone = ZoneInfo(calendar.zone)
    local = at.astimezone(zone)
    if opens <= local.time() < closes:
        return at
    day = local.date() + timedelta(days=local.time() >= closes)
    return datetime.combine(day, opens, zone).astimezone(at.tzinfo)


def announced_at(step: StepPlan, due_at: datetime, now: datetime) -> datetime | None:
    """When the text leaves that announces the step's call; None when it is not announced, or there is no time left for
    somebody to read it."""
    if step.announce_minutes is None or now + timedelta(minutes=LEAST_NOTICE) > due_at:
        return None
    return max(now, due_at - timedelta(minutes=step.announce_minutes))


def spread(key: int) -> timedelta:
    """How long this one of many late ones waits: the same for the same key, evenly across SPREAD."""
    return timedelta(seconds=(key * 2_654_435_761 % 2**32) % int(SPREAD.total_seconds()))
