"""Erlang: what queueing theory expects of a pool of agents. Pure; the yardstick for simulated and measured queues.

Everywhere arrivals are Poisson, handle times (wrap-up included) and patience exponential, agents alike, the oldest
first. `load` is the mean number of calls in handling, arrivals times handle time, in erlangs.
"""

import math
from bisect import bisect_left
from typing import NamedTuple

MOST_WAITING = 1_000_000
"""The longest queue reckoned with."""
_NEGLIGIBLE = -50.0
"""Queues whose weight is below exp(-50) of the likeliest one's are left out."""


class ErlangC(NamedTuple):
    """A queue nobody leaves. `asa_s` is the mean wait in seconds, `service_level` the share begun within the target."""

    p_wait: float
    asa_s: float
    service_level: float
    occupancy: float
    queue_length: float


class ErlangA(NamedTuple):
    """A queue with patience. `mean_wait_s` (seconds) and `service_level` are of all, those who leave unserved too."""

    p_wait: float
    p_abandon: float
    mean_wait_s: float
    service_level: float
    occupancy: float
    queue_length: float


class Cobham(NamedTuple):
    """Mean waits of two classes in seconds: the first is always served before the second, never interrupting it."""

    first_s: float
    second_s: float


def erlang_b(load: float, agents: int) -> float:
    """The share of calls lost when nobody waits; `load` in erlangs. Source: Erlang 1917, as a recursion over agents.

    ValueError for a load or agents not above zero.
    """
    _check(math.inf, load=load, agents=agents)
    blocked = 1.0
    for count in range(1, agents + 1):
        blocked = load * blocked / (count + load * blocked)
    return blocked


def erlang_c(arrivals_per_hour: float, handle_s: float, agents: int, target_s: float = 20) -> ErlangC:
    """M/M/n: waits when everyone stays. Times in seconds. Source: Erlang 1917.

    ValueError for input not above zero, and for a load of as many erlangs as agents or more.
    """
    _check(math.inf, target_s=target_s)
    load = _bearable(arrivals_per_hour, handle_s, agents)
    p_wait, spare = _p_wait(load, agents), agents - load
    in_time = 1 - p_wait * math.exp(-spare / handle_s * target_s)
    return ErlangC(p_wait, p_wait * handle_s / spare, in_time, load / agents, p_wait * load / spare)


def wait_quantile(share: float, arrivals_per_hour: float, handle_s: float, agents: int) -> float:
    """The seconds that the waits of this share of calls do not exceed when everyone stays. Source: Erlang 1917.

    ValueError as `erlang_c`, and for a share not between 0 and 1.
    """
    _check(1, share=share)
    load = _bearable(arrivals_per_hour, handle_s, agents)
    p_wait = _p_wait(load, agents)
    return handle_s / (agents - load) * math.log(p_wait / (1 - share)) if p_wait > 1 - share else 0.0


def erlang_a(
    arrivals_per_hour: float, handle_s: float, patience_s: float, agents: int, target_s: float = 20
) -> ErlangA:
    """M/M/n+M: waits when callers leave after a patience of mean `patience_s`. Times in seconds; any load.

    Source: Palm 1957; Garnett, Mandelbaum & Reiman 2002. ValueError for input not above zero or over MOST_WAITING.
    """
    _check(math.inf, patience_s=patience_s, target_s=target_s)
    load = _load(arrivals_per_hour, handle_s, agents)
    waiting = _waiting(load, handle_s / patience_s, agents)
    p_wait = min(1.0, sum(waiting))
    in_time = 1 - p_wait + _served_from_queue(waiting, handle_s, patience_s, agents, target_s)
    queue_length = sum(others * p for others, p in enumerate(waiting))
    mean_wait_s = queue_length * handle_s / load
    p_abandon = mean_wait_s / patience_s
    return ErlangA(p_wait, p_abandon, mean_wait_s, in_time, load * (1 - p_abandon) / agents, queue_length)


def cobham(arrivals_per_hour: float, handle_s: float, agents: int, first_share: float) -> Cobham:
    """Mean waits when `first_share` of the arrivals go before the others; both classes take `handle_s` seconds.

    Source: Cobham 1954, "Priority assignment in waiting line problems". Weighted by their shares the two waits make
    Erlang's ASA. ValueError as `erlang_c`, and for a share not between 0 and 1.
    """
    _check(1, first_share=first_share)
    load = _bearable(arrivals_per_hour, handle_s, agents)
    next_free_s = _p_wait(load, agents) * handle_s / agents
    first_s = next_free_s / (1 - first_share * load / agents)
    return Cobham(first_s, first_s / (1 - load / agents))


def staff_for(
    share: float, within_seconds: float, arrivals_per_hour: float, handle_s: float, patience_s: float | None = None
) -> int:
    """The fewest agents that serve this share of all arrivals within so many seconds, e.g. 0.8 within 20.

    Source: Erlang 1917, when everyone stays; with `patience_s` (seconds) Palm 1957. Both service levels rise with
    each agent. ValueError as `erlang_a`, and for a share not between 0 and 1.
    """
    _check(1, share=share)
    load = _load(arrivals_per_hour, handle_s, 1)

    def level(agents: int) -> float:
        if patience_s is None:
            return erlang_c(arrivals_per_hour, handle_s, agents, within_seconds).service_level
        return erlang_a(arrivals_per_hour, handle_s, patience_s, agents, within_seconds).service_level

    fewest = most = math.floor(load) + 1 if patience_s is None else max(1, math.floor(share * load))
    while level(most) < share:
        most *= 2
    return fewest + bisect_left(range(fewest, most), share, key=level)


def _p_wait(load: float, agents: int) -> float:
    blocked = erlang_b(load, agents)
    return agents * blocked / (agents - load * (1 - blocked))


def _waiting(load: float, haste: float, agents: int) -> list[float]:
    """The chances that all agents are busy and 0, 1, 2 … wait. `haste` is handle time over patience.

    In logarithms until the greatest is known: under overload the weights pass any float.
    """
    logs, peak = [0.0], 0.0
    while logs[-1] > peak + _NEGLIGIBLE:
        if len(logs) > MOST_WAITING:
            raise ValueError(f"a load of {load:g} with {agents} agents and so much patience: the queue is too long")
        logs.append(logs[-1] + math.log(load / (agents + len(logs) * haste)))
        peak = max(peak, logs[-1])
    blocked = erlang_b(load, agents)
    weights = [blocked * math.exp(log - peak) for log in logs]
    total = (1 - blocked) * math.exp(-peak) + sum(weights)
    return [weight / total for weight in weights]


def _served_from_queue(waiting: list[float], handle_s: float, patience_s: float, agents: int, target_s: float) -> float:
    """The share of arrivals that wait and are served within the target, in closed form.

    The turn of a caller with j ahead comes after exponential steps at the rates n/h + i/p, i = j … 0, so exp(-turn/p)
    is Beta(m, j + 1) with m = n·p/h (Rényi 1953), and this is also the chance that the caller stays. Hence
    P(turn <= target, stays) = m/(m + j + 1) · P(X > j), X the failures before success m + 1 of chance exp(-target/p).
    """
    m = agents * patience_s / handle_s
    log_gone = math.log(-math.expm1(-target_s / patience_s))
    log_p, missed, served = -(m + 1) * target_s / patience_s, 0.0, 0.0
    for ahead, p in enumerate(waiting):
        missed += math.exp(log_p)
        served += p * m / (m + ahead + 1) * max(0.0, 1 - missed)
        log_p += math.log((m + ahead + 1) / (ahead + 1)) + log_gone
    return served


def _load(arrivals_per_hour: float, handle_s: float, agents: int) -> float:
    load = arrivals_per_hour * handle_s / 3_600
    _check(math.inf, arrivals_per_hour=arrivals_per_hour, handle_s=handle_s, agents=agents, load=load)
    return load


def _bearable(arrivals_per_hour: float, handle_s: float, agents: int) -> float:
    load = _load(arrivals_per_hour, handle_s, agents)
    if load >= agents:
        raise ValueError(f"a load of {load:g} erlangs with {agents} agents: the queue would grow without end")
    return load


def _check(below: float, **values: float) -> None:
    bounds = "a finite number above zero" if below == math.inf else f"between 0 and {below}"
    for name, value in values.items():
        if not 0 < value < below:
            raise ValueError(f"{name} must be {bounds}, not {value}")
