"""Slots: which moments a callback may be promised for. Pure; the house's hours, the law and the staff all agree."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple

from router.model.hours import Opening, Span, spans_from
from router.model.packs import Pack
from router.model.windows import windows

LEAD_TIME = timedelta(minutes=15)
"""The nearest slot offered."""
GRACE = timedelta(minutes=10)
"""A slot that was offered a moment ago may be taken until so long before it begins, less than LEAD_TIME."""
LATEST = timedelta(days=7)
MOST = 60
"""Slots shown at once."""


@dataclass(frozen=True)
class Rules:
    """What bounds a queue's slots. `zones` are those of the callee: the law's window must be open in each of them.
    `subdivisions` are the parts of his country (ISO 3166-2), () for unknown.

    `handle_seconds` is how long a call takes with its wrap-up.
    """

    opening: Opening
    pack: Pack
    zones: tuple[str, ...]
    slot_minutes: int
    handle_seconds: int
    subdivisions: tuple[str, ...] = ()

    def capacity(self, staffed: int) -> int:
        """Calls that so many agents can begin in one slot: four fifths of their time, one call at least."""
        if staffed <= 0:
            return 0
        return max(1, staffed * 8 * self.slot_minutes * 60 // (10 * self.handle_seconds))


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
    rules: Rules, shifts: Mapping[Opening, int], taken: Mapping[datetime, int], start: datetime, end: datetime
) -> Iterator[Slot]:
    """All slots lying between two moments (aware) that may be promised, full ones too, in their order.

    `shifts` says how many agents work which weekly hours; `taken` how many calls are held or booked by slot.
    """
    edge = timedelta(minutes=rules.slot_minutes)
    lawful = Times(windows(rules.pack, rules.zones, start - edge, end + edge, subdivisions=rules.subdivisions))
    staff = [(Times.of(shift, start - edge, end + edge), count) for shift, count in shifts.items()]
    for starts_at, ends_at in _grid(spans_from(rules.opening, start, end), rules.slot_minutes):
        if not lawful.cover(starts_at, ends_at):
            continue
        capacity = rules.capacity(sum(count for times, count in staff if times.cover(starts_at, ends_at)))
        if capacity:
            yield Slot(starts_at, ends_at, capacity, max(0, capacity - taken.get(starts_at, 0)))


def _grid(spans: Iterable[Span], minutes: int) -> Iterator[tuple[datetime, datetime]]:
    """Slots begin at whole steps since midnight on the wall, whoever looks, so that no two of them overlap."""
    step = timedelta(minutes=minutes)
    for span in spans:
        midnight = datetime.combine((span.start + span.offset).date(), time.min, UTC) - span.offset
        at = midnight + -(-(span.start - midnight) // step) * step
        while at + step <= span.end:
            yield at, at + step
            at += step


def offered(
    rules: Rules, shifts: Mapping[Opening, int], taken: Mapping[datetime, int], now: datetime
) -> list[Slot]:
    """The free slots a visitor is shown at `now` (aware): at most MOST, from LEAD_TIME to LATEST ahead."""
    found: list[Slot] = []
    for slot in slots(rules, shifts, taken, now + LEAD_TIME, now + LATEST):
        if slot.remaining:
            found.append(slot)
            if len(found) == MOST:
                break
    return found


def at(rules: Rules, shifts: Mapping[Opening, int], starts_at: datetime, now: datetime) -> Slot | None:
    """The slot that begins at this moment (aware), as if nothing were taken; None when none may be promised then."""
    if not now + GRACE <= starts_at <= now + LATEST:
        return None
    end = starts_at + timedelta(minutes=rules.slot_minutes)
    return next((slot for slot in slots(rules, shifts, {}, starts_at, end) if slot.starts_at == starts_at), None)


def shifts_of(openings: Iterable[Opening]) -> Mapping[Opening, int]:
    """How many agents work each weekly hours."""
    return Counter(openings)
