"""Simulated arrivals a minute with 50 agents and three skills, each decision with its reasons.

The limit beside it, in the same run and in alternation: the same simulation whose decision is empty, the first task to
the first agent. Run with `python -m tests.benchmarks.fair [--quick]`.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence

from router.model.routing import Candidate, Head, Match, Policy, match
from router.model.simulation import Decide, Demand, Pairs, Scenario, Staff, simulate

GOAL = 0.15
ROUNDS = 5


def first_to_first(
    heads: Sequence[Head], agents: Sequence[Candidate], now: float, policy: Policy, excluded: Pairs
) -> Sequence[Match]:
    return [Match(heads[0].id, agents[0].id, ())]


def scenario(arrivals: int) -> Scenario:
    return Scenario(
        (850.0,), 180.0,
        (Staff(20, {"es": 1}), Staff(20, {"es": 1, "it": 1}), Staff(10, {"es": 1, "it": 2, "solar": 1})),
        (Demand(0.6, {"es": 1}), Demand(0.3, {"it": 1}), Demand(0.1, {"it": 2, "solar": 1})),
        patience_s=300.0, arrivals=arrivals, warm_up=arrivals // 20,
    )


def a_minute(decide: Decide, arrivals: int) -> float:
    began = time.perf_counter()
    simulate(scenario(arrivals), decide)
    return arrivals / (time.perf_counter() - began) * 60


def main(quick: bool) -> int:
    arrivals = 20_000 if quick else 100_000
    ours: list[float] = []
    limit: list[float] = []
    for _ in range(3 if quick else ROUNDS):
        limit.append(a_minute(first_to_first, arrivals))
        ours.append(a_minute(match, arrivals))
    ratio = statistics.median(mine / least for mine, least in zip(ours, limit, strict=True))
    print(f"{'':44}{'arrivals/min':>14}{'µs each':>9}")
    for name, found in (("an empty decision", limit), ("match, 50 agents, 3 skills, with reasons", ours)):
        rate = statistics.median(found)
        print(f"{name:44}{rate:14,.0f}{60e6 / rate:9.1f}")
    print(json.dumps({"name": "fair", "ratio": round(ratio, 3), "goal": GOAL, "ok": ratio >= GOAL}))
    return 0 if ratio >= GOAL else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    sys.exit(main(parser.parse_args().quick))
