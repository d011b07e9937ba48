"""Routing: who takes what, as properties of every possible round, and each rule by itself."""

import math
from collections.abc import Collection, Mapping, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from router.model.routing import (
    AgentOrder,
    Candidate,
    Channel,
    Expected,
    Head,
    Match,
    Owed,
    Policy,
    Rules,
    keeps_him,
    lost_per_minute,
    match,
    urgency,
    why_not,
    why_nothing,
)

NOW = 1_795_000_000_000.0
SKILLS = st.dictionaries(st.sampled_from("abc"), st.integers(1, 3), max_size=3)
RULES = st.builds(
    Rules,
    agents_by=st.sampled_from(AgentOrder),
    half_life_s=st.sampled_from([0.0, 300.0]),
    deadline_s=st.sampled_from([0.0, 300.0]),
    floor_s=st.sampled_from([0.0, 600.0]),
)
ID = st.integers(1, 12)
SINCE = st.integers(0, 900).map(lambda seconds: NOW - seconds * 1000)


@st.composite
def heads(draw: st.DrawFn) -> list[Head]:
    return [
        Head(
            number, draw(st.integers(0, 6)), since, draw(SKILLS), since, draw(st.sampled_from(Channel)), draw(RULES),
            draw(st.none() | ID), NOW + draw(st.integers(-5, 20)) * 1000, draw(st.booleans()),
            draw(st.integers(0, 5)) == 0, draw(st.sampled_from([0.0, 300.0, 900.0])),
        )
        for number in draw(st.lists(ID, max_size=8, unique=True))
        for since in [draw(SINCE)]
    ]


AGENTS = st.lists(
    st.builds(
        Candidate,
        id=ID,
        idle_since=SINCE,
        skills=SKILLS,
        load=st.sampled_from([{}, {Channel.chat: 1}, {Channel.call: 1}, {Channel.chat: 2}]),
        capacity=st.just({Channel.call: 1, Channel.chat: 2, Channel.video: 1}),
        occupied=st.sampled_from([0.0, 0.5, 0.9]),
        taken=st.integers(0, 4),
        weight=st.sampled_from([0.0, 1.0, 2.0]),
        most=st.sampled_from([0, 3]),
        owes=st.none() | st.builds(Owed, at=st.sampled_from([-60, 200, 600]).map(lambda s: NOW + s * 1000), task=ID),
    ),
    max_size=8,
    unique_by=lambda agent: agent.id,
)
EXCLUDED = st.frozensets(st.tuples(ID, ID), max_size=20)
POLICY = st.sampled_from([
    Policy(), Policy(expected=(Expected({"a": 1}, 1.0),)), Policy(expected=(Expected({}, 2.0),), owed=True),
])


def codes(made: Match) -> list[str]:
    return [one["code"] for one in made.why]


def head(number: int = 1, waited: float = 0, tier: int = 2, **values: Any) -> Head:
    since = NOW - waited * 1000
    return Head(number, tier, values.pop("rank", since), values.pop("needs", {}), since, **values)


def agent(number: int = 1, idle: float = 0, skills: Mapping[str, int] | None = None, **values: Any) -> Candidate:
    return Candidate(number, NOW - idle * 1000, skills or {}, **values)


def pairs(
    waiting: Sequence[Head], agents: Sequence[Candidate], policy: Policy | None = None,
    excluded: Collection[tuple[int, int]] = (),
) -> list[tuple[int, int]]:
    return [(one.task, one.agent) for one in match(waiting, agents, NOW, policy or Policy(), excluded)]


@settings(max_examples=150, deadline=None)
@given(heads(), AGENTS, POLICY, EXCLUDED, st.randoms())
def test_a_round_is_lawful_and_the_same_in_whatever_order_it_is_asked(
    waiting: list[Head], agents: list[Candidate], policy: Policy, excluded: frozenset[tuple[int, int]], random: Random
) -> None:
    made = match(waiting, agents, NOW, policy, excluded)
    head_of, agent_of = {one.id: one for one in waiting}, {one.id: one for one in agents}
    tasks_taken, agents_taken = {one.task for one in made}, {one.agent for one in made}
    assert len(tasks_taken) == len(made) == len(agents_taken)
    assert all(why_not(head_of[one.task], agent_of[one.agent], policy, excluded) is None for one in made)
    assert all(keeps_him(head_of[one.task], agent_of[one.agent], NOW, policy) is None for one in made)
    assert all(head_of[one.task].prefers in (None, one.agent) for one in made if head_of[one.task].only_he)
    shuffled, others = list(waiting), list(agents)
    random.shuffle(shuffled)
    random.shuffle(others)
    assert match(shuffled, others, NOW, policy, excluded) == made


@settings(max_examples=150, deadline=None)
@given(heads(), AGENTS, EXCLUDED)
def test_nobody_who_may_take_a_waiting_task_is_left_idle_but_for_a_stated_reason(
    waiting: list[Head], agents: list[Candidate], excluded: frozenset[tuple[int, int]]
) -> None:
    plain = [replace(one, prefers=None) for one in waiting]
    light = [replace(one, load={}) for one in agents]
    made = match(plain, light, NOW, Policy(), excluded)
    tasks_taken, agents_taken = {one.task for one in made}, {one.agent for one in made}
    for task in plain:
        for one in light:
            if task.id not in tasks_taken and one.id not in agents_taken:
                assert why_not(task, one, Policy(), excluded) or keeps_him(task, one, NOW)


@settings(max_examples=150, deadline=None)
@given(heads(), AGENTS, POLICY, EXCLUDED)
def test_each_match_names_every_agent_once(
    waiting: list[Head], agents: list[Candidate], policy: Policy, excluded: frozenset[tuple[int, int]]
) -> None:
    gone: set[int] = set()
    for one in match(waiting, agents, NOW, policy, excluded):
        passed = [why["by"]["agent"] for why in one.why if why["code"] == "passed_over"]
        later = [number for why in one.why if why["code"] == "later_in_order" for number in why["agents"]]
        assert sorted([one.agent, *passed, *later]) == sorted(each.id for each in agents if each.id not in gone)
        gone.add(one.agent)


@settings(max_examples=200, deadline=None)
@given(heads())
def test_nobody_is_overtaken_by_his_equal(waiting: list[Head]) -> None:
    equal = [replace(one, tier=2, needs={}, rules=Rules(), prefers=None, channel=Channel.call) for one in waiting]
    order = [one.task for one in match(equal, [agent(number) for number in range(1, 13)], NOW)]
    assert order == [one.id for one in sorted(equal, key=lambda one: (one.since, one.id))]


def test_a_lower_tier_goes_first_whatever_it_loses() -> None:
    cooling = head(1, waited=1, tier=3, rules=Rules(value=1000.0, half_life_s=60.0))
    assert pairs([cooling, head(2, tier=2)], [agent(1)]) == [(2, 1)]


def test_what_cools_fastest_goes_first_and_a_deadline_hurries_until_it_has_passed() -> None:
    web, list_row = head(1, waited=10, rules=Rules(half_life_s=300.0)), head(2, waited=500)
    assert pairs([web, list_row], [agent(1)]) == [(1, 1)]
    due = Rules(deadline_s=300.0)
    near, far, late = (head(number, waited, rules=due) for number, waited in ((1, 290), (2, 100), (3, 400)))
    assert [one.id for one in sorted([far, late, near], key=lambda one: urgency(one, NOW))] == [1, 2, 3]
    assert lost_per_minute(near, NOW) == 1.0
    assert lost_per_minute(far, NOW) == pytest.approx(60 / 200)
    assert lost_per_minute(late, NOW) == 0.0


def test_half_of_the_value_is_lost_after_a_half_life() -> None:
    rules = Rules(value=8.0, half_life_s=60.0)
    assert lost_per_minute(head(waited=0, rules=rules), NOW) == pytest.approx(4.0)
    assert lost_per_minute(head(waited=120, rules=rules), NOW) == pytest.approx(1.0)


def test_who_has_waited_for_the_floor_is_overtaken_by_nobody_of_his_tier() -> None:
    rules = Rules(half_life_s=60.0, floor_s=600.0)
    old, older, hot = head(1, 600, rules=rules), head(2, 700, rules=rules), head(3, 0, rules=rules)
    assert [one.task for one in match([hot, old, older], [agent(n) for n in (1, 2, 3)], NOW)] == [2, 1, 3]
    (made, *_) = match([hot, old], [agent(1)], NOW)
    assert codes(made)[0] == "waited_longest"


def test_newest_first_is_an_order_of_its_lane_and_obeys_tiers() -> None:
    lane = [head(number, waited, rank=-(NOW - waited * 1000)) for number, waited in ((1, 300), (2, 5), (3, 60))]
    assert [one.task for one in match(lane, [agent(n) for n in (1, 2, 3)], NOW)] == [2, 3, 1]
    assert pairs([*lane, head(4, tier=1)], [agent(1)]) == [(4, 1)]


def test_a_credit_counts_as_waiting() -> None:
    credited = head(1, waited=10, rank=NOW - 70_000)
    assert pairs([credited, head(2, waited=60)], [agent(1)]) == [(1, 1)]


@pytest.mark.parametrize(
    ("order", "first"),
    [(AgentOrder.longest_idle, 1), (AgentOrder.least_occupied, 2), (AgentOrder.most_skilled, 3),
     (AgentOrder.weighted_share, 4)],
)
def test_agents_come_in_the_order_of_the_queue(order: AgentOrder, first: int) -> None:
    agents = [
        agent(1, 90, {"solar": 1}, occupied=0.9, taken=9),
        agent(2, 60, {"solar": 1}, occupied=0.1, taken=9),
        agent(3, 30, {"solar": 3}, occupied=0.9, taken=9),
        agent(4, 10, {"solar": 1}, occupied=0.9, taken=9, weight=2.0),
    ]
    (made,) = match([head(needs={"solar": 1}, rules=Rules(7, agents_by=order))], agents, NOW)
    assert made.agent == first
    assert made.why[2]["code"] == order.value
    assert {"code": "rules", "version": 7} in made.why


def test_an_agent_without_weight_is_given_nothing_while_another_is_free() -> None:
    rules = Rules(agents_by=AgentOrder.weighted_share)
    assert pairs([head(rules=rules)], [agent(1, 90, weight=0.0), agent(2, taken=50)]) == [(1, 2)]
    assert pairs([head(rules=rules)], [agent(1, weight=0.0)]) == [(1, 1)]


def test_a_level_is_a_filter_and_says_so() -> None:
    assert why_not(head(needs={"it": 2}), agent(skills={"it": 1})) == {"code": "level", "needs": {"it": 2}}
    assert why_not(head(needs={"it": 2, "solar": 1}), agent(skills={"it": 2})) == {"code": "lacks", "skills": ["solar"]}
    assert why_not(head(needs={"it": 2}), agent(skills={"it": 2})) is None


def test_an_owner_comes_first_without_his_turn_and_is_waited_for_only_while_he_is_here() -> None:
    owned = head(prefers=2, prefers_until=NOW + 15_000, prefers_here=True)
    (made,) = match([owned], [agent(1, 90), agent(2, 5)], NOW)
    assert (made.agent, made.costs_turn, made.why[2]) == (2, False, {"code": "preferred"})
    assert match([owned], [agent(1, 90)], NOW) == []
    assert pairs([replace(owned, prefers_here=False)], [agent(1, 90)]) == [(1, 1)]
    assert pairs([replace(owned, prefers_until=NOW)], [agent(1, 90)]) == [(1, 1)]
    assert pairs([owned], [agent(1, 90)], excluded={(1, 2)}) == [(1, 1)]
    assert why_nothing([owned], agent(1), NOW) == [{"code": "kept_for", "owner": 2, "tasks": 1}]


def test_what_an_agent_holds_keeps_out_what_may_not_come_in_beside_it() -> None:
    talking, chatting = agent(1, load={Channel.call: 1}), agent(2, load={Channel.chat: 1})
    call, chat = head(1), head(2, channel=Channel.chat)
    assert why_not(chat, talking) == {"code": "not_beside", "channel": "chat", "holds": "call"}
    assert why_not(call, talking) == {"code": "full", "channel": "call"}
    assert why_not(call, chatting) is None
    assert why_not(call, chatting, Policy(beside=())) == {"code": "not_beside", "channel": "call", "holds": "chat"}
    assert why_not(chat, agent(capacity={})) == {"code": "full", "channel": "chat"}
    assert why_not(chat, agent(most=3, taken=3)) == {"code": "day_full", "most": 3}


def test_chats_do_not_starve_a_call_that_waits_for_the_agent_who_answers_them() -> None:
    alone = Policy(beside={(Channel.chat, Channel.chat)})
    busy = agent(1, load={Channel.chat: 1}, capacity={Channel.call: 1, Channel.chat: 3})
    chat = head(2, tier=2, channel=Channel.chat)
    assert pairs([chat], [busy], alone) == [(2, 1)]
    assert pairs([head(1, tier=0), chat], [busy], alone) == []
    assert pairs([head(1, tier=0, needs={"it": 1}), chat], [busy], alone) == [(2, 1)]


def test_nurture_leaves_agents_free_for_what_is_expected_unless_it_is_owed() -> None:
    stale = head(1, tier=6)
    policy = Policy(expected=(Expected({"it": 1}, 1.2),))
    italians = [agent(number, skills={"it": 1}) for number in (1, 2, 3)]
    assert pairs([stale], italians[:2], policy) == []
    assert pairs([stale], italians, policy) == [(1, 1)]
    assert pairs([stale], [*italians[:2], agent(9)], policy) == [(1, 9)]
    assert pairs([stale], italians[:1], Policy(expected=policy.expected, owed=True)) == [(1, 1)]
    assert pairs([head(1, tier=4)], italians[:1], policy) == [(1, 1)]


def test_a_match_says_why_and_who_was_passed_over() -> None:
    agents = [agent(3, 30, {"solar": 1}), agent(2, 60, {"solar": 1}), agent(1, 90), agent(4, 20, {"solar": 2})]
    (made,) = match([head(7, 5, tier=0, needs={"solar": 1})], agents, NOW, excluded={(7, 2)})
    assert made.agent == 3
    assert list(made.why) == [
        {"code": "first_in_tier", "tier": 0, "waited_s": 5.0},
        {"code": "has_skills", "needs": {"solar": 1}},
        {"code": "longest_idle", "idle_s": 30.0},
        {"code": "passed_over", "by": {"agent": 1, "code": "lacks", "skills": ["solar"]}},
        {"code": "passed_over", "by": {"agent": 2, "code": "excluded"}},
        {"code": "rules", "version": 1},
        {"code": "later_in_order", "agents": [4]},
    ]


def test_an_idle_agent_is_told_what_all_that_waits_lacks_in_him() -> None:
    waiting = [*(head(number, needs={"it": 1}) for number in (1, 2, 3)), head(4, needs={"it": 2}), head(5)]
    assert why_nothing(waiting, agent(1, skills={"ru": 1}), NOW, excluded={(5, 1)}) == [
        {"code": "lacks", "skills": ["it"], "tasks": 4},
        {"code": "excluded", "tasks": 1},
    ]
    assert why_nothing([head(5)], agent(1), NOW) == [{"code": "matching", "tasks": 1}]
    assert why_nothing([], agent(1), NOW) == []


def test_nothing_comes_of_nothing() -> None:
    assert match([], [], NOW) == []
    assert match([head()], [], NOW) == []
    assert match([], [agent()], NOW) == []


def test_hours_of_waiting_lose_nothing_more() -> None:
    assert math.isclose(lost_per_minute(head(waited=86_400, rules=Rules(half_life_s=60.0)), NOW), 0.0, abs_tol=1e-9)


def test_what_only_one_may_take_waits_for_him_though_he_is_away_or_has_said_no() -> None:
    his = head(1, prefers=2, prefers_until=NOW + 9e12, only_he=True)
    assert match([his], [agent(1)], NOW) == []
    assert match([his], [agent(1), agent(2)], NOW, excluded={(1, 2)}) == []
    (made,) = match([his], [agent(1), agent(2)], NOW)
    assert made.agent == 2
    assert {"code": "passed_over", "by": {"agent": 1, "code": "only_owner", "owner": 2}} in made.why
    assert why_nothing([his], agent(1), NOW) == [{"code": "only_owner", "owner": 2, "tasks": 1}]


@pytest.mark.parametrize(("handle_s", "in_s", "given"), [(300, 301, True), (300, 300, True), (300, 299, False),
                                                        (0, 1, True), (900, -1, True)])
def test_who_has_promised_a_call_is_given_only_what_is_done_before(handle_s: float, in_s: float, given: bool) -> None:
    owes = Owed(NOW + in_s * 1000, task=9, zone="Europe/Madrid")
    task, his = head(1, handle_s=handle_s), head(9, handle_s=handle_s)
    assert bool(match([task], [agent(1, owes=owes)], NOW)) is given
    assert match([his], [agent(1, owes=owes)], NOW)
    chat = head(2, channel=Channel.chat, handle_s=handle_s)
    assert match([chat], [agent(1, owes=owes)], NOW), "a call may come in beside a chat"
    if not given:
        reason = {"code": "has_promised", "at": owes.at, "zone": "Europe/Madrid"}
        (made,) = match([task], [agent(1, owes=owes), agent(2, idle=0)], NOW)
        assert (made.agent, [one["by"] for one in made.why if one["code"] == "passed_over"]) == (
            2, [{"agent": 1, **reason}])
        assert why_nothing([task], agent(1, owes=owes), NOW) == [{**reason, "tasks": 1}]
