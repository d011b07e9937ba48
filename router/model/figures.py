"""Service figures: what each of them means, reckoned from counts, with the definition that is printed beside it.

Five shares are called "service level"; which one is meant is said by its name (the five forms of ICMI, "Service level
calculations", 2002). SL4 is the one shown unless another is asked for. Definitions are sentences in English, translated
where they are shown.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from router.model.hours import at_wall

SHORT_SECONDS = 5
"""Who leaves so soon has hardly waited: what SL5 calls a short abandon."""
KEPT_WITHIN = timedelta(minutes=5)
"""A promised call begun so much before or after its time is kept."""
HALF_HOUR = timedelta(minutes=30)
SOLVED_DAYS = 7
"""A matter is solved when its person has not come again for so long; it is not known before."""
AGES = (timedelta(minutes=5), timedelta(hours=1), timedelta(days=1))
"""What waits is younger than these, or older than all of them."""


class Form(StrEnum):
    """The five forms of service level; T is the target of the queue.

    SL1 counts who left within T as served, SL2 forgets all who left, SL3 counts them all as not served, SL4 forgets
    those who left within T, SL5 counts as served who left within SHORT_SECONDS.
    """

    SL1 = "SL1"
    SL2 = "SL2"
    SL3 = "SL3"
    SL4 = "SL4"
    SL5 = "SL5"


@dataclass(frozen=True)
class Waits:
    """How waiting ended: `answered`, of them `answered_in` T; `left`, of them `left_in` T and `left_short`. `moved`
    asked for a call later instead, and are in neither. The sums of their waits are in milliseconds."""

    answered: int = 0
    answered_in: int = 0
    left: int = 0
    left_in: int = 0
    left_short: int = 0
    moved: int = 0
    answered_ms: int = 0
    left_ms: int = 0

    @property
    def offered(self) -> int:
        """Everybody whose wait has ended."""
        return self.answered + self.left + self.moved


def service_level(form: Form, waits: Waits) -> float | None:
    """A share from 0 to 1; None when nobody counts in it."""
    ended = waits.answered + waits.left
    over, under = {
        Form.SL1: (waits.answered_in + waits.left_in, ended),
        Form.SL2: (waits.answered_in, waits.answered),
        Form.SL3: (waits.answered_in, ended),
        Form.SL4: (waits.answered_in, ended - waits.left_in),
        Form.SL5: (waits.answered_in + waits.left_short, ended),
    }[form]
    return ratio(over, under)


@dataclass(frozen=True)
class Handled:
    """Calls and video talks finished, with the time they took up in milliseconds: talking (held or not), and after."""

    count: int = 0
    talk_ms: int = 0
    wrap_ms: int = 0


@dataclass(frozen=True)
class Offers:
    """Tasks held for an agent, by what came of it. `taken_back`: his browser was gone. Of those whose person left
    meanwhile (`gone`) nothing is said about the agent."""

    accepted: int = 0
    rejected: int = 0
    missed: int = 0
    taken_back: int = 0
    gone: int = 0

    @property
    def decided(self) -> int:
        return self.accepted + self.rejected + self.missed + self.taken_back


@dataclass(frozen=True)
class Time:
    """What agents spent, in milliseconds: `busy` holding a task (ringing, connecting, talking, wrapping up), `ready`
    busy or waiting for one, `handling` talking or wrapping up, `signed_in` there, be it paused, or busy."""

    busy: int = 0
    ready: int = 0
    handling: int = 0
    signed_in: int = 0


S = TypeVar("S", Waits, Handled, Offers, Time, "Counts")


class Response(NamedTuple):
    """How long one lead waited for the first word of ours, in seconds of the wall clock and of the queue's opening.
    `reached` is False when it has had none: then it is how long it has waited, or waited until it was over."""

    wall: float
    open: float
    reached: bool
    over: bool = False


@dataclass(frozen=True)
class Counts:
    """Simple pairs: leads rung and of them talked with; promised calls and of them kept; leads and of them signed;
    talks and of them solved."""

    rung: int = 0
    talked: int = 0
    promised: int = 0
    kept: int = 0
    leads: int = 0
    signed: int = 0
    talks: int = 0
    solved: int = 0


@dataclass(frozen=True)
class Tally:
    """All that was counted from `start` to before `end` (aware). `slips` are by how many seconds promised calls began
    too late, or have not begun yet."""

    start: datetime
    end: datetime
    waits: Waits = Waits()
    handled: Handled = Handled()
    offers: Offers = Offers()
    time: Time = Time()
    counts: Counts = Counts()
    responses: Sequence[Response] = ()
    slips: Sequence[float] = ()


@dataclass(frozen=True)
class Backlog:
    """What waits in a queue now. `ages` are how many are younger than each of AGES, and than none of them; `oldest` is
    since when the oldest waits (ms since 1970). Of those who wait for somebody (`due`) so many are past its target."""

    campaign: str
    queue: str
    ages: tuple[int, ...]
    oldest: int
    due: int
    late: int

    @property
    def count(self) -> int:
        return sum(self.ages)

    @property
    def since(self) -> datetime:
        """Since when the oldest waits, in UTC."""
        return datetime.fromtimestamp(self.oldest / 1000, UTC)

    @property
    def past_target(self) -> float | None:
        """A share from 0 to 1; None when nobody waits for somebody."""
        return ratio(self.late, self.due)


def merged(tallies: Sequence[Tally]) -> Tally:
    """Several tallies, one after the other, as one. Who was rung in two of them counts twice: see `Counts`."""
    return Tally(
        tallies[0].start, tallies[-1].end, _sum(Waits, [one.waits for one in tallies]),
        _sum(Handled, [one.handled for one in tallies]), _sum(Offers, [one.offers for one in tallies]),
        _sum(Time, [one.time for one in tallies]), _sum(Counts, [one.counts for one in tallies]),
        [response for one in tallies for response in one.responses],
        tuple(slip for one in tallies for slip in one.slips),
    )


def _sum(kind: type[S], parts: Sequence[S]) -> S:
    return kind(*map(sum, zip(*map(astuple, parts), strict=True)))


def ratio(over: float, under: float) -> float | None:
    """A share; None of nothing."""
    return over / under if under else None


def quantile(values: Iterable[float], share: float) -> float | None:
    """The smallest value that at least this share of all does not exceed (nearest rank); None of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def within(responses: Iterable[Response], seconds: float, clock: Callable[[Response], float]) -> float | None:
    """The share that had its first word within so long. Whoever waits still and may yet be in time is not counted."""
    decided = [one for one in responses if one.reached or one.over or clock(one) > seconds]
    return ratio(sum(one.reached and clock(one) <= seconds for one in decided), len(decided))


class Unit(StrEnum):
    """How a figure is shown: a number, a share in percent, a time in seconds."""

    number = "number"
    share = "share"
    seconds = "seconds"


class Figure(NamedTuple):
    """`key` is what programs call it, `name` what people do; `of` reckons it, None when there is nothing to reckon."""

    key: str
    name: str
    definition: str
    unit: Unit
    of: Callable[[Tally], float | None]


def _level(form: Form) -> Callable[[Tally], float | None]:
    return lambda tally: service_level(form, tally.waits)


def _wall(one: Response) -> float:
    return one.wall


def _open(one: Response) -> float:
    return one.open


def _speed(share: float, clock: Callable[[Response], float]) -> Callable[[Tally], float | None]:
    return lambda tally: quantile(map(clock, tally.responses), share)


def _in_time(minutes: int, clock: Callable[[Response], float]) -> Callable[[Tally], float | None]:
    return lambda tally: within(tally.responses, 60 * minutes, clock)


def _seconds(milliseconds: float, of: float) -> float | None:
    return ratio(milliseconds / 1000, of)


_WHO = (
    "Only those who wait for somebody at this moment: who asked to be called now, who is on the line, in the chat or in"
    " the video room. A wait counts from when the person began to wait, through every transfer, where it ended."
)

FIGURES: tuple[Figure, ...] = (
    Figure("offered", "Offered", _WHO, Unit.number, lambda t: t.waits.offered),
    Figure(
        "answered", "Answered", "An agent talks or writes with the person, for the first time.", Unit.number,
        lambda t: t.waits.answered,
    ),
    Figure(
        "left", "Left before", "Left without an agent, or was turned away or given up by us.", Unit.number,
        lambda t: t.waits.left,
    ),
    Figure(
        "moved", "Moved to a callback", "Asked for a call later instead of waiting on.", Unit.number,
        lambda t: t.waits.moved,
    ),
    Figure(
        "sl4", "Service level (SL4)",
        "Answered within the target of the queue, of all who were answered or left after it. Who left sooner is not"
        " counted.",
        Unit.share, _level(Form.SL4),
    ),
    Figure(
        "sl3", "Service level (SL3)", "Answered within the target of the queue, of all who were answered or left.",
        Unit.share, _level(Form.SL3),
    ),
    Figure(
        "sl1", "Service level (SL1)", "Answered or left within the target of the queue, of all who were answered or"
        " left.", Unit.share, _level(Form.SL1),
    ),
    Figure(
        "sl2", "Service level (SL2)", "Answered within the target of the queue, of all who were answered.", Unit.share,
        _level(Form.SL2),
    ),
    Figure(
        "sl5", "Service level (SL5)", "Answered within the target of the queue, or left within 5 seconds, of all who"
        " were answered or left.", Unit.share, _level(Form.SL5),
    ),
    Figure(
        "asa", "Average speed of answer", "The mean wait of those who were answered.", Unit.seconds,
        lambda t: _seconds(t.waits.answered_ms, t.waits.answered),
    ),
    Figure(
        "wait", "Average wait", "The mean wait of those who were answered and of those who left.", Unit.seconds,
        lambda t: _seconds(t.waits.answered_ms + t.waits.left_ms, t.waits.answered + t.waits.left),
    ),
    Figure(
        "abandonment", "Abandonment",
        "Left before, of all who were answered or left, however soon they left. Who was moved to a callback is not"
        " counted.",
        Unit.share, lambda t: ratio(t.waits.left, t.waits.answered + t.waits.left),
    ),
    Figure(
        "aht", "Average handling time",
        "Talking, holding and wrapping up, for each call or video talk finished. Chats are not counted: several are"
        " written at once.",
        Unit.seconds, lambda t: _seconds(t.handled.talk_ms + t.handled.wrap_ms, t.handled.count),
    ),
    Figure(
        "occupancy", "Occupancy",
        "The time agents held a task, ringing and wrapping up included, of that and the time they were ready for one."
        " Pauses are not counted.",
        Unit.share, lambda t: ratio(t.time.busy, t.time.ready),
    ),
    Figure(
        "utilisation", "Utilisation",
        "The time agents talked, wrote, held or wrapped up, of the time they were signed in, pauses included.",
        Unit.share, lambda t: ratio(t.time.handling, t.time.signed_in),
    ),
    Figure(
        "acceptance", "Accepted",
        "Rings an agent accepted, of all rings but those whose person left meanwhile. A ring counts when it began.",
        Unit.share, lambda t: ratio(t.offers.accepted, t.offers.decided),
    ),
    Figure(
        "misses", "Missed",
        "Rings an agent let go by, or whose agent was no longer there, of the same.",
        Unit.share, lambda t: ratio(t.offers.missed + t.offers.taken_back, t.offers.decided),
    ),
    Figure(
        "speed_p50", "Speed to lead, half within",
        "From the lead's creation to the first ring at its person or the first message written by an agent, by the"
        " clock on the wall. Leads that ask for an answer and came in at this time; who has had none counts with his"
        " wait so far.",
        Unit.seconds, _speed(0.5, _wall),
    ),
    Figure(
        "speed_p90", "Speed to lead, nine in ten within", "The same, for nine leads in ten.", Unit.seconds,
        _speed(0.9, _wall),
    ),
    Figure(
        "speed_1", "Within 1 minute", "Leads with their first ring or message within one minute.", Unit.share,
        _in_time(1, _wall),
    ),
    Figure(
        "speed_5", "Within 5 minutes", "Leads with their first ring or message within five minutes.", Unit.share,
        _in_time(5, _wall),
    ),
    Figure(
        "open_p50", "Speed to lead in opening hours, half within",
        "The same speed, but the clock only runs while the queue is open.", Unit.seconds, _speed(0.5, _open),
    ),
    Figure(
        "open_p90", "Speed to lead in opening hours, nine in ten within",
        "The same in opening hours, for nine leads in ten.", Unit.seconds, _speed(0.9, _open),
    ),
    Figure(
        "open_1", "Within 1 minute of opening hours",
        "Leads with their first ring or message within one minute in which the queue was open.", Unit.share,
        _in_time(1, _open),
    ),
    Figure(
        "open_5", "Within 5 minutes of opening hours",
        "Leads with their first ring or message within five minutes in which the queue was open.", Unit.share,
        _in_time(5, _open),
    ),
    Figure(
        "contact", "Contact rate",
        "Leads talked with by telephone, of those whose telephone we rang at this time.", Unit.share,
        lambda t: ratio(t.counts.talked, t.counts.rung),
    ),
    Figure(
        "kept", "Callbacks kept",
        "Promised calls that began at most 5 minutes before or after the promised time, of those due at this time.",
        Unit.share, lambda t: ratio(t.counts.kept, t.counts.promised),
    ),
    Figure(
        "slippage", "Callbacks late, nine in ten within",
        "How late promised calls due at this time began to ring after the promised time. Early is not late; who has not"
        " been rung counts with the delay so far.",
        Unit.seconds, lambda t: quantile(t.slips, 0.9),
    ),
    Figure(
        "fcr", "Solved at the first contact",
        "Talks finished at this time after which the person neither asked nor talked with us again within 7 days, and"
        " which did not end with a callback or information owed, of all talks. It is known 7 days later.",
        Unit.share, lambda t: ratio(t.counts.solved, t.counts.talks),
    ),
    Figure(
        "conversion", "Conversion",
        "Leads that have signed since, of those that came in at this time. Uploaded lists are not counted.", Unit.share,
        lambda t: ratio(t.counts.signed, t.counts.leads),
    ),
)

BY_KEY: Mapping[str, Figure] = {one.key: one for one in FIGURES}
SERVICE = BY_KEY["sl4"]
"""The service level that is meant where none is named."""
SHOWN = tuple(BY_KEY[key] for key in (
    "offered", "answered", "left", "moved", "sl4", "sl3", "asa", "abandonment", "aht", "occupancy", "utilisation",
    "acceptance", "misses", "speed_p50", "speed_5", "open_p50", "open_5", "contact", "kept", "slippage", "fcr",
    "conversion",
))
"""What the table of half-hours shows; the file has all of them."""


def half_hours(day: date, zone: str) -> list[datetime]:
    """The edges (aware UTC) of the half-hours of a day on the wall of `zone` (IANA), the end of the last included.

    Half an hour is half an hour also when the clock changes: then the day has two or so more or fewer of them.
    """
    where = ZoneInfo(zone)
    at, end = at_wall(day, 0, where), at_wall(day + timedelta(days=1), 0, where)
    edges = []
    while at < end:
        edges.append(at)
        at += HALF_HOUR
    return [*edges, end]
