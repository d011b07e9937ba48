"""Recurring rules: by a grid of UTC, or by a wall whose clock jumps and comes back."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.model.recurring import AtWall, rule_of


def at(words: str) -> datetime:
    return datetime.fromisoformat(words).replace(tzinfo=UTC)


def times(words: str, zone: str, start: str, count: int) -> list[str]:
    rule, moment, found = rule_of(words, zone), at(start), []
    for _ in range(count):
        moment = rule.after(moment)
        found.append(f"{moment:%d %H:%M}")
    return found


def test_a_period_stands_on_a_grid_whenever_it_is_asked() -> None:
    assert times("every 15 min", "Europe/Madrid", "2026-11-23 12:07", 3) == ["23 12:15", "23 12:30", "23 12:45"]
    assert times("every 6 h", "UTC", "2026-11-23 12:00", 2) == ["23 18:00", "24 00:00"]
    assert rule_of("every 30 s").after(at("2026-11-23 12:00:29.999999")) == at("2026-11-23 12:00:30")


def test_weekdays_are_those_of_the_wall() -> None:
    # 00:30 on Monday in Madrid is still Sunday in UTC.
    assert times("mon,thu 00:30", "Europe/Madrid", "2026-11-22 12:00", 3) == ["22 23:30", "25 23:30", "29 23:30"]


@pytest.mark.parametrize(
    ("words", "zone", "start", "expected"),
    [
        # 02:30 does not exist on 29 March: the clock jumps from 02:00 to 03:00, which is 01:00 UTC.
        ("daily 02:30", "Europe/Madrid", "2026-03-27 12:00", ["28 01:30", "29 01:00", "30 00:30"]),
        # 02:30 comes twice on 25 October: it rings the first time, at 00:30 UTC.
        ("daily 02:30", "Europe/Madrid", "2026-10-23 12:00", ["24 00:30", "25 00:30", "26 01:30"]),
        # Cairo jumps at midnight: Friday 24 April begins at 01:00, which is 22:00 UTC on Thursday.
        ("daily 00:00", "Africa/Cairo", "2026-04-22 12:00", ["22 22:00", "23 22:00", "24 21:00"]),
        ("daily 00:30", "Africa/Cairo", "2026-04-22 12:00", ["22 22:30", "23 22:00", "24 21:30"]),
        # Santiago jumps at midnight too: Sunday 6 September begins at 01:00, which is 04:00 UTC.
        ("daily 00:00", "America/Santiago", "2026-09-04 12:00", ["05 04:00", "06 04:00", "07 03:00"]),
        # And it goes back at midnight: 23:30 comes twice on Saturday 4 April, at 02:30 and at 03:30 UTC.
        ("daily 23:30", "America/Santiago", "2026-04-03 12:00", ["04 02:30", "05 02:30", "06 03:30"]),
    ],
    ids=["madrid jumps", "madrid goes back", "cairo midnight", "cairo half past", "santiago jumps", "santiago back"],
)
def test_where_the_clock_changes_no_day_is_left_out_and_none_comes_twice(
    words: str, zone: str, start: str, expected: list[str]
) -> None:
    assert times(words, zone, start, 3) == expected


def test_between_the_two_times_that_a_wall_shows_the_same_it_is_tomorrow_that_comes_next() -> None:
    between = at("2026-10-25 00:45")  # 02:45 in summer time; 02:30 comes once more in winter time
    assert rule_of("daily 02:30", "Europe/Madrid").after(between) == at("2026-10-26 01:30")


ZONES = ("Europe/Madrid", "Africa/Cairo", "America/Santiago", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC")


@given(st.sampled_from(ZONES), st.integers(0, 24 * 60 - 1), st.integers(0, 366 * 24 * 60))
def test_every_day_of_every_wall_has_exactly_one(zone: str, minutes: int, start: int) -> None:
    rule = rule_of(f"daily {minutes // 60:02}:{minutes % 60:02}", zone)
    assert isinstance(rule, AtWall)
    moment = at("2026-01-01 00:00") + timedelta(minutes=start)
    first = rule.after(moment)
    assert first > moment
    days = [(first := rule.after(first)).astimezone(ZoneInfo(zone)).date() for _ in range(5)]
    assert [(b - a).days for a, b in pairwise(days)] == [1] * 4


@pytest.mark.parametrize(
    ("words", "zone"),
    [
        ("every 0 min", "UTC"), ("every 5 s", "UTC"), ("every 2 days", "UTC"), ("daily 24:00", "UTC"), ("", "UTC"),
        ("daily 3:30", "UTC"), ("mon,xyz 09:00", "UTC"), (",mon 09:00", "UTC"), ("daily,mon 09:00", "UTC"),
        ("daily 09:00", "Etc/Unknown"), ("daily 09:00", ""), ("daily 09:00", "../etc/passwd"),
        ("daily 09:00", "Europe"), ("daily 09:00", "\0"),
    ],
)
def test_what_is_no_rule_is_refused_by_name(words: str, zone: str) -> None:
    with pytest.raises(ValueError, match=r"is no|more often"):
        rule_of(words, zone)
