"""Erlang: the theory gives the published figures, keeps its own laws, and says what it cannot reckon."""

import math
from collections.abc import Callable

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from router.model.erlang import cobham, erlang_a, erlang_b, erlang_c, staff_for, wait_quantile

handles = st.floats(20, 900)
patiences = st.floats(5, 3_000)
targets = st.floats(1, 120)
teams = st.integers(1, 60)
shares = st.floats(0.05, 0.95)


def hourly(load: float, handle_s: float) -> float:
    return load * 3_600 / handle_s


def level_by_integral(arrivals_per_hour: float, handle_s: float, patience_s: float, agents: int, by_s: float) -> float:
    """The share served in time from the density of the offered wait (Baccelli & Hebuterne 1981), by Simpson's rule."""
    rate, leave = arrivals_per_hour / 3_600, 1 / patience_s

    def density(t: float) -> float:
        return agents / handle_s * math.exp(-rate * patience_s * math.expm1(-t * leave) - agents / handle_s * t)

    def simpson(of: Callable[[float], float], end: float) -> float:
        step = end / 3_000
        ordinates = [of(step * place) for place in range(3_001)]
        return step / 3 * (ordinates[0] + ordinates[-1] + 4 * sum(ordinates[1::2]) + 2 * sum(ordinates[2:-1:2]))

    at_once = 1 / erlang_b(rate * handle_s, agents) - 1
    served = simpson(lambda t: density(t) * math.exp(-t * leave), by_s)
    return (at_once + served) / (at_once + simpson(density, 1_500.0))


@pytest.mark.parametrize(("agents", "p_wait", "level", "asa_s"), [
    (11, 0.682118, 0.389614, 122.781), (12, 0.449388, 0.640158, 40.445), (13, 0.285270, 0.795595, 17.116),
    (14, 0.174132, 0.888350, 7.836),
])
def test_two_hundred_calls_an_hour_wait_as_published(agents: int, p_wait: float, level: float, asa_s: float) -> None:
    expected = erlang_c(200, 180, agents, 20)
    assert expected.p_wait == pytest.approx(p_wait, abs=5.1e-7)
    assert expected.service_level == pytest.approx(level, abs=5.1e-7)
    assert expected.asa_s == pytest.approx(asa_s, abs=5.1e-4)
    assert expected.occupancy == pytest.approx(10 / agents)


def test_patience_of_five_minutes_spares_an_agent() -> None:
    expected = erlang_a(200, 180, 300, 13, 20)
    assert (expected.p_wait, expected.p_abandon, expected.service_level) == pytest.approx(
        (0.225797, 0.024963, 0.858178), abs=5.1e-7)
    assert (expected.mean_wait_s, expected.occupancy) == pytest.approx((7.489, 0.750028), abs=5.1e-4)


def test_a_busy_pool_recovers_when_three_in_a_hundred_leave() -> None:
    staying, leaving = erlang_c(2_880, 60, 50), erlang_a(2_880, 60, 120, 50, 20)
    assert (staying.asa_s, staying.queue_length, staying.occupancy) == pytest.approx((20.83, 16.67, 0.96), abs=5.1e-3)
    assert wait_quantile(0.9, 2_880, 60, 50) == pytest.approx(58.14, abs=5.1e-3)
    assert (leaving.p_wait, leaving.p_abandon, leaving.service_level, leaving.occupancy) == pytest.approx(
        (0.467774, 0.030912, 0.943019, 0.930324), abs=5.1e-7)
    assert (leaving.mean_wait_s, leaving.queue_length) == pytest.approx((3.709, 2.968), abs=5.1e-4)


def test_three_in_ten_go_first_and_wait_less_than_three_seconds() -> None:
    assert cobham(200, 180, 14, 0.3) == pytest.approx((2.849, 9.973), abs=5.1e-4)


@given(teams, handles, shares, shares)
def test_who_goes_first_takes_his_seconds_from_the_others(agents: int, handle_s: float, full: float, p: float) -> None:
    arrivals = hourly(full * agents, handle_s)
    first_s, second_s = cobham(arrivals, handle_s, agents, p)
    together = erlang_c(arrivals, handle_s, agents).asa_s
    assert first_s <= together <= second_s
    assert p * first_s + (1 - p) * second_s == pytest.approx(together)


@given(st.floats(0.01, 20), st.integers(1, 12))
def test_lost_calls_are_as_in_the_formula_of_1917(load: float, agents: int) -> None:
    terms = [load**busy / math.factorial(busy) for busy in range(agents + 1)]
    assert erlang_b(load, agents) == pytest.approx(terms[-1] / sum(terms), rel=1e-9)


def test_a_thousand_agents_are_no_trouble() -> None:
    assert 0 < erlang_b(1_000, 1_000) < 0.03
    assert erlang_a(50_000, 180, 600, 1_000, 3_000).service_level == pytest.approx(1_000 / 2_500)


@given(teams, handles, shares, targets)
def test_endless_patience_is_no_patience_model_at_all(agents: int, handle_s: float, full: float, by_s: float) -> None:
    arrivals = hourly(full * agents, handle_s)
    staying, leaving = erlang_c(arrivals, handle_s, agents, by_s), erlang_a(arrivals, handle_s, 1e12, agents, by_s)
    assert leaving.p_abandon < 1e-6
    assert leaving[:1] + leaving[2:] == pytest.approx(tuple(staying), rel=1e-6, abs=1e-9)


def test_without_patience_whoever_finds_all_busy_is_lost() -> None:
    hasty = erlang_a(200, 180, 1e-6, 12)
    assert hasty.p_abandon == pytest.approx(erlang_b(10, 12), abs=1e-6)
    assert hasty.service_level == pytest.approx(1 - erlang_b(10, 12), abs=1e-6)


def test_the_share_served_in_time_agrees_with_the_density_of_the_wait() -> None:
    for case in [(200, 180, 300, 13, 20), (2_880, 60, 120, 50, 20), (4_000, 60, 30, 50, 45), (36, 200, 100, 3, 99)]:
        assert erlang_a(*case).service_level == pytest.approx(level_by_integral(*case), abs=1e-6)


@settings(deadline=None)
@given(st.integers(1, 40), handles, st.floats(0.05, 3), patiences, targets)
def test_one_more_agent_never_harms(agents: int, handle_s: float, full: float, patience_s: float, by_s: float) -> None:
    arrivals = hourly(full * agents, handle_s)
    few, more = (erlang_a(arrivals, handle_s, patience_s, count, by_s) for count in (agents, agents + 1))
    assert 0 <= few.service_level <= more.service_level + 1e-12 <= 1 + 2e-12
    assert few.p_wait + 1e-12 >= more.p_wait
    assert few.p_abandon + 1e-12 >= more.p_abandon >= 0
    assert few.mean_wait_s + 1e-9 >= more.mean_wait_s
    assert few.service_level <= 1 - few.p_abandon + 1e-9


@given(teams, handles, shares, shares)
def test_so_many_wait_no_longer_than_the_quantile(agents: int, handle_s: float, full: float, share: float) -> None:
    arrivals = hourly(full * agents, handle_s)
    wait_s = wait_quantile(share, arrivals, handle_s, agents)
    if wait_s == 0:
        assert 1 - erlang_c(arrivals, handle_s, agents).p_wait >= share - 1e-12
    else:
        assert erlang_c(arrivals, handle_s, agents, wait_s).service_level == pytest.approx(share)


def test_eighty_in_twenty_needs_fourteen_agents_and_thirteen_when_some_leave() -> None:
    assert (staff_for(0.8, 20, 200, 180), staff_for(0.8, 20, 200, 180, 300)) == (14, 13)
    assert staff_for(0.8, 20, 1, 10) == 1


@settings(deadline=None, max_examples=50)
@given(shares, targets, st.floats(0.1, 40), handles, st.none() | patiences)
def test_one_agent_fewer_would_not_do(
    share: float, by_s: float, load: float, handle_s: float, patience_s: float | None,
) -> None:
    def level(agents: int) -> float:
        if patience_s is None:
            return erlang_c(arrivals, handle_s, agents, by_s).service_level
        return erlang_a(arrivals, handle_s, patience_s, agents, by_s).service_level

    arrivals = hourly(load, handle_s)
    fewest = staff_for(share, by_s, arrivals, handle_s, patience_s)
    assert level(fewest) >= share
    assume(fewest - 1 > (load if patience_s is None else 0))
    assert level(fewest - 1) < share


def test_a_load_the_agents_cannot_bear_is_refused_unless_callers_leave() -> None:
    for ask in (lambda: erlang_c(200, 180, 10), lambda: cobham(200, 180, 10, 0.3),
                lambda: wait_quantile(0.9, 200, 180, 10)):
        with pytest.raises(ValueError, match="a load of 10 erlangs with 10 agents: the queue would grow without end"):
            ask()
    assert erlang_a(200, 180, 300, 5).p_abandon == pytest.approx(0.5, abs=2e-3)
    with pytest.raises(ValueError, match="the queue is too long"):
        erlang_a(20_000, 180, 1e12, 14)


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf, -math.inf])
def test_nothing_is_reckoned_from_zero_negative_or_endless_numbers(bad: float) -> None:
    for name in ("arrivals_per_hour", "handle_s", "patience_s", "agents", "target_s"):
        good = {"arrivals_per_hour": 200, "handle_s": 180, "patience_s": 300, "agents": 14, "target_s": 20, name: bad}
        with pytest.raises(ValueError, match=f"{name} must be a finite number above zero, not {bad}"):
            erlang_a(**good)  # type: ignore[arg-type]
    for ask in (lambda: staff_for(bad, 20, 200, 180), lambda: cobham(200, 180, 14, bad),
                lambda: wait_quantile(bad, 200, 180, 14)):
        with pytest.raises(ValueError, match="share must be between 0 and 1"):
            ask()
    with pytest.raises(ValueError, match="load must be"):
        erlang_b(bad, 3)
