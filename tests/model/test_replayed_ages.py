"""Who waits long in a recorded day that is played again: taken over by another queue, or given up."""

import math
from datetime import UTC, date, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from router.model.comparing import column, difference, with_more, with_plan
from router.model.configuration import read
from router.model.hours import opening
from router.model.lots import lots, patience
from router.model.recording import Answer, End, Item, Recording, Ring, Row, Terms, Timetable, closed_spans
from router.model.replaying import as_recorded, replay
from router.model.tasks import TIER_PROMISE, TaskKind, TaskState
from router.model.transcribing import Told, items_of
from tests.model.test_replaying import DAY, FILE, WORK, desk, item, played, recording, waited

SPANISH = Terms({"es": 1})
SALES, OTHERS = 1, 2


def two_lines(*items: Item, **values: Any) -> Recording:
    """Agent 1 has Spanish, which the sales line needs; agent 2 has nothing, and the other line takes anybody."""
    day = recording(items, desk(1, skills={"es": 1}), desk(2))
    return replace(
        day, queues={SALES: "luz/ventas", OTHERS: "luz/otras"},
        timetables={SALES: Timetable(overflow=OTHERS, terms=SPANISH, **values), OTHERS: Timetable()},
    )


def long_first(handle_s: float = 500.0) -> Item:
    return item(1, 0.0, handle_s, terms=SPANISH)


def spanish(task: int, at: float, **values: Any) -> Item:
    return item(task, at, terms=SPANISH, **values)


def test_who_waits_too_long_is_taken_over_by_another_queue() -> None:
    assert waited(played(two_lines(long_first(), spanish(2, 10.0)))) == [0.0, 490.0]
    assert waited(played(two_lines(long_first(), spanish(2, 10.0), overflow_s=40.0))) == [0.0, 40.0]


def test_a_closed_line_hands_over_at_once() -> None:
    closed = ((100.0, 300.0),)
    day = two_lines(long_first(), spanish(2, 10.0), spanish(3, 250.0), closed=closed)
    assert waited(played(day)) == [0.0, 90.0, 0.0]
    assert waited(played(two_lines(long_first(), spanish(2, 320.0), closed=closed))) == [0.0, 180.0]


def test_his_age_goes_with_him_and_meets_the_other_queues_rows() -> None:
    other = Timetable(terms=Terms({"it": 1}, rows=(Row(60.0, {}),)))
    day = two_lines(long_first(), spanish(2, 10.0), overflow_s=40.0)
    assert waited(played(replace(day, timetables={**day.timetables, OTHERS: other}))) == [0.0, 60.0]


def test_what_rings_at_its_end_is_taken_over_when_it_comes_back() -> None:
    """The agent rejects it at 45 s, when it has waited for more than the 40 s."""
    again = spanish(2, 40.0, rings=(Ring(1, Answer.rejected, 45.0),), agent=2)
    day = two_lines(again, overflow_s=40.0)
    assert waited(played(day)) == [45.0]


EXPIRES = {1: Timetable(expire_s=100.0)}


def test_whoever_waits_too_long_is_given_up_and_lost() -> None:
    day = recording([item(1, 0.0, 500.0), item(2, 10.0)], timetables=EXPIRES)
    course = played(day)
    assert [(one.end, one.waited_s) for one in course.ended] == [(End.answered, 0.0), (End.expired, 100.0)]
    seen = column(day, course)
    assert (seen.offered, seen.answered, seen.left, seen.expired, seen.abandoned) == (2, 1, 1, 1, 0.5)
    found = difference(day, played(replace(day, timetables={})), course, 30.0)
    assert (found.saved, found.lost) == ([], [2])


@pytest.mark.parametrize("spared", [
    {"tier": TIER_PROMISE}, {"on_line": True}, {"kind": TaskKind.chat},
])
def test_callers_on_the_line_promises_and_what_is_written_are_not_given_up(spared: dict[str, Any]) -> None:
    day = recording([item(1, 0.0, 500.0, kind=spared.get("kind", TaskKind.call)), item(2, 10.0, **spared)],
                    timetables=EXPIRES)
    assert [one.end for one in played(day).ended] == [End.answered, End.answered]


def test_who_was_given_up_would_have_stayed() -> None:
    gone = item(2, 10.0, end=End.expired, waited_s=100.0, ring_s=None, handle_s=None, agent=None)
    day = recording([item(1, 0.0, 500.0), gone], timetables=EXPIRES)
    assert list(played(day).ended) == list(as_recorded(day).ended)
    assert patience(day.items)[1, TaskKind.call] == (None, 0)
    assert lots(day.items, 1)[1].stays_s == math.inf
    more = with_more(day, 1)
    assert [one.end for one in replay(more, lots(day.items, 1)).ended] == [End.answered, End.answered]
    assert waited(played(replace(day, timetables={})))[1] == 490.0


def test_a_file_says_when_who_waits_is_taken_over_or_given_up() -> None:
    timed = FILE.replace('skills = { it = 2 }', """skills = { es = 1 }
  overflow = "otras"
  overflow_seconds = 40
  expire_seconds = 80
  exclude_seconds = 30
  hours = { thu = [["00:00", "12:00"]] }""").replace('  agents_by = "most_skilled"\n', "").replace(
        '  [[campaigns.queues.rules.rows]]\n  from_seconds = 60\n  skills = ["it"]\n', "").replace(
        "[[agents]]", '  [[campaigns.queues]]\n  key = "otras"\n  name = "Otras"\n  expire_seconds = 50\n[[agents]]', 1)
    timed = timed.replace('login = "agent1"', 'login = "nobody"')
    day = two_lines(long_first(), spanish(2, 10.0))
    planned = with_plan(day, read(timed))
    sales = planned.timetable(SALES)
    assert (sales.exclude_s, sales.overflow, sales.overflow_s, sales.expire_s) == (30, OTHERS, 40, 80)
    assert sales.closed[0] == (11 * 3_600.0, math.inf), "1970 began on a Thursday, at one in the morning in Madrid"
    assert planned.timetable(OTHERS).expire_s == 50
    assert waited(played(planned)) == [0.0, 40.0]
    assert planned.items[0].terms is planned.items[1].terms is sales.terms


def test_a_line_is_closed_outside_its_hours() -> None:
    hours = opening("Europe/Madrid", {"mon": [["09:00", "14:00"], ["16:00", "20:00"]]}, {}, ["2025-12-01"])
    monday = datetime(2025, 11, 24, 7, 0, tzinfo=UTC).timestamp()
    hour = 3_600.0
    assert closed_spans(hours, monday, 24 * hour) == (
        (0.0, 1 * hour), (6 * hour, 8 * hour), (12 * hour, math.inf),
    )
    assert date(2025, 12, 1).weekday() == 0
    assert closed_spans(hours, monday + 7 * 24 * hour, 24 * hour) == ((0.0, math.inf),)
    assert closed_spans(opening("Europe/Madrid", {}), monday, DAY) == ()


# --- from facts ------------------------------------------------------------------------------------------------------


def test_what_was_taken_over_came_into_the_queue_before() -> None:
    steps = [
        Told(0.0, TaskState.queued), Told(40.0, None, queue=OTHERS, before=SALES),
        Told(50.0, TaskState.reserved, 2), Told(50.0, TaskState.engaged, 2), Told(70.0, TaskState.closed, 2),
    ]
    (found,) = items_of(replace(WORK, queue=OTHERS), steps, two_lines())
    assert (found.queue, found.terms, found.waited_s, found.end) == (SALES, SPANISH, 50.0, End.answered)


def test_only_who_is_on_the_telephone_already_is_a_caller_on_the_line() -> None:
    steps = [Told(10.0, TaskState.queued)]
    assert [items_of(replace(WORK, rang_in=at), steps, recording([]))[0].on_line for at in (9.0, 10.0, 11.0)] == [
        True, True, False,
    ]
