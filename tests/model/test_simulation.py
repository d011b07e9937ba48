"""The simulation against theory: what `match` decides for people in a hurry must come to what Erlang reckoned.

Tolerances are four standard deviations of runs of 100,000 arrivals; shorter ones must keep them too.
"""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from router.model import erlang
from router.model.routing import Candidate, Head, Match, Policy, Rules, match
from router.model.simulation import Demand, Outcome, Pairs, Scenario, Staff, simulate

E1 = Scenario((200.0,), 180.0, (Staff(14),))
E3 = Scenario((200.0,), 180.0, (Staff(13),), patience_s=300.0)
E4 = Scenario((2_880.0,), 60.0, (Staff(50),), patience_s=120.0, arrivals=50_000)
SMALL = replace(E1, arrivals=4_000, warm_up=400)


@pytest.fixture(scope="module")
def plain() -> Outcome:
    """Long enough for the theory, so it is played once."""
    return simulate(E1)


def test_a_queue_nobody_leaves_waits_as_erlang_c_says(plain: Outcome) -> None:
    seen, expected = plain, erlang.erlang_c(200, 180, 14)
    assert seen.p_wait.value == pytest.approx(expected.p_wait, abs=0.028)
    assert seen.asa_s.value == pytest.approx(expected.asa_s, abs=2.4)
    assert seen.service_level.value == pytest.approx(expected.service_level, abs=0.02)
    assert seen.occupancy.value == pytest.approx(expected.occupancy, abs=0.01)
    assert (seen.abandoned.value, seen.counted, len(seen.waits)) == (0.0, 95_000, 95_000)


@pytest.mark.parametrize(
    ("scenario", "tolerance"),
    [(E3, (0.012, 0.64, 0.008, 0.0024)), (E4, (0.068, 0.84, 0.02, 0.0064))],
    ids=["13 agents", "50 agents"],
)
def test_a_queue_with_patience_waits_as_erlang_a_says(scenario: Scenario, tolerance: Sequence[float]) -> None:
    (rate,), (staff,) = scenario.arrivals_per_hour, scenario.staff
    expected = erlang.erlang_a(rate, scenario.handle_s, scenario.patience_s or 0, staff.agents)
    seen = simulate(scenario)
    assert seen.p_wait.value == pytest.approx(expected.p_wait, abs=tolerance[0])
    assert seen.mean_wait_s.value == pytest.approx(expected.mean_wait_s, abs=tolerance[1])
    assert seen.service_level.value == pytest.approx(expected.service_level, abs=tolerance[2])
    assert seen.abandoned.value == pytest.approx(expected.p_abandon, abs=tolerance[3])
    assert seen.occupancy.value == pytest.approx(expected.occupancy, abs=0.01)


def test_of_two_tiers_the_first_waits_as_cobham_says() -> None:
    seen = simulate(replace(E1, arrivals=50_000, demand=(Demand(0.3, tier=0), Demand(0.7, tier=2))))
    expected = erlang.cobham(200, 180, 14, 0.3)
    assert seen.mean_wait_of_tier[0] == pytest.approx(expected.first_s, abs=1.0)
    assert seen.mean_wait_of_tier[2] == pytest.approx(expected.second_s, abs=3.2)


def test_newest_first_keeps_the_mean_and_answers_more_in_time(plain: Outcome) -> None:
    oldest, newest = plain, simulate(replace(E1, demand=(Demand(newest_first=True),)))
    assert newest.mean_wait_s.value == pytest.approx(oldest.mean_wait_s.value, rel=1e-9)
    assert newest.service_level.value == pytest.approx(0.934, abs=0.02)
    assert newest.service_level.value > oldest.service_level.value + 0.03
    assert newest.waits[-1] > 2 * oldest.waits[-1]


@pytest.mark.parametrize("every", [0.1, 1.0, 60.0])
def test_how_often_the_net_is_drawn_through_changes_nobodys_wait(every: float) -> None:
    assert simulate(replace(SMALL, sweep_s=every)) == simulate(SMALL)


def test_the_same_seed_is_the_same_day_and_another_is_another() -> None:
    assert simulate(SMALL) == simulate(SMALL)
    assert simulate(replace(SMALL, seed=2)).waits != simulate(SMALL).waits


def test_everything_is_decided_by_the_function_it_is_given() -> None:
    rounds: list[tuple[int, int]] = []

    def decide(
        heads: Sequence[Head], agents: Sequence[Candidate], now: float, policy: Policy, excluded: Pairs
    ) -> Sequence[Match]:
        made = match(heads, agents, now, policy, excluded)
        rounds.append((len(heads), len(made)))
        return made

    assert simulate(SMALL, decide) == simulate(SMALL)
    assert sum(made for _, made in rounds) == SMALL.arrivals
    assert all(heads for heads, _ in rounds)


def test_who_needs_a_skill_waits_for_those_who_have_it() -> None:
    demand = (Demand(0.8, {"es": 1}), Demand(0.2, {"it": 2}, tier=3))
    plenty = replace(SMALL, arrivals=1_500, demand=demand, staff=(Staff(30, {"es": 1}), Staff(1, {"it": 2, "es": 1})))
    seen = simulate(plenty)
    assert seen.mean_wait_of_tier[2] < 1.0
    assert seen.mean_wait_of_tier[3] > 60.0


def test_a_rate_for_each_half_hour_is_kept_in_turn() -> None:
    came: list[float] = []

    def decide(
        heads: Sequence[Head], agents: Sequence[Candidate], now: float, policy: Policy, excluded: Pairs
    ) -> Sequence[Match]:
        came.append(now / 1_000)
        return match(heads, agents, now, policy, excluded)

    day = Scenario((0.0, 400.0, 100.0), 1.0, (Staff(50),), arrivals=2_500, warm_up=0)
    simulate(day, decide)
    by_half_hour = [0, 0, 0]
    for moment in came:
        by_half_hour[int(moment // 1_800) % 3] += 1
    assert by_half_hour[0] == 0
    assert by_half_hour[1] == pytest.approx(2_000, abs=120)


def test_given_moments_are_played_as_they_are() -> None:
    seen = simulate(Scenario((), 60.0, (Staff(2),), at=(5.0, 0.0, 5.0, 3_600.0), warm_up=0))
    assert (seen.counted, seen.p_wait.value) == (4, 0.25)


@given(
    st.integers(1, 4), st.floats(20, 400), st.floats(10, 200), st.none() | st.floats(5, 100), st.booleans(),
    st.integers(1, 99),
)
@settings(max_examples=60, deadline=None)
def test_nobody_is_lost_and_shares_are_shares(
    agents: int, rate: float, handle: float, patience: float | None, newest: bool, seed: int
) -> None:
    seen = simulate(Scenario(
        (rate,), handle, (Staff(agents),), (Demand(newest_first=newest, rules=Rules(floor_s=90.0)),),
        patience_s=patience, arrivals=300, warm_up=50, seed=seed,
    ))
    assert seen.counted == 250
    assert len(seen.waits) + round(seen.abandoned.value * 250) == 250
    assert list(seen.waits) == sorted(seen.waits)
    for figure in (seen.p_wait, seen.service_level, seen.service_level_4, seen.abandoned, seen.occupancy):
        assert 0 <= figure.value <= 1 + 1e-9
    assert seen.service_level.value <= seen.service_level_4.value + 1e-9


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"handle_s": 0.0}, "handle_s"),
        ({"patience_s": -1.0}, "patience_s"),
        ({"target_s": float("nan")}, "target_s"),
        ({"arrivals_per_hour": ()}, "not all zero"),
        ({"arrivals_per_hour": (0.0, 0.0)}, "not all zero"),
        ({"arrivals_per_hour": (float("inf"),)}, "finite"),
        ({"staff": (Staff(0),)}, "one agent"),
        ({"staff": (Staff(3), Staff(-1))}, "one agent"),
        ({"warm_up": 4_000}, "warm-up"),
        ({"demand": ()}, "shares"),
        ({"demand": (Demand(-1.0), Demand(2.0))}, "shares"),
        ({"demand": (Demand(1.0, {"it": 2}),)}, "it of level 2"),
    ],
)
def test_what_makes_no_day_is_refused_in_a_sentence(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        simulate(replace(SMALL, **wrong))
