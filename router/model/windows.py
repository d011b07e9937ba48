"""Windows: when a pack lets a person be contacted, by the clock on his wall, wherever that may hang.

Of several zones that are possible the window must be open in every one. What the wall shows decides: an hour that
comes twice is open twice, one that does not come is missed. A day whose date is outside the pack's own is bound by
`standard` as well. All moments are aware; what comes out is UTC.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

import holidays as calendars

from router.model.hours import WHOLE_DAY, Windows, at_wall, change_between, public_holidays
from router.model.packs import Channel, Holidays, Pack, Rule, meet, shipped

LOOK_AHEAD = timedelta(days=30)
"""Zones whose windows share no moment within so long share none."""
DAY = timedelta(days=1)

Spans = tuple[tuple[datetime, datetime], ...]
"""[start, end) in UTC, in their order, none touching the next."""




def bound_by(pack: Pack, day: date) -> tuple[Pack, ...]:
    """The packs that bind on this day: the pack, and `standard` too when the day is outside its own."""
    return (pack,) if pack.in_force_on(day) else (pack, shipped()["standard"])


def known_zones(zones: Iterable[str]) -> tuple[str, ...]:
    """The zones, each once; none at all if one of them is no place on earth, for then nobody knows where he is."""
    names = tuple(dict.fromkeys(zones))
    return names if all(zone in _earth() and zone != "Etc/Unknown" for zone in names) else ()


@lru_cache(1)
def _earth() -> frozenset[str]:
    return frozenset(available_timezones())


def has_hours(pack: Pack, channel: Channel, start: datetime, end: datetime) -> bool:
    """Whether any rule says when, on this channel and between these moments; if none does, it does not matter where
    the person is."""
    days = (start.date() - DAY, end.date() + DAY)
    bound = {one.key: one for day in days for one in bound_by(pack, day)}
    return any(channel in rule.channels for one in bound.values() for rule in (*one.hours, *one.holidays))


def is_holiday(rule: Holidays, country: str, subdivisions: Sequence[str], day: date) -> bool:
    """Whether the rule counts the day as a public holiday there; in a part nobody knows, if it is one in any part."""
    if rule.of == "country":
        return day in public_holidays(country, "", day.year)
    wanted = rule.subdivisions
    if subdivisions:
        wanted = tuple(part for part in subdivisions if part in wanted) if wanted else tuple(subdivisions)
    return any(day in public_holidays(country, part, day.year) for part in _parts(country, wanted))


@lru_cache(512)
def _parts(country: str, subdivisions: tuple[str, ...]) -> tuple[str, ...]:
    known = calendars.list_supported_countries()[country]
    asked = [part.removeprefix(f"{country}-") for part in subdivisions]
    return tuple(asked) if asked and all(part in known for part in asked) else ("", *known)


@lru_cache(65_536)
def day_windows(pack: Pack, channel: Channel, subdivisions: tuple[str, ...], day: date) -> Windows:
    """The windows of a local day, all rules together, in minutes of the wall clock."""
    found: Windows = ((0, WHOLE_DAY),)
    for _, _, windows in _by_rule(pack, channel, subdivisions, day):
        found = meet(found, windows)
    return found


def _by_rule(
    pack: Pack, channel: Channel, subdivisions: tuple[str, ...], day: date
) -> Iterator[tuple[str, Rule, Windows]]:
    """What each rule that has something to say of the day leaves of it, and what it is called."""
    for one in bound_by(pack, day):
        for hours in one.hours:
            if hours.binds(channel, subdivisions):
                left = hours.week[day.weekday()]
                yield f"{one.key}.{'weekend' if not left and day.weekday() >= 5 else 'hours'}", hours, left
        for rule in one.holidays:
            if not rule.binds(channel, subdivisions):
                continue
            if is_holiday(rule, one.country, subdivisions, day):
                yield f"{one.key}.holiday", rule, rule.windows
            elif rule.before is not None and is_holiday(rule, one.country, subdivisions, day + DAY):
                yield f"{one.key}.eve", rule, rule.before


def closed_by(
    pack: Pack, zone: str, at: datetime, *, subdivisions: tuple[str, ...] = (), channel: Channel = Channel.call
) -> dict[str, Rule]:
    """The rules that close this moment in this zone, by what is told of them: "ES.hours", "ES.weekend", "ES.holiday",
    "IT.eve"; none when it is open."""
    wall = at.astimezone(ZoneInfo(zone))
    minute = wall.hour * 60 + wall.minute
    found: dict[str, Rule] = {}
    for said, rule, windows in _by_rule(pack, channel, subdivisions, wall.date()):
        if not any(opens <= minute < closes for opens, closes in windows):
            found.setdefault(said, rule)
    return found


@lru_cache(65_536)
def _spans(pack: Pack, zone: str, channel: Channel, subdivisions: tuple[str, ...], day: date) -> Spans:
    """When it is open on a local day. Cut where the clock changes, so that each piece has one offset."""
    where, found = ZoneInfo(zone), []
    start, end = at_wall(day, 0, where), at_wall(day + DAY, 0, where)
    change = change_between(start, end, where)
    windows = day_windows(pack, channel, subdivisions, day)
    for left, right in ((start, end),) if change is None else ((start, change), (change, end)):
        midnight = datetime.combine(day, time.min, UTC) - (left.astimezone(where).utcoffset() or timedelta())
        for opens, closes in windows:
            piece = max(left, midnight + timedelta(minutes=opens)), min(right, midnight + timedelta(minutes=closes))
            if piece[0] < piece[1]:
                found.append(piece)
    return tuple(found)


def _between(
    pack: Pack, zone: str, channel: Channel, subdivisions: tuple[str, ...], start: datetime, end: datetime
) -> list[tuple[datetime, datetime]]:
    day, last = (at.astimezone(ZoneInfo(zone)).date() for at in (start, end))
    found: list[tuple[datetime, datetime]] = []
    while day <= last:
        for opens, closes in _spans(pack, zone, channel, subdivisions, day):
            if opens < end and closes > start:
                found.append((max(opens, start), min(closes, end)))
        day += DAY
    return found


def _common(
    left: list[tuple[datetime, datetime]], right: list[tuple[datetime, datetime]]
) -> list[tuple[datetime, datetime]]:
    found = ((max(one[0], other[0]), min(one[1], other[1])) for one in left for other in right)
    return sorted(span for span in found if span[0] < span[1])


def _pieces(
    pack: Pack, zones: Sequence[str], start: datetime, end: datetime, subdivisions: Sequence[str], channel: Channel
) -> Iterator[tuple[datetime, datetime]]:
    """The windows between two moments, a day at a time, so that who looks for the first one looks no further."""
    names, parts, at = known_zones(zones), tuple(subdivisions), start.astimezone(UTC)
    end = end.astimezone(UTC)
    if not has_hours(pack, channel, at, end):
        yield at, end
        return
    while names and at < end:
        until = min(at + DAY, end)
        found = [(at, until)]
        for zone in names:
            if found:
                found = _common(found, _between(pack, zone, channel, parts, at, until))
        yield from found
        at = until


def windows(
    pack: Pack, zones: Sequence[str], start: datetime, end: datetime, *, subdivisions: Sequence[str] = (),
    channel: Channel = Channel.call,
) -> Iterator[tuple[datetime, datetime]]:
    """When the pack's hours let somebody be contacted between two moments: [start, end), none touching the next.

    `zones` (IANA) are all he may be in; () or a name that is no zone: never, unless the pack has no hours at all.
    """
    held: tuple[datetime, datetime] | None = None
    for piece in _pieces(pack, zones, start, end, subdivisions, channel):
        if held is not None and held[1] == piece[0]:
            held = held[0], piece[1]
            continue
        if held is not None:
            yield held
        held = piece
    if held is not None:
        yield held


def next_open(
    pack: Pack, zones: Sequence[str], at: datetime, *, subdivisions: Sequence[str] = (), channel: Channel = Channel.call
) -> datetime | None:
    """The first moment from `at` on at which the window is open in every zone; None if there is none in LOOK_AHEAD."""
    found = next(_pieces(pack, zones, at, at + LOOK_AHEAD, subdivisions, channel), None)
    return None if found is None else found[0]
