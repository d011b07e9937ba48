"""Waiting: a moment that was told is kept to."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as some

from router.model.waiting import NEARER, Standing, Told, minutes, reckoned, told

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def at(seconds: float, present: int = 2) -> Told:
    return Told(NOON + seconds * SECOND, present)


def test_it_is_one_turn_for_each_before_him_and_one_for_himself() -> None:
    assert reckoned(Standing(0, 1, 0, 300, 20), NOON) == at(300, 1)
    assert reckoned(Standing(3, 2, 0, 300, 20), NOON) == at(600)
    assert reckoned(Standing(0, 2, 1, 300, 20), NOON) == at(20)  # somebody is ready for him
    assert reckoned(Standing(1, 2, 1, 300, 20), NOON) == at(150)  # he is ready for another
    assert reckoned(Standing(0, 50, 0, 300, 20), NOON) == at(20, 50)  # it rings so long at least
    assert reckoned(Standing(0, 0, 0, 300, 20), NOON) is None


def test_what_was_told_only_comes_nearer() -> None:
    assert told(None, at(300)) == at(300)
    assert told(at(300), at(600)) == at(300)
    assert told(at(300), at(100)) == at(100)
    assert told(at(300), at(301 - NEARER.seconds)) == at(300)  # not worth telling
    assert told(at(300), at(100, 5)) == at(100, 5)


def test_fewer_agents_are_a_cause_and_more_that_are_gone_again_are_none() -> None:
    assert told(at(300), at(600, 1)) == at(600, 1)
    assert told(at(300), None) is None
    kept = told(at(300, 2), at(400, 4))
    assert told(kept, at(800, 2)) == at(300, 2)


def test_a_moment_that_has_passed_stays_any_moment_now() -> None:
    passed = at(-5)
    assert told(passed, at(250)) == passed
    assert minutes(passed, NOON) == 0
    assert told(passed, at(600, 1)) == at(600, 1)  # unless an agent has gone


def test_begun_minutes_count_whole() -> None:
    assert [minutes(at(seconds), NOON) for seconds in (0, 0.5, 60, 60.5, 600)] == [0, 1, 1, 2, 10]


@given(
    some.integers(0, 30), some.integers(1, 9),
    some.lists(some.tuples(some.integers(0, 3), some.floats(0, 600), some.floats(10, 2000), some.integers(0, 9))),
)
def test_with_the_same_staff_and_nobody_before_him_but_those_who_go_it_never_rises(
    ahead: int, present: int, steps: list[tuple[int, float, float, int]]
) -> None:
    """However long the talks take, whoever of the same staff is ready, and however time passes between the looks."""
    now, shown = NOON, told(None, reckoned(Standing(ahead, present, 0, 300, 20), NOON))
    assert shown is not None
    for gone, seconds, handle, ready in steps:
        ahead, now = max(0, ahead - gone), now + seconds * SECOND
        after = told(shown, reckoned(Standing(ahead, present, min(ready, present), handle, 20), now))
        assert after is not None
        assert after.at <= shown.at
        assert minutes(after, now) <= minutes(shown, now)
        shown = after
