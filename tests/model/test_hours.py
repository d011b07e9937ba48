"""Hours: opening times of the wall, through nights in which the clock changes."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from router.model.hours import (
    Opening,
    at_wall,
    check_holidays,
    covers,
    is_open,
    next_open,
    opening,
    spans,
    week_of,
)

MADRID = ZoneInfo("Europe/Madrid")
FORWARD, BACK = date(2027, 3, 28), date(2026, 10, 25)
WEEK = {day: [["09:00", "14:00"], ["16:00", "20:00"]] for day in ("mon", "tue", "wed", "thu", "fri")}


def local(text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=MADRID, fold=fold)


def hours(of: Opening, day: date) -> list[str]:
    return [f"{one.start.astimezone(MADRID):%H:%M%z}-{one.end.astimezone(MADRID):%H:%M%z}" for one in spans(of, day)]


def test_a_line_is_open_from_the_first_minute_to_before_the_last() -> None:
    line = opening("Europe/Madrid", WEEK)
    said = {text: is_open(line, local(f"2026-11-26T{text}")) for text in ("08:59", "09:00", "13:59:59", "14:00")}
    assert said == {"08:59": False, "09:00": True, "13:59:59": True, "14:00": False}


def test_without_hours_it_is_always_open_but_for_holidays_and_closures() -> None:
    line = opening("Europe/Madrid", {}, {"country": "ES", "subdivision": "MD"}, ["2026-11-27"])
    assert is_open(line, local("2026-11-26T03:00"))
    assert not is_open(line, local("2026-11-27T12:00"))
    assert not is_open(line, local("2026-12-08T12:00"))


def test_a_part_of_a_country_has_holidays_of_its_own() -> None:
    madrid, catalonia = (opening("Europe/Madrid", {}, {"country": "ES", "subdivision": one}) for one in ("MD", "CT"))
    saint_stephen = local("2025-12-26T12:00")
    assert (is_open(madrid, saint_stephen), is_open(catalonia, saint_stephen)) == (True, False)


def test_the_next_opening_is_looked_for_over_the_weekend_and_the_holiday() -> None:
    line = opening("Europe/Madrid", WEEK, {"country": "ES"})
    assert next_open(line, local("2026-12-04T20:00")) == local("2026-12-07T09:00")
    assert next_open(line, local("2026-12-07T20:00")) == local("2026-12-09T09:00")
    assert next_open(line, local("2026-12-09T10:00")) == local("2026-12-09T10:00")


def test_a_line_that_never_opens_says_so() -> None:
    assert next_open(opening("Europe/Madrid", {"mon": []}), local("2026-12-09T10:00")) is None


def test_hours_the_clock_jumps_over_move_forward() -> None:
    line = opening("Europe/Madrid", {"sun": [["02:15", "04:00"]]})
    assert hours(line, FORWARD) == ["03:00+0200-04:00+0200"]
    assert hours(opening("Europe/Madrid", {"sun": [["01:00", "02:30"]]}), FORWARD) == ["01:00+0100-03:00+0200"]
    assert hours(opening("Europe/Madrid", {"sun": [["02:00", "03:00"]]}), FORWARD) == []


def test_hours_that_come_twice_mean_the_first() -> None:
    line = opening("Europe/Madrid", {"sun": [["01:00", "02:30"]]})
    assert hours(line, BACK) == ["01:00+0200-02:30+0200"]
    late = opening("Europe/Madrid", {"sun": [["02:30", "04:00"]]})
    assert hours(late, BACK) == ["02:30+0200-02:00+0100", "02:30+0100-04:00+0100"]


def test_the_long_day_has_twenty_five_hours() -> None:
    line = opening("Europe/Madrid", {})
    lengths = {day: sum(((one.end - one.start) for one in spans(line, day)), timedelta(0)) for day in (FORWARD, BACK)}
    assert lengths == {FORWARD: timedelta(hours=23), BACK: timedelta(hours=25)}


def test_a_day_that_begins_at_one_in_the_morning_begins_then() -> None:
    santiago = ZoneInfo("America/Santiago")
    assert at_wall(date(2026, 9, 6), 0, santiago) == datetime(2026, 9, 6, 4, 0, tzinfo=UTC)


def test_a_night_over_the_change_is_covered_without_a_hole() -> None:
    line = opening("Europe/Madrid", {})
    assert covers(line, local("2026-10-24T22:00"), local("2026-10-26T08:00"))


@pytest.mark.parametrize(("wrong", "said"), [
    ({"lunes": []}, "is no day"),
    ({"mon": [["9:00", "14:00"]]}, "no time such as 09:00"),
    ({"mon": [["14:00", "09:00"]]}, "ends before it begins"),
    ({"mon": [["09:00", "12:00"], ["11:00", "14:00"]]}, "overlap"),
    ({"mon": ["09:00", "12:00"]}, "pairs"),
    ({"mon": [["09:00", "25:00"]]}, "no time"),
    ({"mon": [[9, 12]]}, "no time"),
])
def test_wrong_hours_are_refused_with_the_day(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        week_of(wrong)


def test_unknown_holidays_are_refused_with_those_that_are_known() -> None:
    check_holidays("ES", "MD")
    with pytest.raises(ValueError, match="XX"):
        check_holidays("XX", "")
    with pytest.raises(ValueError, match="MD"):
        check_holidays("ES", "QQ")
