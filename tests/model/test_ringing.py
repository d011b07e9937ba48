"""What agents refuse in a recorded day, played again: as they did, and by their shares where it never rang."""

import pytest
from msgspec.structs import replace

from router.model.agents import Wish
from router.model.comparing import column, with_more
from router.model.lots import lots
from router.model.recording import Answer, Desk, End, Item, Presence, Rest, Ring, Timetable
from router.model.replaying import replay
from router.model.ringing import COUNTS_AS, Answers
from router.model.tasks import TaskKind, TaskState
from router.model.transcribing import Told, Wished, items_of, presence_of, rests_of
from tests.model.test_replaying import DAY, WORK, desk, item, played, recording, waited

CALLS = (1, TaskKind.call)


def refused(agent: int, answer: Answer, seconds: float = 20.0) -> Ring:
    return Ring(agent, answer, seconds)


def test_whom_an_agent_rejects_he_is_not_offered_again_for_a_while() -> None:
    once = item(1, 0.0, rings=(refused(1, Answer.rejected, 3.0),), waited_s=63.0)
    assert waited(played(recording([once]))) == [63.0]
    soon = recording([once], timetables={1: Timetable(exclude_s=10.0)})
    assert waited(played(soon)) == [13.0]


def test_another_takes_at_once_what_one_has_rejected() -> None:
    day = recording([item(1, 0.0, rings=(refused(1, Answer.rejected, 3.0),), agent=2)], desk(1), desk(2))
    assert (waited(played(day)), [len(spans) for spans in played(day).busy.values()]) == ([3.0], [0, 1])


def test_who_refuses_gets_nothing_for_five_seconds_and_has_lost_his_turn() -> None:
    rejects = item(1, 0.0, rings=(refused(1, Answer.rejected, 1.0),), agent=2)
    day = recording([rejects, item(2, 2.0)], desk(1), desk(2))
    assert waited(played(day)) == [1.0, 4.0]
    assert waited(played(replace(day, items=(rejects, item(2, 100.0), item(3, 100.5)))))[1:] == [0.0, 0.0]


@pytest.mark.parametrize("answer", list(Answer))
def test_every_refusal_ends_with_a_back_off(answer: Answer) -> None:
    refuses = item(1, 0.0, rings=(refused(1, answer, 1.0),), end=End.abandoned, waited_s=1.5, ring_s=None,
                   handle_s=None, agent=None)
    course = played(recording([refuses, item(2, 1.0, waited_s=5.0)]))
    assert [(one.end, one.waited_s) for one in course.ended] == [(End.abandoned, 1.5), (End.answered, 5.0)]


def missing_twice() -> list[Item]:
    """Agent 1 misses two things in a row, and is back 300 s after the house has paused him."""
    gone = {"end": End.abandoned, "waited_s": 25.0, "ring_s": None, "handle_s": None, "agent": None}
    return [
        item(1, 0.0, rings=(refused(1, Answer.missed),), **gone),
        item(2, 30.0, rings=(refused(1, Answer.missed),), **gone),
        item(3, 60.0, waited_s=290.0),
    ]


PAUSED_ONCE = Desk(1, (Presence(0.0, DAY),), rests=(Rest(50.0, 350.0),))


def test_who_misses_twice_is_paused_until_he_comes_back_as_he_did() -> None:
    day = recording(missing_twice(), PAUSED_ONCE)
    assert waited(played(day)) == [25.0, 25.0, 290.0]
    assert played(day).away == {1: [(50.0, 350.0)]}
    assert column(day, played(day)).occupancy == pytest.approx(60 / (DAY - 300)), "a ring is no time with people"


def test_who_does_not_miss_is_not_paused_though_he_was() -> None:
    others = recording([replace(one, rings=()) for one in missing_twice()], PAUSED_ONCE)
    drawn = lots(others.items, 1)
    assert waited(replay(others, drawn)) == [0.0, 25.0, 0.0]
    assert replay(others, drawn).away == {1: []}


def test_where_nobody_ever_came_back_he_rests_until_he_says_he_is_ready() -> None:
    unknown = Desk(1, (Presence(0.0, 400.0, pauses=True), Presence(500.0, DAY)))
    *missed, third = missing_twice()
    assert waited(played(recording([*missed, replace(third, waited_s=440.0)], unknown)))[2] == 440.0


def test_who_wanted_only_one_more_gets_only_one() -> None:
    once = Desk(1, (Presence(0.0, 500.0, once=True), Presence(500.0, DAY)), rests=(Rest(60.0, 500.0, once=True),))
    day = recording([item(1, 0.0), item(2, 10.0)], once)
    assert waited(played(day)) == [0.0, 490.0]
    assert waited(played(replace(day, items=(item(1, 300.0), item(2, 310.0))))) == [0.0, 190.0]


def test_where_something_else_rings_he_refuses_by_his_own_share() -> None:
    """Of the agent's 40 rings on record he rejected 30, in the queue nobody else rejected any of as many."""
    rejects = [item(n, n * 100.0, rings=(refused(1, Answer.rejected, 2.0),) * 3, agent=1) for n in range(10)]
    takes = [item(n, n * 100.0, agent=2) for n in range(10, 50)]
    answers = Answers([*rejects, *takes], [])
    theirs = 30 / 80
    assert answers.share(CALLS, 1, Answer.rejected) == (30 + COUNTS_AS * theirs) / (40 + COUNTS_AS)
    assert answers.share(CALLS, 2, Answer.rejected) == COUNTS_AS * theirs / (40 + COUNTS_AS)
    assert answers.share(CALLS, 3, Answer.rejected) == theirs
    assert answers.share((2, TaskKind.call), 1, Answer.rejected) == 0.0
    stranger = item(99, 0.0, agent=7)
    said = [answers.to(stranger, 1, (), f"{seed}/99") for seed in range(400)]
    assert 0.6 < sum(ring is not None for ring in said) / 400 < 0.75
    assert {ring.seconds for ring in said if ring} == {2.0}


def test_a_draw_is_the_seeds_the_items_and_how_often_it_rang() -> None:
    answers = Answers([item(n, 0.0, rings=(refused(1, Answer.rejected),)) for n in range(9)], [])
    stranger = item(99, 0.0, agent=7)

    def drawn(seed: int, rang: tuple[int, ...]) -> list[bool]:
        return [answers.to(stranger, 1, rang, f"{seed}/{task}") is None for task in range(60)]

    assert drawn(1, ()) == drawn(1, ())
    assert drawn(1, ()) != drawn(2, ())
    assert drawn(1, ()) != drawn(1, (5,))


def test_two_policies_see_the_same_answers() -> None:
    items = [
        item(n, n * 50.0, rings=(refused(1, Answer.rejected, 5.0),) * (n % 2), agent=1, waited_s=0.0)
        for n in range(40)
    ]
    day = recording(items)
    more = with_more(day, 1)
    drawn = lots(day.items, 1)
    before, after = replay(day, drawn), replay(more, drawn)
    assert before == replay(day, drawn)
    assert column(day, before).asa_s > column(more, after).asa_s


# --- from facts ------------------------------------------------------------------------------------------------------


def test_what_came_of_a_ring_is_told_by_why_it_went_back() -> None:
    reasons = ["missed", "rejected", "skipped", "agent_gone", "agent_busy", "supervisor", "timeout"]
    steps = [Told(0.0, TaskState.queued)]
    for n, reason in enumerate(reasons):
        at = n * 10.0
        steps += [Told(at + 1.0, TaskState.reserved, n), Told(at + 5.0, TaskState.queued, None, None, reason)]
    steps += [Told(90.0, TaskState.reserved, 9), Told(90.0, TaskState.engaged, 9), Told(99.0, TaskState.closed, 9)]
    (found,) = items_of(WORK, steps, recording([]))
    assert found.rings == (
        Ring(0, Answer.missed, 4.0), Ring(1, Answer.rejected, 4.0), Ring(2, Answer.rejected, 4.0),
        Ring(4, Answer.unreachable, 4.0),
    )
    assert (found.agent, found.waited_s) == (9, 90.0)


def test_what_the_house_has_paused_is_no_wish_of_his() -> None:
    wished = [
        Wished(0.0, 1, Wish.ready), Wished(100.0, 1, Wish.paused, "missed"), Wished(150.0, 1, Wish.ready),
        Wished(200.0, 1, Wish.paused), Wished(300.0, 1, Wish.ready_once), Wished(400.0, 1, Wish.paused, "once"),
        Wished(500.0, 1, Wish.ready_once), Wished(600.0, 1, Wish.paused, "missed"), Wished(700.0, 1, Wish.off),
    ]
    assert presence_of(wished, [], DAY) == (
        Presence(0.0, 200.0, pauses=True), Presence(300.0, 500.0, pauses=True, once=True),
        Presence(500.0, 700.0, once=True),
    )
    assert rests_of(wished, DAY) == (Rest(100.0, 150.0), Rest(400.0, 500.0, once=True), Rest(600.0, 700.0))
    assert rests_of(wished[:2], DAY) == (Rest(100.0, DAY),)
