"""Routing: who takes what, as properties of every possible round."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from router.model.routing import Candidate, Head, match

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SKILLS = st.frozensets(st.sampled_from("abc"), max_size=3)
HEADS = st.lists(
    st.builds(Head, id=st.integers(1, 12), tier=st.integers(0, 2), rank=st.integers(0, 5), skills=SKILLS),
    max_size=8,
    unique_by=lambda head: head.id,
)
AGENTS = st.lists(
    st.builds(
        Candidate,
        id=st.integers(1, 12),
        idle_since=st.integers(0, 5).map(lambda s: NOW - timedelta(seconds=s)),
        skills=SKILLS,
    ),
    max_size=8,
    unique_by=lambda agent: agent.id,
)
EXCLUDED = st.frozensets(st.tuples(st.integers(1, 12), st.integers(1, 12)), max_size=20)


@settings(max_examples=100, deadline=None)
@given(HEADS, AGENTS, EXCLUDED, st.randoms())
def test_a_round_is_lawful(heads, agents, excluded, random) -> None:  # type: ignore[no-untyped-def]
    made = match(heads, agents, NOW, excluded)
    head_of, agent_of = {head.id: head for head in heads}, {agent.id: agent for agent in agents}

    def may(task: int, agent: int) -> bool:
        return head_of[task].skills <= agent_of[agent].skills and (task, agent) not in excluded

    tasks_taken, agents_taken = [one.task for one in made], [one.agent for one in made]
    assert len(set(tasks_taken)) == len(made) == len(set(agents_taken))
    assert all(may(one.task, one.agent) for one in made)
    idle, waiting = set(agent_of) - set(agents_taken), set(head_of) - set(tasks_taken)
    assert not any(may(task, agent) for task in waiting for agent in idle)

    shuffled_heads, shuffled_agents = list(heads), list(agents)
    random.shuffle(shuffled_heads)
    random.shuffle(shuffled_agents)
    assert match(shuffled_heads, shuffled_agents, NOW, excluded) == made


@settings(max_examples=100, deadline=None)
@given(HEADS, AGENTS, EXCLUDED)
def test_nobody_is_overtaken_by_an_equal_and_the_longest_idle_goes_first(heads, agents, excluded) -> None:  # type: ignore[no-untyped-def]
    made = {one.task: one.agent for one in match(heads, agents, NOW, excluded)}
    agent_of = {agent.id: agent for agent in agents}
    order = sorted(heads, key=lambda head: (head.tier, head.rank, head.id))
    for place, later in enumerate(order):
        for earlier in order[:place]:
            same = earlier.skills == later.skills
            if same and later.id in made and earlier.id not in made:
                assert (earlier.id, made[later.id]) in excluded, "overtaken without a reason"
    taken: set[int] = set()
    for head in order:
        if head.id not in made:
            continue
        chosen = agent_of[made[head.id]]
        for other in agents:
            if other.id in taken or other.id == chosen.id:
                continue
            if head.skills <= other.skills and (head.id, other.id) not in excluded:
                assert (chosen.idle_since, chosen.id) <= (other.idle_since, other.id)
        taken.add(chosen.id)


def test_a_match_says_why_and_who_was_passed_over() -> None:
    longest = Candidate(1, NOW - timedelta(seconds=90), frozenset())
    excluded = Candidate(2, NOW - timedelta(seconds=60), frozenset({"solar"}))
    chosen = Candidate(3, NOW - timedelta(seconds=30), frozenset({"solar"}))
    rank = int((NOW - timedelta(seconds=5)).timestamp() * 1000)
    (made,) = match([Head(7, 0, rank, frozenset({"solar"}))], [chosen, excluded, longest], NOW, {(7, 2)})
    assert made.agent == 3
    assert list(made.why) == [
        {"code": "first_in_tier", "tier": 0, "waited_s": 5.0},
        {"code": "has_skills", "skills": ["solar"]},
        {"code": "longest_idle", "idle_s": 30.0},
        {"code": "passed_over", "by": {"agent": 1, "code": "lacks", "skills": ["solar"]}},
        {"code": "passed_over", "by": {"agent": 2, "code": "excluded"}},
    ]


def test_nothing_comes_of_nothing() -> None:
    assert match([], [], NOW) == []
    assert match([Head(1, 0, 0, frozenset())], [], NOW) == []
    assert match([], [Candidate(1, NOW, frozenset())], NOW) == []
