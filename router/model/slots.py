"""Slots: which moments a callback may be promised for. Pure; the house's hours, the law and the staff all agree."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import combinations
from typing import NamedTuple
from zoneinfo import ZoneInfo

from router.model.hours import Opening, Span, covers, spans_from
from router.model.packs import Pack
from router.model.windows import windows

LEAD_TIME = timedelta(minutes=15)
"""The nearest slot offered."""
GRACE = timedelta(minutes=10)
"""A slot that was offered a moment ago may be taken until so long before it begins, less than LEAD_TIME."""
LATEST = timedelta(days=7)
NEAREST = 60
"""Of the free slots so many are shown all; of later ones the first of each hour, so that every day can be chosen."""


@dataclass(frozen=True)
class Rules:
    """What bounds a queue's slots. `zones` are those of the callee: the law's window must be open in each of them.
    `subdivisions` are the parts of his country (ISO 3166-2), () for unknown.

    `handle_seconds` is how long a call takes with its wrap-up. `line` is the queue's number.
    """

    opening: Opening
    pack: Pack
    zones: tuple[str, ...]
    slot_minutes: int
    handle_seconds: int
    subdivisions: tuple[str, ...] = ()
    line: int = 0

    def capacity(self, staffed: int) -> int:
        """Calls that so many agents can begin in one slot: four fifths of their time, one call at least."""
        if staffed <= 0:
            return 0
        return max(1, staffed * 8 * self.slot_minutes * 60 // (10 * self.handle_seconds))


class Shift(NamedTuple):
    """Weekly hours, without the spans (aware, [from, to)) in which whoever works them is known to be away. `lines` are
    the queues he can work for, by number."""

    opening: Opening
    away: tuple[tuple[datetime, datetime], ...] = ()
    lines: frozenset[int] = frozenset({0})


class Load(NamedTuple):
    """Calls promised in a slot of another queue that shares agents: so many `seconds` of work in [starts_at, ends_at),
    aware."""

    line: int
    starts_at: datetime
    ends_at: datetime
    seconds: int


MOST_TOGETHER = 6
"""Of more queues that share agents in one slot only pairs with the one asked about, and all together, are weighed."""


class Slot(NamedTuple):
    """[starts_at, ends_at), aware UTC. `remaining` of `capacity` calls are free."""

    starts_at: datetime
    ends_at: datetime
    capacity: int
    remaining: int


class Times:
    """When something is open between two moments, by its spans in their order: to be asked many times."""

    def __init__(self, spans: Iterable[tuple[datetime, datetime]]) -> None:
        self._starts: list[datetime] = []
        self._ends: list[datetime] = []
        for start, end in spans:
            if self._ends and self._ends[-1] == start:
                self._ends[-1] = end
            else:
                self._starts.append(start)
                self._ends.append(end)

    @classmethod
    def of(cls, opening: Opening, start: datetime, end: datetime) -> "Times":
        return cls((span.start, span.end) for span in spans_from(opening, start, end))

    def cover(self, start: datetime, end: datetime) -> bool:
        """Whether it is open all the time from `start` to `end`."""
        place = bisect_right(self._starts, start) - 1
        return place >= 0 and end <= self._ends[place]


def slots(
    rules: Rules, shifts: Mapping[Shift, int], taken: Mapping[datetime, int], start: datetime, end: datetime,
    loads: Sequence[Load] = (), *, wanted: Callable[[datetime], bool] = lambda starts_at: True,
) -> Iterator[Slot]:
    """All slots lying between two moments (aware) that may be promised, full ones too, in their order; of which only
    those are looked at whose beginning is `wanted`.

    `shifts` says how many agents work which weekly hours; `taken` how many calls are held or booked by slot; `loads`
    what queues that share these agents have promised, in the order of their beginnings: nobody is counted twice.
    """
    edge = timedelta(minutes=rules.slot_minutes)
    lawful = Times(windows(rules.pack, rules.zones, start - edge, end + edge, subdivisions=rules.subdivisions))
    staff = [(shift, Times.of(shift.opening, start - edge, end + edge), count) for shift, count in shifts.items()]
    starts = [load.starts_at for load in loads]
    longest = max((load.ends_at - load.starts_at for load in loads), default=edge)
    for starts_at, ends_at in _grid(spans_from(rules.opening, start, end), rules.slot_minutes):
        if not wanted(starts_at) or not lawful.cover(starts_at, ends_at):
            continue
        there = Counter[frozenset[int]]()
        for shift, times, count in staff:
            if times.cover(starts_at, ends_at) and not any(a < ends_at and starts_at < b for a, b in shift.away):
                there[shift.lines] += count
        staffed = sum(count for lines, count in there.items() if rules.line in lines)
        capacity = rules.capacity(staffed)
        if capacity and loads:
            near = loads[bisect_right(starts, starts_at - longest):bisect_right(starts, ends_at)]
            capacity = min(capacity, _beside(rules, there, _work(near, starts_at, ends_at)))
        if staffed:
            yield Slot(starts_at, ends_at, capacity, max(0, capacity - taken.get(starts_at, 0)))


def _work(loads: Iterable[Load], start: datetime, end: datetime) -> Mapping[int, float]:
    """How many seconds of work other queues have promised between two moments, by queue."""
    seconds: dict[int, float] = {}
    for load in loads:
        shared = (min(load.ends_at, end) - max(load.starts_at, start)) / (load.ends_at - load.starts_at)
        if shared > 0:
            seconds[load.line] = seconds.get(load.line, 0.0) + load.seconds * shared
    return seconds


def _beside(rules: Rules, there: Mapping[frozenset[int], int], work: Mapping[int, float]) -> int:
    """How many calls this queue can promise beside what others have.

    By Hall's theorem: all of it can be done if for every set of queues the agents who can work for one of them have the
    time for all of them.
    """
    room, others = 10**9, sorted(work)
    sizes: Iterable[int] = range(len(others) + 1) if len(others) <= MOST_TOGETHER else (0, 1, len(others))
    for size in sizes:
        for some in combinations(others, size):
            lines = {rules.line, *some}
            time_there = sum(count for of, count in there.items() if of & lines) * 0.8 * rules.slot_minutes * 60
            promised = sum(work[line] for line in some)
            calls = int((time_there - promised) // rules.handle_seconds)
            room = min(room, calls if promised else max(1, calls))
    return max(0, room)


def _grid(spans: Iterable[Span], minutes: int) -> Iterator[tuple[datetime, datetime]]:
    """Slots begin at whole steps since midnight on the wall, whoever looks, so that no two of them overlap."""
    step = timedelta(minutes=minutes)
    for span in spans:
        midnight = datetime.combine((span.start + span.offset).date(), time.min, UTC) - span.offset
        at = midnight + -(-(span.start - midnight) // step) * step
        while at + step <= span.end:
            yield at, at + step
            at += step


@dataclass(frozen=True)
class OwnTime:
    """One agent's own time: the shifts he works, and when he has promised calls (aware) of so many seconds each."""

    shifts: tuple[Shift, ...]
    promised: tuple[tuple[datetime, int], ...] = ()

    def free(self, slot: Slot) -> bool:
        """Whether he is there in this slot, and can make another call that begins with it."""
        there = any(not away(shift, slot.starts_at, slot.ends_at) for shift in self.shifts)
        return there and all(abs((at - slot.starts_at).total_seconds()) >= busy for at, busy in self.promised)


def offered(
    rules: Rules, shifts: Mapping[Shift, int], taken: Mapping[datetime, int], now: datetime,
    loads: Sequence[Load] = (), *, own: OwnTime | None = None,
) -> list[Slot]:
    """The free slots a visitor is shown at `now` (aware), from LEAD_TIME to LATEST ahead: the NEAREST, and of later
    ones the first of each hour on the house's clock. With `own` only those in which this agent is free."""
    found: list[Slot] = []
    zone = ZoneInfo(rules.opening.zone)

    def hour(moment: datetime) -> str:
        return moment.astimezone(zone).replace(minute=0).isoformat()

    def wanted(starts_at: datetime) -> bool:
        return len(found) < NEAREST or hour(starts_at) != hour(found[-1].starts_at)

    for slot in slots(rules, shifts, taken, now + LEAD_TIME, now + LATEST, loads, wanted=wanted):
        if slot.remaining and (own is None or own.free(slot)):
            found.append(slot)
    return found


def at(
    rules: Rules, shifts: Mapping[Shift, int], starts_at: datetime, now: datetime, loads: Sequence[Load] = ()
) -> Slot | None:
    """The slot that begins at this moment (aware), as if nothing were taken; None when none may be promised then."""
    if not now + GRACE <= starts_at <= now + LATEST:
        return None
    end = starts_at + timedelta(minutes=rules.slot_minutes)
    found = (slot for slot in slots(rules, shifts, {}, starts_at, end, loads) if slot.starts_at == starts_at)
    return next((slot for slot in found if slot.capacity), None)


def begins(opening: Opening, slot_minutes: int, moment: datetime) -> datetime | None:
    """The beginning of the slot a moment (aware) lies in; None when it lies in none."""
    step = timedelta(minutes=slot_minutes)
    spans = spans_from(opening, moment - step, moment + step)
    return next((start for start, end in _grid(spans, slot_minutes) if start <= moment < end), None)


def away(shift: Shift, start: datetime, end: datetime) -> str:
    """Why whoever works this shift is not there from `start` to `end` (aware), as far as it is known: "absence",
    "shift", or "" when he is."""
    if any(a < end and start < b for a, b in shift.away):
        return "absence"
    return "" if covers(shift.opening, start, end) else "shift"


def shifts_of(openings: Iterable[Opening]) -> Mapping[Shift, int]:
    """How many agents work each weekly hours."""
    return Counter(map(Shift, openings))
