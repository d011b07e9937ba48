"""Who is handed on in a recorded day that is played again: to another line, to a colleague, after asking him."""

from typing import Any

from msgspec.structs import replace

from router.model.comparing import column, with_more
from router.model.consultations import ConsultationState
from router.model.lots import lots
from router.model.recording import Asked, End, Item, Terms, Timetable, held_by
from router.model.replaying import Course, as_recorded, replay
from router.model.tasks import TRANSFERRED, TaskState
from router.model.transcribing import Consulted, Told, items_of
from tests.model.test_replaying import WORK, desk, item, played, recording, waited


def handed_on(at: float, after_s: float, then_s: float, **values: Any) -> list[Item]:
    """Agent 1 talks for so long, and hands on to agent 2, who is kept for and talks for the rest."""
    onward = at + after_s
    return [
        item(1, at, after_s), item(1, onward, then_s, agent=2, prefers=2, prefers_until=onward + 45.0, follows=True,
                                   handed=True, fresh=False, counted=False, **values),
    ]


def spans(course: Course) -> dict[int, list[tuple[float, float]]]:
    return {agent: list(busy) for agent, busy in course.busy.items()}


def test_the_rest_of_the_talk_is_the_second_agents() -> None:
    day = recording(handed_on(10.0, 50.0, 30.0), desk(1), desk(2))
    assert spans(played(day)) == {1: [(10.0, 60.0)], 2: [(60.0, 90.0)]}
    assert played(day) == as_recorded(day)


def test_who_is_answered_later_is_handed_on_later() -> None:
    """Both agents are with others until 100: the talk begins then, and 50 s later waits for agent 2 alone."""
    others = [item(8, 0.0, 100.0), item(9, 1.0, 140.0)]
    day = recording([*others, *handed_on(10.0, 50.0, 30.0)], desk(1), desk(2))
    course = played(day)
    assert waited(course) == [0.0, 0.0, 90.0, 0.0]
    assert spans(course) == {1: [(0.0, 100.0), (100.0, 150.0)], 2: [(1.0, 141.0), (150.0, 180.0)]}
    late = recording([others[0], replace(others[1], handle_s=170.0), *handed_on(10.0, 50.0, 30.0)], desk(1), desk(2))
    assert waited(played(late))[-1] == 21.0, "kept for him though agent 1 is free"


def test_who_handed_him_on_is_not_offered_him_again_for_a_while() -> None:
    day = recording([item(9, 0.0, 300.0, agent=2), *handed_on(10.0, 50.0, 30.0)], desk(1), desk(2),
                    timetables={1: Timetable(exclude_s=100.0)})
    assert waited(played(day))[-1] == 100.0


def test_who_left_before_anybody_came_is_not_handed_on() -> None:
    first, second = handed_on(10.0, 50.0, 30.0)
    leaves = replace(first, end=End.abandoned, waited_s=20.0)
    day = recording([item(9, 0.0, 300.0), leaves, second], desk(1))
    course = played(day)
    assert [(one.end, one.waited_s) for one in course.ended] == [
        (End.answered, 0.0), (End.abandoned, 20.0), (End.withdrawn, 0.0),
    ]
    heard: list[tuple[int, int]] = []
    replay(day, lots(day.items, 1), tell=lambda came, of: heard.append((came, of)))
    assert heard == [(3, 3)]


def test_whose_first_part_was_before_the_stretch_comes_when_he_came() -> None:
    _, second = handed_on(10.0, 50.0, 30.0)
    assert spans(played(recording([second], desk(1), desk(2)))) == {1: [], 2: [(60.0, 90.0)]}


ASKED = Asked(20.0, 2, 15.0, takes_over=True)


def asking(asked: Asked, handle_s: float = 100.0) -> Item:
    return item(1, 10.0, handle_s, asked=(asked,))


def test_a_colleague_who_was_asked_takes_over_the_rest_of_the_talk() -> None:
    day = recording([asking(ASKED)], desk(1), desk(2))
    assert spans(played(day)) == {1: [(10.0, 45.0)], 2: [(30.0, 110.0)]}
    assert played(day) == as_recorded(day)
    assert column(day, played(day)).occupancy == column(day, as_recorded(day)).occupancy


def test_a_colleague_who_was_only_asked_is_busy_meanwhile() -> None:
    day = recording([asking(ASKED._replace(takes_over=False)), item(2, 32.0, agent=2)], desk(1), desk(2))
    assert spans(played(day)) == {1: [(10.0, 110.0)], 2: [(30.0, 45.0), (45.0, 105.0)]}
    assert spans(as_recorded(recording([day.items[0]], desk(1), desk(2)))) == {1: [(10.0, 110.0)], 2: [(30.0, 45.0)]}


def test_whoever_is_free_is_asked_in_his_place() -> None:
    busy = item(9, 0.0, 300.0, agent=2, terms=Terms({"it": 1}))
    day = recording([busy, asking(ASKED)], desk(1), desk(2, skills={"it": 1}))
    assert spans(played(day)) == {1: [(10.0, 110.0)], 2: [(0.0, 300.0)]}, "nobody is: he goes on alone"
    more = with_more(day, 1)
    assert spans(replay(more, lots(day.items, 1)))[3] == [(30.0, 110.0)]


# --- from facts ------------------------------------------------------------------------------------------------------


def test_a_transfer_is_told_with_the_queue_it_came_from() -> None:
    terms = Terms({"es": 1})
    day = replace(recording([]), timetables={1: Timetable(terms=terms)}, asked=frozenset({1, 2}))
    first, second = items_of(replace(WORK, queue=2, prefers=2, prefers_until=95.0), [
        Told(0.0, TaskState.queued), Told(5.0, TaskState.reserved, 1), Told(5.0, TaskState.engaged, 1),
        Told(50.0, TaskState.queued, None, None, TRANSFERRED, 2, 1), Told(51.0, TaskState.reserved, 2),
        Told(52.0, TaskState.engaged, 2), Told(90.0, TaskState.closed, 2),
    ], day)
    assert (first.queue, first.terms, first.prefers, first.handle_s) == (1, terms, None, 45.0)
    assert (second.queue, second.prefers, second.ring_s, second.handle_s) == (2, 2, 1.0, 38.0)
    assert (first.follows, second.follows, second.handed) == (False, True, True)
    assert (first.counted, second.counted) == (True, False)


def test_who_was_left_alone_is_not_handed_on() -> None:
    steps = [
        Told(0.0, TaskState.queued), Told(5.0, TaskState.reserved, 1), Told(5.0, TaskState.engaged, 1),
        Told(50.0, TaskState.queued, None, None, "agent_gone"),
    ]
    second = items_of(WORK, steps, recording([]))[1]
    assert (second.follows, second.handed) == (True, False)


def test_who_was_asked_is_told_by_the_consultation() -> None:
    ringing, joined, completed, ended = ConsultationState
    steps = [
        Told(0.0, TaskState.queued), Told(5.0, TaskState.reserved, 1), Told(10.0, TaskState.engaged, 1),
        Told(100.0, TaskState.closed, 3),
    ]
    consulted = [
        Consulted(20.0, ringing, 2), Consulted(25.0, ended, 2), Consulted(30.0, ringing, 3),
        Consulted(35.0, joined, 3), Consulted(60.0, completed, 3), Consulted(200.0, ringing, 4),
    ]
    (found,) = items_of(WORK, steps, recording([]), consulted)
    assert found.asked == (Asked(10.0, 2, 5.0, False), Asked(20.0, 3, 30.0, True))
    assert held_by(found) == [(2, (20.0, 25.0)), (1, (5.0, 60.0)), (3, (30.0, 100.0))]
