"""The best time to call: counted, faded and shrunk."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from router.model.best_time import PRIOR, Caller, Counted, band_of, best, first, hours_of, other_band, pieces

ZONE = "Europe/Madrid"


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(ZONE)).astimezone(UTC)


MONDAY = (wall("2026-11-23T10:00"), wall("2026-11-23T20:00"))
TUESDAY = (wall("2026-11-24T10:00"), wall("2026-11-24T20:00"))
BOTH = [MONDAY, TUESDAY]


@pytest.mark.parametrize(
    ("at", "band"), [("08:59", ""), ("09:00", "09-11"), ("12:59", "11-13"), ("15:30", "13-16"), ("20:00", "")]
)
def test_a_moment_lies_in_one_part_of_the_day(at: str, band: str) -> None:
    assert band_of(wall(f"2026-11-23T{at}"), ZONE) == band


def test_windows_are_cut_where_a_part_of_the_day_ends() -> None:
    assert [(at.astimezone(ZoneInfo(ZONE)).hour, band) for at, band in list(pieces(BOTH, ZONE))[:6]] == [
        (10, "09-11"), (11, "11-13"), (13, "13-16"), (16, "16-18"), (18, "18-20"), (10, "09-11"),
    ]  # fmt: skip


def test_little_counts_little_and_much_counts() -> None:
    now = wall("2026-11-23T10:00")
    once = Counted().plus(True, now)
    assert PRIOR["13-16"] < once.rate("13-16", now) < 0.30
    many = Counted()
    for _ in range(500):
        many = many.plus(True, now)
    assert many.rate("13-16", now) > 0.95
    assert many.rate("13-16", now + timedelta(days=300)) == pytest.approx(PRIOR["13-16"], abs=0.02)
    faded = many.plus(False, now + timedelta(days=30))
    assert (faded.tries, faded.answered) == pytest.approx((251, 250))


def test_his_own_hours_win_over_what_is_usual() -> None:
    at_noon = Caller(ZONE, hours=(12,))
    assert best([MONDAY], at_noon, MONDAY[0], MONDAY[1]) == wall("2026-11-23T11:00")
    assert best([MONDAY], Caller(ZONE), MONDAY[0], MONDAY[1]) == wall("2026-11-23T16:00")
    assert hours_of([wall("2026-11-20T12:40"), wall("2026-11-21T12:10")], ZONE) == (12,)


def test_a_part_of_the_day_tried_in_vain_is_not_the_best() -> None:
    assert best([MONDAY], Caller(ZONE, tried=("16-18",)), *MONDAY) == wall("2026-11-23T10:00")
    assert best([MONDAY], Caller(ZONE, tried=("16-18", "09-11")), *MONDAY) == wall("2026-11-23T18:00")


def test_the_law_cuts_what_is_best() -> None:
    short = [(wall("2026-11-23T10:00"), wall("2026-11-23T12:00"))]
    assert best(short, Caller(ZONE, hours=(19,)), *MONDAY) == wall("2026-11-23T10:00")
    assert best([], Caller(ZONE), *MONDAY) is None
    assert best([TUESDAY], Caller(ZONE), MONDAY[0], MONDAY[1]) == TUESDAY[0], "later than wanted, but lawful"


def test_each_try_is_in_another_part_of_the_day() -> None:
    tried: tuple[str, ...] = ()
    at = MONDAY[0]
    for band in ("09-11", "11-13", "13-16", "16-18", "18-20", "09-11"):
        found = other_band(BOTH, Caller(ZONE, tried=tried), at)
        assert found is not None
        assert band_of(found, ZONE) == band
        tried, at = (*tried, band), found


def test_counts_decide_between_parts_of_the_day() -> None:
    now = MONDAY[0]
    good = Counted(100, 90, now)
    assert best([MONDAY], Caller(ZONE, rates={(0, "13-16"): good}), *MONDAY) == wall("2026-11-23T13:00")
    assert first(BOTH, wall("2026-11-23T21:00")) == TUESDAY[0]
