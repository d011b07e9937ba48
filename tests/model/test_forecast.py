"""What is expected: the house asks its journal, a replay what it has played; both by the same function."""

from typing import Any

from msgspec.structs import replace

from router.model.forecast import DAY, LOOK_BACK, Happened, foreseen
from router.model.lots import lots
from router.model.recording import Item
from router.model.replaying import replay
from router.model.routing import Expected
from router.model.tasks import TIER_EXPIRING, TIER_HOT, TIER_NOW, TIER_STALE, TaskKind, TaskState
from router.model.transcribing import Told, items_of
from tests.model.test_replaying import WORK, desk, item, played, recording, waited

SPANISH = {"es": 1}


def test_a_sixth_arrival_in_a_quarter_of_an_hour_makes_one_more_likely_than_not() -> None:
    assert foreseen([(SPANISH, 5)], 0, 0).expected == []
    assert foreseen([(SPANISH, 6)], 0, 0).expected == [Expected(SPANISH, 6 * 2 / 15)]


def test_nurture_is_owed_a_tenth_of_what_is_done() -> None:
    assert [foreseen([], nurtured, 20).owed for nurtured in (1, 2)] == [True, False]
    assert not foreseen([], 0, 0).owed, "nothing was done yet"


def test_what_happened_too_long_ago_tells_nothing() -> None:
    happened = Happened()
    for _ in range(6):
        happened.arrives(0.0, SPANISH, TIER_NOW)
        happened.arrives(0.0, {}, TIER_HOT)
    happened.is_done(0.0, TIER_NOW)
    quarter, day = LOOK_BACK.total_seconds(), DAY.total_seconds()
    assert [one.needs for one in happened.foreseen(quarter - 1.0).expected] == [SPANISH]
    assert happened.foreseen(quarter).expected == []
    assert [happened.foreseen(at).owed for at in (day - 1.0, day)] == [True, False]


# --- played again ----------------------------------------------------------------------------------------------------


def nurture(task: int, at: float, tier: int = TIER_STALE, **values: Any) -> Item:
    return item(task, at, kind=TaskKind.nurture, tier=tier, counted=False, **values)


def busy_quarter() -> list[Item]:
    """Seven calls within six minutes from 900 s on, after a nurture call: nothing is owed for the day."""
    return [nurture(90, 0.0, handle_s=5.0), *(item(n, 900.0 + n * 50.0, 5.0) for n in range(7))]


def test_nurture_waits_while_somebody_is_expected() -> None:
    day = recording([*busy_quarter(), nurture(99, 1_310.0)])
    assert waited(played(day))[-1] == 1_860.0 - 1_310.0, "until only five came in the last quarter of an hour"
    assert waited(played(recording([nurture(99, 1_310.0)]))) == [0.0]


def test_with_another_agent_somebody_stays_free_anyway() -> None:
    items = [*busy_quarter(), nurture(99, 1_310.0), nurture(100, 1_310.0)]
    day = recording(items, desk(1), desk(2))
    assert waited(replay(day, lots(items, 1)))[-2:] == [0.0, 60.0]
    assert waited(replay(recording(items), lots(items, 1)))[-2] > 0.0


def test_what_nobody_asked_for_and_who_comes_back_tell_of_no_new_arrivals() -> None:
    for values in ({"tier": TIER_HOT}, {"fresh": False}):
        items = [replace(one, **values) if one.tier == TIER_NOW else one for one in busy_quarter()]
        assert waited(played(recording([*items, nurture(99, 1_310.0)])))[-1] == 0.0


def test_quiet_quotes_are_owed_their_share_of_the_day() -> None:
    """One of eleven that were done before is nurture: less than a tenth."""
    done = [item(50 + n, 100.0 + n * 10.0, 5.0) for n in range(3)]
    first, *quarter = busy_quarter()
    day = recording([first, *done, *quarter, nurture(99, 1_310.0, TIER_EXPIRING)])
    assert waited(played(day))[-1] == 0.0
    assert waited(played(recording([first, *quarter, nurture(99, 1_310.0, TIER_EXPIRING)])))[-1] > 100.0


def test_a_task_that_came_back_from_an_agent_is_not_fresh() -> None:
    steps = [
        Told(0.0, TaskState.queued), Told(1.0, TaskState.reserved, 1), Told(1.0, TaskState.engaged, 1),
        Told(50.0, TaskState.queued, None, 0, "transferred"), Told(60.0, TaskState.reserved, 2),
    ]
    assert [one.fresh for one in items_of(WORK, steps, recording([]))] == [True, False]
