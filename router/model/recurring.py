"""Recurring work: a rule, and when it is next the case. Rules are words such as "every 15 min" or "daily 03:30"."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Numbered
from router.model.hours import DAYS, at_wall

_UNITS = {"s": 1, "min": 60, "h": 3600}
SHORTEST = timedelta(seconds=10)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Every:
    """At the multiples of a period, counted from 1970 in UTC: every quarter of an hour is at :00, :15, :30 and :45."""

    period: timedelta

    def after(self, at: datetime) -> datetime:
        """The first time after a moment (aware), in UTC."""
        return _EPOCH + ((at - _EPOCH) // self.period + 1) * self.period


@dataclass(frozen=True)
class AtWall:
    """On these weekdays (Monday is 0), so many minutes after midnight by the wall clock of a zone."""

    days: tuple[int, ...]
    minutes: int
    zone: ZoneInfo

    def after(self, at: datetime) -> datetime:
        """The first time after a moment (aware), in UTC. A time the clock jumps over is the moment of the jump; of one
        that comes twice the first is meant."""
        # A day sooner than today: where clocks go back over midnight, yesterday's hours come once more.
        day = at.astimezone(self.zone).date() - timedelta(days=1)
        while True:
            if day.weekday() in self.days and (moment := at_wall(day, self.minutes, self.zone)) > at:
                return moment
            day += timedelta(days=1)


Rule = Every | AtWall


def rule_of(words: str, zone: str = "UTC") -> Rule:
    """The rule in words: "every 30 s", "every 15 min", "every 6 h", "daily 03:30", "mon,thu 09:00". Times of day are
    the wall's in the zone (IANA). Raises ValueError."""
    if found := re.fullmatch(r"every ([1-9]\d{0,4}) (s|min|h)", words):
        period = timedelta(seconds=int(found[1]) * _UNITS[found[2]])
        if period < SHORTEST:
            raise ValueError(f"{words!r} is more often than every {SHORTEST.seconds} s")
        return Every(period)
    if found := re.fullmatch(r"([a-z,]+) ([01]\d|2[0-3]):([0-5]\d)", words):
        days = DAYS if found[1] == "daily" else tuple(found[1].split(","))
        if set(days) <= set(DAYS):
            return AtWall(
                tuple(sorted({DAYS.index(day) for day in days})), int(found[2]) * 60 + int(found[3]), _zone(zone)
            )
    raise ValueError(f'{words!r} is no rule such as "every 15 min", "daily 03:30" or "mon,thu 09:00"')


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError) as error:
        raise ValueError(f"{name!r} is no time zone such as Europe/Madrid") from error


class Recurring(Numbered):
    """Work that comes again. Its alarm has the kind `name` and this row's number as its subject; `next_at` (UTC) is
    when the one that is set was due at first, whatever became of it since."""

    __tablename__ = "recurring"
    name: Mapped[str] = mapped_column(unique=True)
    rule: Mapped[str]
    zone: Mapped[str]
    next_at: Mapped[datetime]


class Canary(Numbered):
    """A canary's song: an alarm of each minute, when it was due, claimed, and done."""

    __tablename__ = "canaries"
    due_at: Mapped[datetime]
    claimed_at: Mapped[datetime]
    done_at: Mapped[datetime] = mapped_column(index=True)
