"""The best time to call: the person's own hours, and when people like him answer. Pure; moments are aware.

A day has five parts. How often calls are answered in one is counted by country, kind of line, weekday and part, older
calls for less (a half-life of thirty days), and drawn towards what is usual until there are enough of them.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

BANDS: Mapping[str, tuple[int, int]] = {
    "09-11": (9, 11), "11-13": (11, 13), "13-16": (13, 16), "16-18": (16, 18), "18-20": (18, 20),
}  # fmt: skip
"""Parts of the day by the hours of the wall clock, [from, to)."""
HALF_LIFE = timedelta(days=30)
PRIOR = {"09-11": 0.30, "11-13": 0.27, "13-16": 0.25, "16-18": 0.32, "18-20": 0.30}
"""Answered calls where nothing has been counted yet: a guess of ours, leaning on one vendor's old study that found
mornings and late afternoons best. Twenty counted calls weigh as much."""
WEIGHT = 20.0
OWN_HOUR = 0.25
"""What it is worth that he himself was at it at this hour of the day, give or take one."""
TRIED = 0.5
"""What it costs that he was called in this part of the day in vain."""

Window = tuple[datetime, datetime]


@dataclass(frozen=True)
class Counted:
    """Calls of one weekday (0: Monday) and part of the day, older ones for less: tried and answered, as of `at`."""

    tries: float = 0.0
    answered: float = 0.0
    at: datetime | None = None

    def plus(self, answered: bool, now: datetime) -> "Counted":
        """With one more call."""
        weight = faded(now - self.at) if self.at is not None else 0.0
        return Counted(self.tries * weight + 1, self.answered * weight + answered, now)

    def rate(self, band: str, now: datetime) -> float:
        """The share that is answered, drawn towards the usual one."""
        weight = faded(now - self.at) if self.at is not None else 0.0
        usual = PRIOR.get(band, min(PRIOR.values()))
        return (self.answered * weight + usual * WEIGHT) / (self.tries * weight + WEIGHT)


Rates = Mapping[tuple[int, str], Counted]
"""By weekday and part of the day."""


def faded(age: timedelta) -> float:
    """What a call of this age still counts."""
    return float(0.5 ** (max(timedelta(0), age) / HALF_LIFE))


def band_of(at: datetime, zone: str) -> str:
    """The part of the day on the wall of `zone`; "" early in the morning and at night."""
    hour = at.astimezone(ZoneInfo(zone)).hour
    return next((name for name, (opens, closes) in BANDS.items() if opens <= hour < closes), "")


@dataclass(frozen=True)
class Caller:
    """What is known of the person: his zone, the hours of his wall clock at which he did something himself, the parts
    of the day in which he was called in vain, and how people like him answer."""

    zone: str
    hours: tuple[int, ...] = ()
    tried: tuple[str, ...] = ()
    rates: Rates | None = None

    def weekday(self, at: datetime) -> int:
        """The day of the week on his wall, 0 for Monday."""
        return at.astimezone(ZoneInfo(self.zone)).weekday()

    def chance(self, at: datetime) -> float:
        """The share of calls to people like him that are answered at such a moment."""
        band = band_of(at, self.zone)
        return (self.rates or {}).get((self.weekday(at), band), Counted()).rate(band, at)

    def score(self, at: datetime) -> float:
        """How good a moment is; only the order means something."""
        local = at.astimezone(ZoneInfo(self.zone))
        band = band_of(at, self.zone)
        near = any(min(abs(local.hour - hour), 24 - abs(local.hour - hour)) <= 1 for hour in self.hours)
        return self.chance(at) + OWN_HOUR * near - TRIED * min(1, self.tried.count(band))


def pieces(windows: Iterable[Window], zone: str) -> Iterator[tuple[datetime, str]]:
    """The windows cut into parts of the day: where each piece begins, and which part it lies in; one after the other,
    because most ask for the first ones only."""
    there = ZoneInfo(zone)
    last: tuple[date, str] | None = None
    for start, end in windows:
        at = start
        while at < end:
            local, band = at.astimezone(there), band_of(at, zone)
            if last != (local.date(), band):
                yield at, band
            last = (local.date(), band)
            at = min(end, at + timedelta(hours=1) - timedelta(minutes=local.minute, seconds=local.second,
                                                              microseconds=local.microsecond))


def other_band(windows: Sequence[Window], caller: Caller, earliest: datetime) -> datetime | None:
    """The first lawful moment from `earliest` on in a part of the day not tried before; when all were, in another part
    than the last one. None when the windows have none."""
    cut = _from(windows, earliest)
    for avoid in (set(caller.tried), set(caller.tried[-1:]), set()):
        found = next((at for at, band in pieces(cut, caller.zone) if band not in avoid), None)
        if found is not None:
            return found
    return None


def best(windows: Sequence[Window], caller: Caller, earliest: datetime, latest: datetime) -> datetime | None:
    """The best lawful moment from `earliest` to `latest`, the sooner of equals; the first lawful one if none lies
    between. None when the windows have none."""
    cut = _from(windows, earliest)
    between = takewhile(lambda piece: piece[0] <= latest, pieces(cut, caller.zone))
    ranked = [(-caller.score(at), at) for at, _ in between]
    return min(ranked)[1] if ranked else first(windows, earliest)


def first(windows: Sequence[Window], earliest: datetime) -> datetime | None:
    """The first lawful moment from `earliest` on."""
    return next((start for start, _ in _from(windows, earliest)), None)


def _from(windows: Sequence[Window], earliest: datetime) -> list[Window]:
    return [(max(start, earliest), end) for start, end in windows if end > earliest]


def hours_of(moments: Collection[datetime], zone: str) -> tuple[int, ...]:
    """The hours of the wall clock at which somebody did something himself."""
    there = ZoneInfo(zone)
    return tuple(sorted({at.astimezone(there).hour for at in moments}))
