"""Hours: when a line is open, in the wall time of its zone, through holidays, closures and changes of the clock.

A day's hours are cut where the clock changes, so that every span has one offset from UTC: a wall time that does not
exist moves forward to the first one that does, one that exists twice means the first. What the clock on the wall shows
outside the hours is never inside a span, whichever way the clock went.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, available_timezones

import holidays

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WHOLE_DAY = 24 * 60
LOOK_AHEAD_DAYS = 400
"""`next_open` looks so far: a line closed for longer is closed."""

Windows = tuple[tuple[int, int], ...]
"""Minutes since local midnight, [from, to)."""


class Span(NamedTuple):
    """[start, end), aware UTC. `offset` is what the zone's clock is ahead of UTC all the while."""

    start: datetime
    end: datetime
    offset: timedelta


@dataclass(frozen=True)
class Opening:
    """Weekly windows by ISO weekday less one (Monday is 0); on `closures` and on public holidays it is closed."""

    zone: str
    week: tuple[Windows, ...]
    country: str = ""
    subdivision: str = ""
    closures: frozenset[date] = frozenset()

    def windows(self, day: date) -> Windows:
        """The day's windows in minutes of the wall clock."""
        if day in self.closures or (self.country and day in public_holidays(self.country, self.subdivision, day.year)):
            return ()
        return self.week[day.weekday()]


ALWAYS: tuple[Windows, ...] = (((0, WHOLE_DAY),),) * 7


def opening(
    zone: str, hours: Mapping[str, Any], public: Mapping[str, Any] | None = None, closures: Iterable[str] = ()
) -> Opening:
    """What a queue's columns say. No hours at all: always open but for holidays and closures. Raises ValueError."""
    public = public or {}
    return Opening(
        zone, week_of(hours), str(public.get("country", "")), str(public.get("subdivision", "")),
        frozenset(date.fromisoformat(day) for day in closures),
    )


def week_of(hours: Mapping[str, Any]) -> tuple[Windows, ...]:
    """Weekly hours such as {"mon": [["09:00", "14:00"], ["16:00", "20:00"]]}; a day not named is closed.

    None at all: always. A night is written as two days, up to "24:00" and from "00:00". Raises ValueError.
    """
    if not hours:
        return ALWAYS
    if unknown := set(hours) - set(DAYS):
        raise ValueError(f"{sorted(unknown)[0]!r} is no day; the days are {', '.join(DAYS)}")
    return tuple(windows_of(day, hours.get(day, ())) for day in DAYS)


def windows_of(day: str, pairs: Sequence[Sequence[str]]) -> Windows:
    """Pairs such as ["09:00", "14:00"] as minutes. `day` names them in complaints. Raises ValueError."""
    windows = []
    for pair in pairs:
        if isinstance(pair, str) or len(pair) != 2:
            raise ValueError(f'{day}: hours are pairs such as ["09:00", "14:00"]')
        opens, closes = (_minutes(day, text) for text in pair)
        if opens >= closes:
            raise ValueError(f"{day}: {pair[0]} to {pair[1]} ends before it begins; split a night at 24:00")
        windows.append((opens, closes))
    windows.sort()
    for (_, closes), (opens, _) in pairwise(windows):
        if opens < closes:
            raise ValueError(f"{day}: two of its hours overlap")
    return tuple(windows)


def _minutes(day: str, text: object) -> int:
    found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)|24:00", text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"{day}: {text!r} is no time such as 09:00")
    return WHOLE_DAY if found[1] is None else int(found[1]) * 60 + int(found[2])


def check_holidays(country: str, subdivision: str) -> None:
    """Raises ValueError, saying which are known, for a country or a part of one whose holidays nobody knows."""
    known = holidays.list_supported_countries()
    if country not in known:
        raise ValueError(f"the holidays of {country!r} are not known; countries are written in two letters")
    if subdivision and subdivision not in known[country]:
        raise ValueError(f"{country} has no part {subdivision!r}; it has {', '.join(known[country])}")


@lru_cache(maxsize=256)
def public_holidays(country: str, subdivision: str, year: int) -> frozenset[date]:
    """The public holidays of a country (ISO 3166-1) and its part (ISO 3166-2 without the country), by the package
    `holidays`. Municipal ones are not among them: they are closures."""
    return frozenset(holidays.country_holidays(country, subdiv=subdivision or None, years=year))


def at_wall(day: date, minutes: int, zone: ZoneInfo) -> datetime:
    """The moment (UTC) at which the wall clock of `day` shows so many minutes since midnight.

    A time the clock jumps over is the moment of the jump; of one that comes twice it is the first.
    """
    wall = datetime.combine(day, time.min) + timedelta(minutes=minutes)
    moment = wall.replace(tzinfo=zone).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == wall:
        return moment
    before = moment - timedelta(hours=3)
    return change_between(before, moment + timedelta(hours=3), zone) or moment


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def known_zone(name: str) -> bool:
    """Whether there is such a zone (IANA)."""
    return name in _zones()


class Moment(NamedTuple):
    """What a time on the wall means: the moment (UTC). `moved`: the clock jumps over that time, and it is the first one
    after; `twice`: the clock shows it twice, and it is the first."""

    at: datetime
    moved: bool
    twice: bool


def resolved(wall: datetime, zone: str) -> Moment:
    """The moment at which the clock of `zone` (IANA) shows the naive time `wall`."""
    where = ZoneInfo(zone)
    at = at_wall(wall.date(), wall.hour * 60 + wall.minute, where)
    shown = at.astimezone(where).replace(tzinfo=None)
    first, second = (wall.replace(tzinfo=where, fold=fold).utcoffset() for fold in (0, 1))
    return Moment(at, shown != wall, shown == wall and first != second)


def end_of_day(at: datetime, zone: str) -> datetime:
    """The first midnight after `at` (aware) on the wall of `zone` (IANA), in UTC."""
    where = ZoneInfo(zone)
    return at_wall(at.astimezone(where).date() + timedelta(days=1), 0, where)


def change_between(start: datetime, end: datetime, zone: ZoneInfo) -> datetime | None:
    """The first second of the later offset when the clock changes between these moments (at most once)."""
    old = _offset(start, zone)
    if old == _offset(end, zone):
        return None
    low, high = int(start.timestamp()), int(end.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(datetime.fromtimestamp(middle, UTC), zone) == old:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def spans(opening: Opening, day: date) -> list[Span]:
    """The spans of one local day, in their order."""
    zone, found = ZoneInfo(opening.zone), []
    for opens, closes in opening.windows(day):
        start, end = at_wall(day, opens, zone), at_wall(day, closes, zone)
        change = change_between(start, end, zone)
        for left, right in ((start, end),) if change is None else ((start, change), (change, end)):
            offset = _offset(left, zone)
            midnight = datetime.combine(day, time.min, UTC) - offset
            left = max(left, midnight + timedelta(minutes=opens))
            right = min(right, midnight + timedelta(minutes=closes))
            if left < right:
                found.append(Span(left, right, offset))
    return found


def spans_from(opening: Opening, start: datetime, end: datetime) -> Iterator[Span]:
    """The spans between two moments (aware), in their order, cut at both."""
    day, last = (at.astimezone(ZoneInfo(opening.zone)).date() for at in (start, end))
    while day <= last:
        for span in spans(opening, day):
            if span.end > start and span.start < end:
                yield Span(max(span.start, start), min(span.end, end), span.offset)
        day += timedelta(days=1)


@lru_cache(maxsize=2_048)
def _spans_of(opening: Opening, day: date) -> tuple[Span, ...]:
    return tuple(spans(opening, day))


def open_seconds(opening: Opening, start: datetime, end: datetime) -> float:
    """How long it is open between two moments (aware), in seconds."""
    if opening.week == ALWAYS and not opening.country and not opening.closures:
        return (end - start).total_seconds()
    day, last = (at.astimezone(ZoneInfo(opening.zone)).date() for at in (start, end))
    total = timedelta(0)
    while day <= last:
        for span in _spans_of(opening, day):
            total += max(timedelta(0), min(span.end, end) - max(span.start, start))
        day += timedelta(days=1)
    return total.total_seconds()


def covers(opening: Opening, start: datetime, end: datetime) -> bool:
    """Whether it is open all the time from `start` to `end` (aware)."""
    at = start
    for span in spans_from(opening, start, end):
        if span.start > at:
            return False
        at = span.end
    return at >= end


def is_open(opening: Opening, at: datetime) -> bool:
    """Whether it is open at this moment (aware)."""
    return covers(opening, at, at + timedelta(microseconds=1))


def next_open(opening: Opening, at: datetime) -> datetime | None:
    """The first moment from `at` (aware) on at which it is open; None when there is none within LOOK_AHEAD_DAYS."""
    for span in spans_from(opening, at, at + timedelta(days=LOOK_AHEAD_DAYS)):
        return max(span.start, at.astimezone(UTC))
    return None
