"""Simulation: what a staffing and a policy would do, decided by the very `match` that routes real people.

Discrete events on a clock of its own: a task comes, its person loses patience, an agent is free again. Rings are
answered at once, so whoever rings long puts that time into the handle time. Chance comes from the seed alone: gaps,
handle times and patience each have a stream of their own, drawn in the order of arrivals or of beginnings, so that two
policies are compared on the same day.
"""

import heapq
import math
import statistics
from array import array
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, islice
from random import Random
from typing import Any

import msgspec

from router.model.routing import (
    MOST_HEADS,
    PLAIN,
    Candidate,
    Channel,
    Head,
    Match,
    Needs,
    Policy,
    Rules,
    match,
    skilled,
)

Pairs = Collection[tuple[int, int]]
"""Pairs (task, agent) that are not made at the moment."""
Decide = Callable[[Sequence[Head], Sequence[Candidate], float, Policy, Pairs], Sequence[Match]]

BATCHES = 20
T_95 = 2.093
"""Student's t for 95 % and BATCHES - 1 degrees of freedom."""
HALF_HOUR = 1_800.0


class Staff(msgspec.Struct, frozen=True):
    """So many agents with these skills."""

    agents: int
    skills: Mapping[str, int] = {}


class Demand(msgspec.Struct, frozen=True):
    """A share of the arrivals that need the same: one lane."""

    share: float = 1.0
    needs: Mapping[str, int] = {}
    tier: int = 2
    rules: Rules = PLAIN
    newest_first: bool = False


class Scenario(msgspec.Struct, frozen=True):
    """`arrivals_per_hour` is one rate, or one for each half-hour in turn, over and over; `at` are moments in seconds
    instead. Handle times are exponential with mean `handle_s`, and so is patience, if there is any end to it. The first
    `warm_up` arrivals are not counted. `sweep_s` adds a round now and then, as the house has (0: none)."""

    arrivals_per_hour: tuple[float, ...]
    handle_s: float
    staff: tuple[Staff, ...]
    demand: tuple[Demand, ...] = (Demand(),)
    patience_s: float | None = None
    target_s: float = 20.0
    arrivals: int = 100_000
    warm_up: int = 5_000
    seed: int = 1
    policy: Policy = Policy()
    at: tuple[float, ...] = ()
    sweep_s: float = 0.0


class Figure(msgspec.Struct, frozen=True):
    """A mean, and half the width of its 95 % confidence interval by batch means."""

    value: float
    error: float


class Outcome(msgspec.Struct, frozen=True):
    """What came of it. Times in seconds. `service_level` is the share of all arrivals that were answered within the
    target (SL3); `service_level_4` leaves out who left within it (SL4). `asa_s` is of the answered, `mean_wait_s` of
    all. `waits` are those of the answered, rising; `mean_wait_of_tier` is of the answered of each tier."""

    p_wait: Figure
    service_level: Figure
    service_level_4: Figure
    asa_s: Figure
    mean_wait_s: Figure
    abandoned: Figure
    occupancy: Figure
    waits: Sequence[float]
    mean_wait_of_tier: Mapping[int, float]
    counted: int
    hours: float


def check(scenario: Scenario) -> None:
    """Raises ValueError with what is wrong in one sentence."""
    for name in ("handle_s", "patience_s", "target_s"):
        value = getattr(scenario, name)
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name} must be a finite number above zero, not {value}.")
    rates = scenario.arrivals_per_hour
    if not scenario.at and not (rates and all(0 <= rate < math.inf for rate in rates) and any(rates)):
        raise ValueError("Arrivals an hour must be finite, not below zero, and not all zero.")
    if sum(group.agents for group in scenario.staff) < 1 or any(group.agents < 0 for group in scenario.staff):
        raise ValueError("There must be one agent at least.")
    if not 0 <= scenario.warm_up < _many(scenario):
        raise ValueError("There must be more arrivals than are left out as a warm-up.")
    if not scenario.demand or any(one.share < 0 for one in scenario.demand) or not any(
        one.share for one in scenario.demand
    ):
        raise ValueError("The shares of the arrivals must not be below zero, and not all zero.")
    for one in scenario.demand:
        if one.share and not any(skilled(group.skills, one.needs) for group in scenario.staff if group.agents):
            raise ValueError(f"Nobody has what some arrivals need: {_say(one.needs)}.")


def _say(needs: Needs) -> str:
    return ", ".join(f"{skill} of level {level}" for skill, level in sorted(needs.items()))


def _many(scenario: Scenario) -> int:
    return len(scenario.at) or scenario.arrivals


def simulate(scenario: Scenario, decide: Decide = match, tell: Callable[[int, int], None] | None = None) -> Outcome:
    """Plays the scenario. `tell` hears now and then how many of all arrivals have come. Raises what `check` raises."""
    check(scenario)
    return _Play(scenario, decide, tell or (lambda done, all_of_them: None)).run()


def _moments(scenario: Scenario, chance: Random) -> Iterator[float]:
    """When tasks come, in seconds."""
    if scenario.at:
        yield from sorted(scenario.at)
        return
    rates = [rate / 3_600 for rate in scenario.arrivals_per_hour]
    if len(rates) == 1:
        now = 0.0
        while True:
            now += chance.expovariate(rates[0])
            yield now
    now, piece = 0.0, 0
    left = chance.expovariate(1.0)
    while True:
        ends = (piece + 1) * HALF_HOUR
        rate = rates[piece % len(rates)]
        if rate and now + left / rate < ends:
            now += left / rate
            left = chance.expovariate(1.0)
            yield now
        else:
            left -= (ends - now) * rate
            now, piece = ends, piece + 1


class _Batch:
    """Sums over the arrivals of one stretch."""

    def __init__(self) -> None:
        self.offered = self.waited = self.answered = self.in_time = self.left = self.left_in_time = 0
        self.answered_s = self.left_s = self.busy_s = self.seconds = 0.0

    def figures(self) -> tuple[float, ...]:
        offered, answered = self.offered or 1, self.answered or 1
        return (
            self.waited / offered, self.in_time / offered, self.in_time / ((offered - self.left_in_time) or 1),
            self.answered_s / answered, (self.answered_s + self.left_s) / offered, self.left / offered,
            self.busy_s / (self.seconds or 1),
        )


class Day:
    """The events of a day in their order, and who waits and who is free meanwhile: what a simulation and a replay have
    in common. Times are seconds. `_in_line` says who still waits; lanes are rid of the others when those are too
    many."""

    def __init__(self, decide: Decide, policy: Policy) -> None:
        self._decide, self._policy = decide, policy
        self._lanes: dict[Hashable, deque[Head]] = {}
        self._in_line: set[int] = set()
        self._free: dict[int, Candidate] = {}
        self._events: list[tuple[float, int, int, Any]] = []
        self._order = 0

    def _push(self, at: float, what: int, which: Any) -> None:
        self._order += 1
        heapq.heappush(self._events, (at, self._order, what, which))

    def _round(self, now: float) -> int:
        """One round, as the house has them; how many pairs it made."""
        heads = self._heads(now, min(MOST_HEADS, len(self._free)))
        if not heads:
            return 0
        made = self._decide(heads, list(self._free.values()), now * 1_000, self._policy, self._excluded(heads))
        for pair in made:
            self._begin(now, next(head for head in heads if head.id == pair.task), pair)
        return len(made)

    def _heads(self, now: float, most: int) -> list[Head]:
        return [head for lane in self._lanes.values() for head in islice(self._waiting(lane), most)]

    def _waiting(self, lane: deque[Head]) -> Iterable[Head]:
        """Who waits in the lane, in order."""
        if len(lane) > 2 * len(self._in_line) + MOST_HEADS:
            still = [head for head in lane if head.id in self._in_line]
            lane.clear()
            lane.extend(still)
        return (head for head in lane if head.id in self._in_line)

    def _excluded(self, heads: Sequence[Head]) -> Pairs:
        """Which of these may not go to whom at the moment."""
        return ()

    def _begin(self, now: float, head: Head, pair: Match) -> None:
        """The task is with its agent from now on."""
        raise NotImplementedError


_ARRIVES, _LEAVES, _FREE, _SWEEPS = range(4)


class _Play(Day):
    """One run."""

    def __init__(self, scenario: Scenario, decide: Decide, tell: Callable[[int, int], None]) -> None:
        super().__init__(decide, scenario.policy)
        self._scenario, self._tell = scenario, tell
        streams = [Random(f"{scenario.seed}/{what}") for what in ("gaps", "kinds", "handling", "patience")]  # noqa: S311
        gaps, self._kinds, self._handling, self._patience = streams
        self._many = _many(scenario)
        self._moments = islice(_moments(scenario, gaps), self._many)
        self._shares = list(accumulate(one.share for one in scenario.demand))
        self._lanes = {kind: deque() for kind in range(len(scenario.demand))}
        agents = [group.skills for group in scenario.staff for _ in range(group.agents)]
        self._skills = dict(enumerate(agents, 1))
        self._free = {number: Candidate(number, float(number), skills) for number, skills in self._skills.items()}
        self._batches = [_Batch() for _ in range(BATCHES)]
        self._waits = array("d")
        self._of_tier: dict[int, tuple[int, float]] = {}
        self._clock = self._arrived_at = self._busy_s = 0.0

    def run(self) -> Outcome:
        """Until the last of them has been answered, or has left."""
        self._next_arrival(0)
        if self._scenario.sweep_s:
            self._push(self._scenario.sweep_s, _SWEEPS, 0)
        handlers: tuple[Callable[[float, Any], None], ...] = (self._arrives, self._leaves, self._is_free, self._sweeps)
        events, everybody = self._events, len(self._skills)
        while events:
            now, _, what, which = heapq.heappop(events)
            self._busy_s += (everybody - len(self._free)) * (now - self._clock)
            self._clock = now
            handlers[what](now, which)
        self._tell(self._many, self._many)
        return self._outcome()

    def _next_arrival(self, number: int) -> None:
        at = next(self._moments, None)
        if at is not None:
            self._push(at, _ARRIVES, number)

    def _batch(self, number: int) -> _Batch | None:
        counted = number - self._scenario.warm_up
        return self._batches[counted * BATCHES // (self._many - self._scenario.warm_up)] if counted >= 0 else None

    # --- what happens --------------------------------------------------------------------------------------------

    def _arrives(self, now: float, number: int) -> None:
        self._next_arrival(number + 1)
        if number % 1_000 == 0:
            self._tell(number, self._many)
        scenario, since = self._scenario, now * 1_000
        kind = 0 if len(self._lanes) == 1 else self._kind()
        demand = scenario.demand[kind]
        rank = -since if demand.newest_first else since
        head = Head(number, demand.tier, rank, demand.needs, since, Channel.call, demand.rules)
        (self._lanes[kind].appendleft if demand.newest_first else self._lanes[kind].append)(head)
        self._in_line.add(number)
        batch = self._batch(number)
        if batch:
            batch.offered += 1
            batch.busy_s += self._busy_s
            batch.seconds += now - self._arrived_at
        self._arrived_at, self._busy_s = now, 0.0
        patience = self._patience.expovariate(1 / scenario.patience_s) if scenario.patience_s else 0.0
        if self._free:
            self._round(now)
        if number in self._in_line:
            if batch:
                batch.waited += 1
            if patience:
                self._push(now + patience, _LEAVES, head)

    def _kind(self) -> int:
        point = self._kinds.random() * self._shares[-1]
        return next(place for place, share in enumerate(self._shares) if point < share)

    def _leaves(self, now: float, head: Head) -> None:
        if head.id not in self._in_line:
            return
        self._in_line.remove(head.id)
        if batch := self._batch(head.id):
            waited = (now * 1_000 - head.since) / 1_000
            batch.left += 1
            batch.left_in_time += waited <= self._scenario.target_s
            batch.left_s += waited

    def _is_free(self, now: float, agent: int) -> None:
        self._free[agent] = Candidate(agent, now * 1_000, self._skills[agent])
        if self._in_line:
            self._round(now)

    def _sweeps(self, now: float, _: int) -> None:
        if self._in_line and self._free:
            self._round(now)
        if self._events:
            self._push(now + self._scenario.sweep_s, _SWEEPS, 0)

    def _begin(self, now: float, head: Head, pair: Match) -> None:
        del self._free[pair.agent]
        self._in_line.remove(head.id)
        self._push(now + self._handling.expovariate(1 / self._scenario.handle_s), _FREE, pair.agent)
        if batch := self._batch(head.id):
            waited = (now * 1_000 - head.since) / 1_000
            batch.answered += 1
            batch.in_time += waited <= self._scenario.target_s
            batch.answered_s += waited
            self._waits.append(waited)
            many, seconds = self._of_tier.get(head.tier, (0, 0.0))
            self._of_tier[head.tier] = many + 1, seconds + waited

    # --- figures -------------------------------------------------------------------------------------------------

    def _outcome(self) -> Outcome:
        rows = [batch.figures() for batch in self._batches if batch.offered]
        total = _Batch()
        for batch in self._batches:
            for name, value in vars(batch).items():
                setattr(total, name, getattr(total, name) + value)
        everybody = len(self._skills)
        errors = [_error(column) for column in zip(*rows, strict=True)]
        figures = [Figure(value, error) for value, error in zip(total.figures(), errors, strict=True)]
        *of_persons, busy = figures
        occupancy = Figure(busy.value / everybody, busy.error / everybody)
        p_wait, in_time, in_time_4, asa_s, mean_s, left = of_persons
        return Outcome(p_wait, in_time, in_time_4, asa_s, mean_s, left, occupancy, sorted(self._waits),
                       {tier: seconds / many for tier, (many, seconds) in sorted(self._of_tier.items())},
                       total.offered, total.seconds / 3_600)


def _error(column: Iterable[float]) -> float:
    values = list(column)
    return T_95 * statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.inf
