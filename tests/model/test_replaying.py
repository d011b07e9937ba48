"""A recorded day played again: as it was, with other agents, with other rules."""

from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from router.model.abilities import Ability
from router.model.agents import Wish
from router.model.comparing import column, difference, drift_s, missing, there, with_more, with_order, with_plan
from router.model.configuration import WrongFile, read
from router.model.lots import lots, patience
from router.model.recording import Desk, End, Item, Presence, Recording, Row, Terms, busy_of
from router.model.replaying import Course, as_recorded, replay
from router.model.routing import AgentOrder, Candidate, Channel, Head, Match, Policy, Rules, match
from router.model.simulation import Pairs
from router.model.tasks import TaskKind, TaskState
from router.model.transcribing import Told, Wished, Work, items_of, presence_of

PLAIN_TERMS = Terms()
DAY = 86_400.0


def desk(number: int = 1, begins: float = 0.0, ends: float = DAY, **values: Any) -> Desk:
    return Desk(number, (Presence(begins, ends),), login=f"agent{number}", ability=Ability(**values))


def recording(items: Sequence[Item], *desks: Desk, **values: Any) -> Recording:
    return Recording(
        tuple(items), desks or (desk(),), DAY, 0.0, DAY, queues={1: "luz/ventas"}, asked=frozenset({1}), **values
    )


def item(task: int, at: float, handle_s: float = 60.0, **values: Any) -> Item:
    made: dict[str, Any] = {"terms": PLAIN_TERMS, "ring_s": 0.0, "agent": 1, "end": End.answered, "waited_s": 0.0}
    return Item(task, at, **{**made, "handle_s": handle_s, **values})


def one_agent(seed: int, many: int = 80) -> list[Item]:
    """A day of one agent who takes whoever has waited longest, at once."""
    chance, at, free, made = Random(seed), 0.0, 0.0, list[Item]()  # noqa: S311
    for task in range(1, many + 1):
        at = round(at + chance.expovariate(1 / 60), 3)
        handle_s = round(chance.expovariate(1 / 50), 3)
        begun = max(at, free)
        free = round(begun + handle_s, 6)
        made.append(item(task, at, handle_s, waited_s=round(begun - at, 6)))
    return made


def played(day: Recording, seed: int = 1) -> Course:
    return replay(day, lots(day.items, seed))


def waited(course: Course) -> list[float]:
    return [one.waited_s for one in course.ended]


# --- as it was -------------------------------------------------------------------------------------------------------


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_a_day_of_one_agent_played_again_is_the_day_itself(seed: int) -> None:
    day = recording(one_agent(seed))
    again = played(day)
    assert list(again.ended) == list(as_recorded(day).ended)
    assert drift_s(day, again) == 0.0
    assert column(day, again).occupancy == pytest.approx(column(day, as_recorded(day)).occupancy)


@given(st.integers(0, 10_000), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_one_agent_more_never_makes_them_wait_longer(seed: int, agents: int) -> None:
    day = with_more(recording(one_agent(seed)), agents - 1)
    drawn = lots(day.items, 1)
    fewer, more = replay(day, drawn), replay(with_more(day, 1), drawn)
    assert sum(waited(more)) <= sum(waited(fewer)) + 1e-6


def test_whoever_left_leaves_after_just_as_long_and_is_saved_by_other_agents() -> None:
    leaver = item(2, 10.0, end=End.abandoned, waited_s=30.0, handle_s=None, ring_s=None, agent=None)
    day = recording([item(1, 0.0, 100.0), leaver, item(3, 20.0, waited_s=80.0)])
    before, after = played(day), played(with_more(day, 2))
    assert list(before.ended) == list(as_recorded(day).ended)
    assert column(day, before).left == 1
    found = difference(day, before, after, than_s=20.0)
    assert (found.saved, found.lost) == ([2], [])
    assert [(one.task, one.before_s) for one in found.sooner] == [(3, 80.0)]


def test_the_draws_are_those_of_the_seed_whatever_is_changed() -> None:
    unanswered = [
        item(n, 5_000.0 + n, end=End.abandoned, waited_s=9.0, handle_s=None, ring_s=None, agent=None)
        for n in range(100, 130)
    ]
    day = recording([*one_agent(1, 40), *unanswered])
    assert lots(day.items, 1) == lots(day.items, 1)
    assert [lot.handle_s for lot in lots(day.items, 1)] != [lot.handle_s for lot in lots(day.items, 2)]
    recorded = {one.handle_s for one in day.items}
    assert all(lot.handle_s in recorded for lot in lots(day.items, 1))
    assert played(day) == played(day)


def test_patience_is_all_waiting_by_those_who_left() -> None:
    items = [
        item(1, 0.0, waited_s=50.0), item(2, 0.0, waited_s=30.0, end=End.abandoned),
        item(3, 0.0, waited_s=20.0, end=End.abandoned), item(4, 0.0, waited_s=7.0, kind=TaskKind.chat),
    ]
    found = patience(items)
    assert found[1, TaskKind.call] == (50.0, 2)
    assert found[1, TaskKind.chat] == (None, 0)
    drawn = lots(items, 1)
    assert drawn[0].stays_s > 50.0
    assert [lot.stays_s for lot in drawn[1:]] == [30.0, 20.0, float("inf")]


def test_everything_is_decided_by_the_function_it_is_given() -> None:
    made: list[Match] = []

    def decide(
        heads: Sequence[Head], agents: Sequence[Candidate], now: float, policy: Policy, excluded: Pairs
    ) -> Sequence[Match]:
        made.extend(found := match(heads, agents, now, policy, excluded))
        return found

    day = recording(one_agent(3, 30))
    replay(day, lots(day.items, 1), decide)
    assert sorted(pair.task for pair in made) == list(range(30))


# --- how it is played ------------------------------------------------------------------------------------------------


def test_nobody_is_given_anything_before_he_comes_or_after_he_goes() -> None:
    day = recording([item(1, 0.0), item(2, 900.0), item(3, 2_000.0)], desk(1, 600.0, 1_000.0))
    ended = played(day).ended
    assert [(one.end, one.waited_s) for one in ended] == [
        (End.answered, 600.0), (End.answered, 0.0), (End.waiting, DAY - 2_000.0),
    ]


def test_a_pause_that_begins_as_a_task_ends_comes_first() -> None:
    once = Desk(1, (Presence(0.0, 0.8, pauses=True), Presence(500.0, DAY)))
    assert 0.1 + 0.7 < 0.8
    assert waited(played(recording([item(1, 0.1, 0.7), item(2, 0.5)], once))) == [0.0, 499.5]


def test_who_leaves_while_it_rings_leaves_the_agent_free() -> None:
    gone = item(1, 0.0, ring_s=None, handle_s=None, agent=None, end=End.abandoned, waited_s=4.0)
    day = recording([gone, item(2, 1.0, ring_s=10.0, waited_s=13.0)])
    assert [(one.end, one.waited_s) for one in played(day).ended] == [(End.abandoned, 4.0), (End.answered, 13.0)]


def test_who_was_called_and_did_not_pick_up_takes_the_agents_time_again() -> None:
    day = recording([item(1, 0.0, 40.0, end=End.unreached), item(2, 1.0)])
    assert [(one.end, one.waited_s) for one in played(day).ended] == [(End.unreached, 0.0), (End.answered, 39.0)]
    assert column(day, played(day)).offered == 1


def test_relaxed_by_a_row_it_goes_to_who_could_not_take_it_before() -> None:
    rows = (Row(30.0, {}, credit_s=100.0),)
    picky = Terms({"it": 1}, Rules(version=2), rows)
    day = recording([item(1, 0.0, terms=picky), item(2, 5.0, 10.0, terms=Terms({"it": 2}))])
    assert waited(played(day)) == [30.0, DAY - 5.0]


def test_what_is_kept_for_somebody_who_is_there_waits_for_him() -> None:
    kept = item(2, 10.0, prefers=1, prefers_until=200.0)
    day = recording([item(1, 0.0, 100.0), kept], desk(1), desk(2))
    assert waited(played(day)) == [0.0, 90.0]
    late = replace(kept, prefers_until=40.0)
    assert waited(played(recording([item(1, 0.0, 100.0), late], desk(1), desk(2)))) == [0.0, 30.0]
    unable = replace(kept, terms=Terms({"it": 1}))
    assert waited(played(recording([item(1, 0.0, 100.0), unable], desk(1), desk(2, skills={"it": 1})))) == [0.0, 0.0]
    busy_both = recording([item(1, 0.0, 100.0), item(3, 0.0, 20.0), late], desk(1), desk(2))
    assert waited(played(busy_both))[2] == 30.0


def test_chats_share_an_agent_as_far_as_he_can() -> None:
    chats = [item(n, float(n), 100.0, kind=TaskKind.chat) for n in range(4)]
    day = recording(chats, desk(capacity={Channel.call: 1, Channel.chat: 3, Channel.video: 1}))
    assert waited(played(day)) == [0.0, 0.0, 0.0, 97.0]
    assert column(day, played(day)).occupancy == pytest.approx(200 / DAY)


def test_agents_of_another_pool_take_nothing() -> None:
    day = recording([item(1, 0.0), item(2, 0.0, pool=2)], desk(1))
    assert [one.end for one in played(day).ended] == [End.answered, End.waiting]


def test_a_full_day_ends_at_midnight() -> None:
    day = recording([item(n, n * 100.0) for n in range(3)], desk(most=2), midnights=(5_000.0,))
    assert waited(played(day)) == [0.0, 0.0, 4_800.0]


# --- changes ---------------------------------------------------------------------------------------------------------


def test_newest_first_obeys_its_floor() -> None:
    items = [item(1, 0.0, 100.0), *(item(n, n * 10.0, 100.0) for n in range(2, 8))]
    order = sorted(range(7), key=waited_from(with_order(recording(items), newest_first=True, floor_s=250.0), items))
    assert order == [0, 6, 5, 1, 2, 3, 4]


def waited_from(day: Recording, items: Sequence[Item]) -> Any:
    waits = waited(played(day))
    return lambda number: items[number].at + waits[number]


def test_the_order_of_agents_is_changed_for_the_queues_asked_for() -> None:
    shares = [desk(1, weight=9.0), desk(2, weight=1.0)]
    day = recording([item(n, n * 100.0) for n in range(10)], *shares)
    assert [len(spans) for spans in played(day).busy.values()] == [5, 5]
    changed = with_order(day, AgentOrder.weighted_share)
    assert [len(spans) for spans in played(changed).busy.values()] == [9, 1]
    elsewhere = with_order(replace(day, asked=frozenset({2})), AgentOrder.weighted_share)
    assert [len(spans) for spans in played(elsewhere).busy.values()] == [5, 5]


def test_more_and_fewer_are_of_those_who_were_there_longest() -> None:
    day = recording([item(1, 0.0)], desk(1, 0.0, 500.0, skills={"it": 1}), desk(2), desk(3, DAY, DAY + 1))
    assert [one.id for one in there(day)] == [2, 1]
    assert [(one.id, one.ability.skills, one.spans[0].ends) for one in with_more(day, 2).desks[3:]] == [
        (4, {}, DAY), (5, {"it": 1}, 500.0),
    ]
    assert [one.id for one in with_more(day, -1).desks] == [1, 3]
    with pytest.raises(ValueError, match="nobody would be left"):
        with_more(day, -2)


FILE = """
[[campaigns]]
key = "luz"
name = "Luz"
caller_id = "+34910000000"
sender = "+34910000000"
  [campaigns.company]
  name = "Luz SL"
  address = "Calle Mayor 1, 28013 Madrid"
  phone = "+34910000000"
  email = "hola@luz.example"
  [[campaigns.queues]]
  key = "ventas"
  name = "Ventas"
  skills = { it = 2 }
  [campaigns.queues.rules]
  agents_by = "most_skilled"
  floor_seconds = 300
  [[campaigns.queues.rules.rows]]
  from_seconds = 60
  skills = ["it"]
[[agents]]
login = "agent1"
name = "Ana"
skills = { it = 1 }
capacity = { call = 1, chat = 2 }
[[agents]]
login = "eva"
name = "Eva"
"""


def test_a_file_changes_rules_skills_and_capacity() -> None:
    day = with_plan(recording([item(1, 0.0)]), read(FILE))
    assert day.items[0].terms.needs == {"it": 2}
    assert day.items[0].terms.rows == (Row(60, {"it": 1}),)
    assert (day.desks[0].ability.skills, day.desks[0].ability.capacity[Channel.chat]) == ({"it": 1}, 2)
    assert waited(played(day)) == [60.0]
    assert missing(day, read(FILE)) == ["agent eva"]
    with pytest.raises(WrongFile, match="queue luz/ventas: rules: the row from 60 s asks for more"):
        with_plan(day, read(FILE.replace('skills = ["it"]', 'skills = ["solar"]')))


def test_shares_are_of_those_who_are_offered() -> None:
    ends = [
        (End.answered, 5.0), (End.answered, 90.0), (End.abandoned, 10.0), (End.abandoned, 30.0), (End.withdrawn, 3.0),
        (End.waiting, 400.0),
    ]
    items = [item(n, 0.0, end=end, waited_s=seconds) for n, (end, seconds) in enumerate(ends)]
    day = recording([*items, item(9, 0.0, counted=False)])
    seen = column(day, as_recorded(day))
    assert (seen.offered, seen.answered, seen.left, seen.waiting, seen.withdrawn) == (5, 2, 2, 1, 1)
    assert (seen.service_level, seen.service_level_4, seen.abandoned) == (1 / 5, 1 / 4, 2 / 5)
    assert (seen.asa_s, seen.p90_s, seen.longest_s) == (47.5, 400.0, 400.0)


# --- from facts ------------------------------------------------------------------------------------------------------

WORK = Work(7, 1, 1, TaskKind.call, 0, -5.0, PLAIN_TERMS)


def told(*steps: tuple[float, TaskState, int | None]) -> list[Told]:
    return [Told(*step) for step in steps]


def test_a_task_that_comes_back_from_a_ring_waits_on_with_its_age() -> None:
    (found,) = items_of(WORK, told(
        (10.0, TaskState.queued, None), (12.0, TaskState.reserved, 1), (32.0, TaskState.queued, None),
        (40.0, TaskState.reserved, 2), (43.0, TaskState.connecting, 2), (50.0, TaskState.engaged, 2),
        (90.0, TaskState.wrapping, 2), (100.0, TaskState.closed, 2),
    ), recording([]))
    assert (found.at, found.since, found.end, found.waited_s) == (10.0, -5.0, End.answered, 40.0)
    assert (found.ring_s, found.handle_s, found.agent, busy_of(found)) == (10.0, 50.0, 2, (40.0, 100.0))


@pytest.mark.parametrize(
    ("steps", "end", "waited_s"),
    [
        ([(30.0, TaskState.abandoned, None)], End.abandoned, 20.0),
        ([(20.0, TaskState.reserved, 1), (30.0, TaskState.abandoned, None)], End.abandoned, 20.0),
        ([(30.0, TaskState.expired, None)], End.expired, 20.0),
        ([(30.0, TaskState.scheduled, None)], End.withdrawn, 20.0),
        ([(20.0, TaskState.reserved, 1), (25.0, TaskState.connecting, 1), (60.0, TaskState.closed, 1)],
         End.unreached, 15.0),
        ([(20.0, TaskState.reserved, 1)], End.waiting, DAY - 10.0),
        ([(20.0, TaskState.reserved, 1), (20.0, TaskState.engaged, 1)], End.answered, 10.0),
    ],
)
def test_what_became_of_a_task_is_its_last_word(steps: Any, end: End, waited_s: float) -> None:
    (found,) = items_of(WORK, told((10.0, TaskState.queued, None), *steps), recording([]))
    assert (found.end, found.waited_s) == (end, waited_s)


def test_who_is_left_alone_by_his_agent_waits_a_second_time() -> None:
    first, second = items_of(WORK, told(
        (10.0, TaskState.queued, None), (11.0, TaskState.reserved, 1), (12.0, TaskState.engaged, 1),
        (50.0, TaskState.queued, None), (55.0, TaskState.abandoned, None),
    ), recording([]))
    assert (first.end, first.handle_s, first.since) == (End.answered, 38.0, 10.0)
    assert (second.at, second.end, second.waited_s) == (50.0, End.abandoned, 5.0)
    assert (first.counted, second.counted) == (True, False)


def test_of_what_began_before_only_the_rest_is_played() -> None:
    before = told((-90.0, TaskState.queued, None), (-80.0, TaskState.reserved, 1), (-70.0, TaskState.engaged, 1))
    (found,) = items_of(WORK, [*before, Told(30.0, TaskState.closed, 1)], recording([]))
    assert (found.ring_s, found.handle_s, busy_of(found), found.counted) == (0.0, 30.0, (0.0, 30.0), False)
    assert items_of(WORK, [*before, Told(-1.0, TaskState.closed, 1)], recording([])) == []


def test_presence_is_what_he_wished_and_what_he_was_given() -> None:
    wished = [
        Wished(-500.0, 1, Wish.ready), Wished(100.0, 1, Wish.paused), Wished(200.0, 1, Wish.ready_once),
        Wished(300.0, 1, Wish.off),
    ]
    spans = presence_of(wished, [(50.0, 150.0), (400.0, 450.0)], DAY)
    assert spans == (
        Presence(0.0, 100.0, pauses=True), Presence(200.0, 300.0, once=True), Presence(400.0, 450.0, pauses=True),
    )
    assert all(one.ends < other.begins for one, other in pairwise(spans))
    assert presence_of([Wished(5.0, 1, Wish.ready)], [], DAY) == (Presence(5.0, DAY),)
    silent = presence_of([Wished(5.0, 1, Wish.ready)], [(150.0, 170.0)], DAY, [(100.0, 200.0), (900.0, DAY)])
    assert silent == (
        Presence(5.0, 100.0, pauses=True), Presence(150.0, 170.0, pauses=True),
        Presence(200.0, 900.0, pauses=True, says=False),
    )
