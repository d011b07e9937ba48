"""Choosing a time without script: slots as a select, by day, in the wall time of a zone."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from babel.dates import format_date

from router.model.errors import Invalid
from router.model.slots import Slot
from router.wording import known, zone_name


@dataclass(frozen=True)
class Choice:
    """One option: its value, and the hour as it stands on the wall."""

    value: str
    shown: str


@dataclass(frozen=True)
class Day:
    shown: str
    choices: list[Choice]


def value_of(starts_at: datetime) -> str:
    """A slot's beginning as a form sends it."""
    return starts_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_value(text: str) -> datetime:
    """The time a form sent (aware). Raises Invalid."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise Invalid("Please choose one of the times.", pointer="/slot")


def by_day(slots: Iterable[Slot], zone: str, locale: str) -> list[Day]:
    """The slots under their local days. In a week in which the clock changes each hour says its zone."""
    there = [(slot, slot.starts_at.astimezone(ZoneInfo(zone))) for slot in slots]
    changes = len({local.utcoffset() for _, local in there}) > 1
    days: dict[date, Day] = {}
    for slot, local in there:
        heading = format_date(local, "EEEE d MMMM", locale=known(locale))
        day = days.setdefault(local.date(), Day(heading[:1].upper() + heading[1:], []))
        shown = f"{local:%H:%M} {zone_name(local)}" if changes else f"{local:%H:%M}"
        day.choices.append(Choice(value_of(slot.starts_at), shown))
    return list(days.values())


