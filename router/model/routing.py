"""Routing: who takes what. Pure and deterministic; no clock, no input or output.

Order of tasks: by tier, then by when the person began to wait. Order of agents: longest idle first, counting only
eligible time. Skills are a hard filter; a pair that was just rejected or missed is not made again for a while.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Head:
    """A task at the front of its lane. `rank` is milliseconds since 1970, less credit."""

    id: int
    tier: int
    rank: int
    skills: frozenset[str]


@dataclass(frozen=True)
class Candidate:
    """An agent with free capacity. `idle_since` is aware."""

    id: int
    idle_since: datetime
    skills: frozenset[str]


@dataclass(frozen=True)
class Match:
    """A task and who takes it, with reasons a person can read: codes and their values."""

    task: int
    agent: int
    why: Sequence[Mapping[str, Any]]


def match(
    heads: Iterable[Head], agents: Iterable[Candidate], now: datetime, excluded: Collection[tuple[int, int]] = ()
) -> list[Match]:
    """The pairs of this round, best first; each task and each agent at most once. `excluded` are (task, agent)."""
    free = sorted(agents, key=lambda agent: (agent.idle_since, agent.id))
    made: list[Match] = []
    for head in sorted(heads, key=lambda head: (head.tier, head.rank, head.id)):
        passed: list[dict[str, Any]] = []
        for agent in free:
            reason = _why_not(head, agent, excluded)
            if reason is None:
                made.append(Match(head.id, agent.id, _reasons(head, agent, now, passed)))
                free.remove(agent)
                break
            passed.append({"agent": agent.id, **reason})
        if not free:
            break
    return made


def _why_not(head: Head, agent: Candidate, excluded: Collection[tuple[int, int]]) -> dict[str, Any] | None:
    if missing := sorted(head.skills - agent.skills):
        return {"code": "lacks", "skills": missing}
    if (head.id, agent.id) in excluded:
        return {"code": "excluded"}
    return None


def _reasons(
    head: Head, agent: Candidate, now: datetime, passed: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    idle = round((now - agent.idle_since).total_seconds(), 1)
    waited = round(now.timestamp() - head.rank / 1000, 1)
    return [
        {"code": "first_in_tier", "tier": head.tier, "waited_s": waited},
        {"code": "has_skills", "skills": sorted(head.skills)},
        {"code": "longest_idle", "idle_s": idle},
        *({"code": "passed_over", "by": one} for one in passed),
    ]
