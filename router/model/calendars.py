"""Calendars: business minutes, hours and days of a customer: his zone, his public holidays, his week.

A calendar is an `Opening` (`router.model.hours`), whose spans already mind changes of the clock; here delays are
counted in it. Pure; moments are aware.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from router.model.hours import ALWAYS, LOOK_AHEAD_DAYS, Opening, Windows, at_wall, public_holidays, spans

BUSINESS: tuple[Windows, ...] = (((9 * 60, 18 * 60),),) * 5 + ((), ())
"""Monday to Friday from nine to six: when a delay in business hours passes, not when somebody may be called."""


class Unit(StrEnum):
    """Business minutes, business hours, business days, and days of the calendar."""

    bmin = "bmin"
    bh = "bh"
    bd = "bd"
    cal = "cal"


@lru_cache(1_000)
def calendar(zone: str, country: str = "", subdivision: str = "", *, always: bool = False) -> Opening:
    """A customer's calendar. Holidays nobody knows are none; `always`: every hour counts, as for a demonstration."""
    if always:
        return Opening(zone, ALWAYS)
    for known, part in ((country, subdivision), (country, "")):
        if known and _has_holidays(known, part):
            return Opening(zone, BUSINESS, known, part)
    return Opening(zone, BUSINESS)


def _has_holidays(country: str, subdivision: str) -> bool:
    """Whether anybody knows the holidays there. Asked so, only this country is read from the disk."""
    try:
        public_holidays(country, subdivision, 2026)
    except NotImplementedError:
        return False
    return True


def add(calendar: Opening, at: datetime, delay: int, unit: Unit | str) -> datetime:
    """The moment (UTC) so long after `at`, or before it for a negative delay. No delay is `at` itself.

    Minutes and hours pass only while the calendar is open. Days keep the time on the wall: a time the clock jumps over
    moves forward, one that comes twice is the first. Raises ValueError for a calendar that is as good as never open.
    """
    match Unit(unit):
        case _ if delay == 0:
            return at.astimezone(UTC)
        case Unit.bmin:
            return _passed(calendar, at, timedelta(minutes=delay))
        case Unit.bh:
            return _passed(calendar, at, timedelta(hours=delay))
        case Unit.bd:
            return _on(calendar, at, _business_day(calendar, at, delay))
        case Unit.cal:
            local = at.astimezone(ZoneInfo(calendar.zone))
            return _on(calendar, at, local.date() + timedelta(days=delay))


def next_business(calendar: Opening, at: datetime) -> datetime:
    """`at` itself while the calendar is open, else when it opens next (UTC). Raises ValueError as `add`."""
    for start, end in _spans(calendar, at, 1):
        if end > at:
            return max(start, at.astimezone(UTC))
    raise ValueError("the calendar is never open")


def _passed(calendar: Opening, at: datetime, delay: timedelta) -> datetime:
    """Open time is used up span by span, forwards or backwards."""
    forwards = delay > timedelta(0)
    left = abs(delay)
    for start, end in _spans(calendar, at, 1 if forwards else -1):
        start, end = (max(start, at), end) if forwards else (start, min(end, at))
        if start >= end:
            continue
        if end - start >= left:
            return (start + left if forwards else end - left).astimezone(UTC)
        left -= end - start
    raise ValueError("the calendar is never open")


def _spans(calendar: Opening, at: datetime, step: int) -> Iterator[tuple[datetime, datetime]]:
    """The calendar's spans from the local day of `at` on, or back from it."""
    day = at.astimezone(ZoneInfo(calendar.zone)).date()
    for _ in range(LOOK_AHEAD_DAYS):
        of_day = spans(calendar, day)
        yield from ((one.start, one.end) for one in (of_day if step > 0 else reversed(of_day)))
        day += timedelta(days=step)


def _business_day(calendar: Opening, at: datetime, delay: int) -> date:
    """The business day so many after the local day of `at`, which itself is not counted."""
    day = at.astimezone(ZoneInfo(calendar.zone)).date()
    step, left = (1, delay) if delay > 0 else (-1, -delay)
    for _ in range(LOOK_AHEAD_DAYS):
        day += timedelta(days=step)
        left -= bool(calendar.windows(day))
        if not left:
            return day
    raise ValueError("the calendar is never open")


def _on(calendar: Opening, at: datetime, day: date) -> datetime:
    """The moment at which the wall shows on that day what it shows at `at`."""
    zone = ZoneInfo(calendar.zone)
    wall = at.astimezone(zone).time()
    minutes = wall.hour * 60 + wall.minute
    rest = timedelta(seconds=wall.second, microseconds=wall.microsecond)
    return at_wall(day, minutes, zone) + rest


def is_business_day(calendar: Opening, at: datetime) -> bool:
    """Whether the local day of `at` has any business hours."""
    return bool(calendar.windows(at.astimezone(ZoneInfo(calendar.zone)).date()))


def wall_clock(calendar: Opening, at: datetime) -> time:
    """What the customer's clock shows."""
    return at.astimezone(ZoneInfo(calendar.zone)).time()
