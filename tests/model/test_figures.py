"""Service figures: the definitions, against the worked check of the five service levels and numbers by hand."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from router.model.figures import (
    BY_KEY,
    FIGURES,
    Counts,
    Form,
    Handled,
    Offers,
    Response,
    Tally,
    Time,
    Unit,
    Waits,
    half_hours,
    quantile,
    service_level,
    within,
)
from router.model.hours import at_wall, open_seconds, opening
from router.wording import LOCALES, wording

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
WORKED = Waits(answered=1000, answered_in=860, left=60, left_in=20, left_short=10, moved=7, answered_ms=15_000_000,
               left_ms=2_400_000)


@pytest.mark.parametrize(("form", "percent"), [
    (Form.SL1, 83.02), (Form.SL2, 86.00), (Form.SL3, 81.13), (Form.SL4, 82.69), (Form.SL5, 82.08),
])
def test_the_five_service_levels_are_those_of_the_worked_check(form: Form, percent: float) -> None:
    found = service_level(form, WORKED)
    assert found is not None
    assert round(100 * found, 2) == percent


def test_of_nothing_there_is_no_figure_rather_than_a_perfect_one() -> None:
    nothing = Tally(NOON, NOON + timedelta(minutes=30))
    assert {figure.key for figure in FIGURES if figure.of(nothing) is not None} == {
        "offered", "answered", "left", "moved"}
    assert service_level(Form.SL4, Waits(left=3, left_in=3)) is None


def test_each_figure_is_what_its_definition_says() -> None:
    tally = Tally(
        NOON, NOON + timedelta(minutes=30), WORKED, Handled(4, 800_000, 120_000), Offers(6, 1, 2, 1, 5),
        Time(busy=600, ready=800, handling=540, signed_in=1000), Counts(10, 4, 5, 3, 20, 1, 8, 6),
        [Response(float(10 * n), float(n), reached=True) for n in range(1, 11)], [0.0, 20.0, 300.0],
    )
    found = {key: BY_KEY[key].of(tally) for key in BY_KEY}
    assert found["offered"] == 1067
    assert found["asa"] == 15.0
    assert found["wait"] == pytest.approx(17_400 / 1060)
    assert found["abandonment"] == 60 / 1060
    assert found["aht"] == 230.0
    assert (found["occupancy"], found["utilisation"]) == (0.75, 0.54)
    assert (found["acceptance"], found["misses"]) == (0.6, 0.3)
    assert (found["speed_p50"], found["speed_p90"], found["open_p50"], found["open_p90"]) == (50, 90, 5, 9)
    assert (found["speed_1"], found["speed_5"], found["open_1"]) == (0.6, 1.0, 1.0)
    assert (found["contact"], found["kept"], found["conversion"]) == (0.4, 0.6, 0.05)
    assert (found["slippage"], found["fcr"]) == (300.0, 0.75)


def test_a_quantile_is_a_value_that_occurred() -> None:
    assert quantile([], 0.5) is None
    assert quantile([7], 0.9) == 7
    assert quantile([4, 1, 3, 2], 0.5) == 2
    assert quantile([4, 1, 3, 2], 0.51) == 3
    assert quantile([4, 1, 3, 2], 1.0) == 4


def test_who_may_yet_be_in_time_is_neither_in_time_nor_late() -> None:
    def clock(one: Response) -> float:
        return one.wall

    waiting, late, gone = Response(59, 0, False), Response(61, 0, False), Response(10, 0, False, over=True)
    assert within([waiting], 60, clock) is None
    assert within([waiting, late], 60, clock) == 0.0
    assert within([Response(60, 0, True), gone, waiting], 60, clock) == 0.5


@pytest.mark.parametrize(("day", "count", "first", "last"), [
    (date(2026, 11, 23), 48, "2026-11-22T23:00:00+00:00", "2026-11-23T23:00:00+00:00"),
    (date(2026, 10, 25), 50, "2026-10-24T22:00:00+00:00", "2026-10-25T23:00:00+00:00"),
    (date(2027, 3, 28), 46, "2027-03-27T23:00:00+00:00", "2027-03-28T22:00:00+00:00"),
])
def test_a_day_has_as_many_half_hours_as_the_wall_shows(day: date, count: int, first: str, last: str) -> None:
    edges = half_hours(day, "Europe/Madrid")
    assert len(edges) == count + 1
    assert (edges[0].isoformat(), edges[-1].isoformat()) == (first, last)
    assert {after - before for before, after in pairwise(edges)} == {timedelta(minutes=30)}


def test_a_day_whose_clock_moves_by_half_an_hour_is_cut_at_half_hours_too() -> None:
    assert len(half_hours(date(2026, 10, 4), "Australia/Lord_Howe")) == 48  # it lost half an hour


def test_the_clock_of_opening_hours_stands_still_at_night() -> None:
    line = opening("Europe/Madrid", {day: [["09:00", "14:00"], ["16:00", "20:00"]] for day in ("mon", "tue")})
    monday, tuesday, zone = date(2026, 11, 23), date(2026, 11, 24), ZoneInfo("Europe/Madrid")

    def at(day: date, minutes: int) -> datetime:
        return at_wall(day, minutes, zone)

    assert open_seconds(line, at(monday, 19 * 60 + 50), at(tuesday, 9 * 60 + 5)) == 15 * 60
    assert open_seconds(line, at(monday, 13 * 60), at(monday, 17 * 60)) == 2 * 3600
    assert open_seconds(line, at(monday, 21 * 60), at(monday, 22 * 60)) == 0
    assert open_seconds(line, at(monday, 10 * 60), at(monday, 10 * 60)) == 0


def test_every_figure_has_its_own_name_and_a_definition_in_every_language() -> None:
    assert len({figure.key for figure in FIGURES}) == len({figure.name for figure in FIGURES}) == len(FIGURES)
    for figure in FIGURES:
        assert figure.definition.endswith(".")
        assert figure.unit in Unit
        for locale in LOCALES[1:]:
            assert wording().say(figure.definition, locale) != figure.definition, (locale, figure.key)
            assert wording().say(figure.name, locale) != figure.name, (locale, figure.key)
