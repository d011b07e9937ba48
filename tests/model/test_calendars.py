"""Calendars: delays counted in a customer's business time."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.model.calendars import Unit, add, calendar, next_business
from router.model.hours import Opening, open_seconds

MADRID = calendar("Europe/Madrid", "ES")


def wall(text: str, zone: str = "Europe/Madrid") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


@pytest.mark.parametrize(
    ("at", "delay", "unit", "then"),
    [
        ("2026-11-23T10:00", 4, "bh", "2026-11-23T14:00"),
        ("2026-11-23T16:00", 4, "bh", "2026-11-24T11:00"),
        ("2026-11-20T17:30", 60, "bmin", "2026-11-23T09:30"),  # over a weekend
        ("2026-11-21T12:00", 1, "bh", "2026-11-23T10:00"),  # from a Saturday
        ("2026-11-23T08:00", 9, "bh", "2026-11-23T18:00"),  # the end of a day belongs to it
        ("2026-11-20T15:12", 1, "bd", "2026-11-23T15:12"),
        ("2026-11-21T15:12", 1, "bd", "2026-11-23T15:12"),
        ("2026-12-07T11:00", 1, "bd", "2026-12-09T11:00"),  # the Immaculate Conception is a holiday
        ("2026-11-20T15:12", 1, "cal", "2026-11-21T15:12"),
        ("2026-11-24T11:00", -2, "bd", "2026-11-20T11:00"),
        ("2026-11-24T11:00", -4, "bh", "2026-11-23T16:00"),
        ("2026-11-23T11:00", 0, "bd", "2026-11-23T11:00"),
    ],
)
def test_a_delay_passes_only_in_business_time(at: str, delay: int, unit: str, then: str) -> None:
    assert add(MADRID, wall(at), delay, unit) == wall(then)


def test_a_day_of_a_subdivision_is_a_holiday_only_there() -> None:
    eve = wall("2026-09-10T11:00")  # the eve of the National Day of Catalonia
    assert add(MADRID, eve, 1, Unit.bd) == wall("2026-09-11T11:00")
    assert add(calendar("Europe/Madrid", "ES", "CT"), eve, 1, Unit.bd) == wall("2026-09-14T11:00")


def test_days_keep_the_time_on_the_wall_through_changes_of_the_clock() -> None:
    friday = wall("2026-03-27T10:00")
    assert add(MADRID, friday, 1, "bd") == wall("2026-03-30T10:00") == friday + timedelta(hours=71)
    assert add(MADRID, wall("2026-03-28T02:30"), 1, "cal") == wall("2026-03-29T03:00"), "02:30 does not exist"
    assert add(MADRID, wall("2026-10-24T02:30"), 1, "cal") == datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "the first"


def test_a_midnight_that_does_not_exist_moves_forward() -> None:
    santiago = calendar("America/Santiago", "CL")
    assert add(santiago, wall("2026-09-05T00:00", "America/Santiago"), 1, "cal") == datetime(2026, 9, 6, 4, tzinfo=UTC)


def test_an_hour_is_an_hour_where_the_day_has_twenty_three() -> None:
    always = calendar("Europe/Madrid", always=True)
    assert add(always, wall("2026-03-29T01:30"), 2, "bh") == wall("2026-03-29T04:30")


def test_a_calendar_of_an_unknown_country_keeps_no_holidays() -> None:
    assert calendar("Europe/Madrid", "XX", "YY") == calendar("Europe/Madrid")
    assert calendar("Europe/Madrid", "ES", "nowhere") == MADRID


def test_a_calendar_that_is_never_open_is_refused_not_waited_for() -> None:
    never = Opening("Europe/Madrid", ((),) * 7)
    for unit in (Unit.bmin, Unit.bd):
        with pytest.raises(ValueError, match="never open"):
            add(never, wall("2026-11-23T10:00"), 1, unit)
    with pytest.raises(ValueError, match="never open"):
        next_business(never, wall("2026-11-23T10:00"))


def test_business_time_begins_in_the_morning() -> None:
    assert next_business(MADRID, wall("2026-11-21T12:00")) == wall("2026-11-23T09:00")
    assert next_business(MADRID, wall("2026-11-23T12:00")) == wall("2026-11-23T12:00")


MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
ZONES = st.sampled_from(["Europe/Madrid", "Africa/Cairo", "America/Santiago", "Asia/Kolkata", "Australia/Lord_Howe"])


@given(MOMENTS, st.integers(1, 60), ZONES)
def test_so_many_business_minutes_later_so_many_have_passed(at: datetime, delay: int, zone: str) -> None:
    there = calendar(zone)
    then = add(there, at, delay, Unit.bmin)
    assert open_seconds(there, at, then) == pytest.approx(delay * 60)
    assert add(there, then, -delay, Unit.bmin) <= next_business(there, at)
