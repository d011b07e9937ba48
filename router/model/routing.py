"""Routing: who takes what, and why. Pure and deterministic; no clock, no input or output.

Order of tasks: by tier; then who has waited so long that nobody may overtake him any more; then by the value that is
lost for each minute of waiting; then by rank, so among equals by when the person began to wait. Order of agents: as
the queue's rules say, longest idle unless they say otherwise. Skills with their levels, the pair just rejected, what an
agent holds already and what is kept for somebody else are filters; whoever is passed over by one has it as a reason.

All times are milliseconds since 1970, all spans seconds. A task carries the rules it was enqueued under.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import msgspec

Needs = Mapping[str, int]
"""Skills with the least level asked for."""
Reason = dict[str, Any]
"""A code and its values, to be put into words where it is shown."""


class AgentOrder(StrEnum):
    """Who of those who may take a task gets it. Whoever is equal by it: the longest idle."""

    longest_idle = "longest_idle"
    least_occupied = "least_occupied"
    most_skilled = "most_skilled"
    weighted_share = "weighted_share"


class Channel(StrEnum):
    """What a task occupies of its agent."""

    call = "call"
    chat = "chat"
    video = "video"


MOST_HEADS = 50
"""How many rows of a lane a round looks at, at most."""

ONE_OF_EACH: Mapping[Channel, int] = MappingProxyType(dict.fromkeys(Channel, 1))


class Rules(msgspec.Struct, frozen=True):
    """How a queue's tasks are given out, with the version they are printed under.

    A task is worth `value` and half of it after each `half_life_s` (0: it does not cool). By `deadline_s` of waiting
    it should be with somebody (0: none). Whoever has waited `floor_s` is overtaken by nobody of his tier (0: none).
    A source whose newest leads go first has a rank that falls with time, see `Head`.
    """

    version: int = 1
    agents_by: AgentOrder = AgentOrder.longest_idle
    value: float = 1.0
    half_life_s: float = 0.0
    deadline_s: float = 0.0
    floor_s: float = 0.0


PLAIN = Rules()


class Head(msgspec.Struct, frozen=True):
    """A task at the front of its lane. `rank` is its order there: the moment its person began to wait less any credit,
    or minus that moment where the newest is first (which puts it before those whom waiting costs as much). `since` is
    that moment itself. It is kept for the agent `prefers` until `prefers_until`, if he is there (`prefers_here`), or,
    where `only_he` may take it, in any case. `handle_s` is how long it is expected to take (0: nobody knows)."""

    id: int
    tier: int
    rank: float
    needs: Needs
    since: float
    channel: Channel = Channel.call
    rules: Rules = PLAIN
    prefers: int | None = None
    prefers_until: float = 0.0
    prefers_here: bool = False
    only_he: bool = False
    handle_s: float = 0.0


class Owed(msgspec.Struct, frozen=True):
    """A call an agent has promised to make himself at a moment soon to come, and its task. The time is told in `zone`
    (IANA)."""

    at: float
    task: int
    zone: str = "UTC"


class Candidate(msgspec.Struct, frozen=True):
    """An agent who could be given something. `idle_since` counts eligible time only. `load` and `capacity` are tasks by
    channel; `occupied` is the share of his time spent with people today; `taken` and `weight` say how many he was given
    today and what his share of them is to be; `most` is how many he is given in a day (0: any). `owes` is the call he
    has promised next."""

    id: int
    idle_since: float
    skills: Needs
    load: Mapping[Channel, int] = {}
    capacity: Mapping[Channel, int] = ONE_OF_EACH
    occupied: float = 0.0
    taken: int = 0
    weight: float = 1.0
    most: int = 0
    owes: Owed | None = None


class Expected(msgspec.Struct, frozen=True):
    """So many fresh tasks that need this are predicted within the time a nurture call takes to be placed."""

    needs: Needs
    tasks: float


class Policy(msgspec.Struct, frozen=True):
    """What holds for all queues of a pool. `beside` is the matrix: a task of the first channel may come in while its
    agent holds one of the second. Tasks of a tier from `nurture_from` on leave enough agents free for what is
    `expected`, unless they are `owed` their share of the day."""

    beside: Collection[tuple[Channel, Channel]] = frozenset(
        {(Channel.chat, Channel.chat), (Channel.call, Channel.chat)}
    )
    nurture_from: int = 5
    expected: Sequence[Expected] = ()
    owed: bool = False


ORDINARY = Policy()


class Match(msgspec.Struct, frozen=True):
    """A task and who takes it, with reasons a person can read. What was kept for an agent costs him no turn."""

    task: int
    agent: int
    why: Sequence[Reason]
    costs_turn: bool = True


def match(
    heads: Iterable[Head], agents: Iterable[Candidate], now: float, policy: Policy = ORDINARY,
    excluded: Collection[tuple[int, int]] = (),
) -> list[Match]:
    """The pairs of this round, best first; each task and each agent at most once. `excluded` are (task, agent).

    Whatever the order its arguments come in, the answer is the same.
    """
    free = sorted(agents, key=lambda one: (one.idle_since, one.id))
    if not free:
        return []
    made: list[Match] = []
    left: list[Head] = []
    judge = _Judge(policy, excluded)
    for head in sorted(heads, key=lambda one: urgency(one, now)):
        pair = _best(head, free, now, judge, left)
        if pair is None:
            left.append(head)
            continue
        made.append(pair)
        free = [one for one in free if one.id != pair.agent]
        if not free:
            break
    return made


def urgency(head: Head, now: float) -> tuple[int, bool, float, float, int]:
    """What tasks of one round are ordered by; the least is first."""
    rules = head.rules
    if rules is PLAIN:
        return head.tier, True, 0.0, head.rank, head.id
    if _overdue(head, now):
        return head.tier, False, head.since, head.rank, head.id
    return head.tier, True, -lost_per_minute(head, now), head.rank, head.id


def _overdue(head: Head, now: float) -> bool:
    return head.rules.floor_s > 0 and now - head.since >= head.rules.floor_s * 1000


def lost_per_minute(head: Head, now: float) -> float:
    """The value this task loses in the next minute of waiting: what cools, and what is left to lose at its deadline
    spread over the time until then. After the deadline that part is lost, and hurries nobody any more."""
    rules, waited = head.rules, max(0.0, (now - head.since) / 1000)
    left = rules.value
    lost = 0.0
    if rules.half_life_s > 0:
        left *= 0.5 ** (waited / rules.half_life_s)
        lost = left * (1 - 0.5 ** (60 / rules.half_life_s))
    if rules.deadline_s > waited:
        lost += left * min(1.0, 60 / (rules.deadline_s - waited))
    return lost


class _Judge:
    """Says for one round what `why_not` says. What is the same for all tasks that need the same is asked once."""

    def __init__(self, policy: Policy, excluded: Collection[tuple[int, int]]) -> None:
        self.policy, self.excluded = policy, excluded
        self._known: dict[tuple[Any, ...], dict[int, tuple[Reason | None, Reason | None]]] = {}

    def all(self, head: Head, agents: Sequence[Candidate]) -> list[Reason | None]:
        """Why each agent may not take this task, in order."""
        known = self._known.setdefault((head.channel, *sorted(head.needs.items())), {})
        for agent in agents:
            if agent.id not in known:
                lacking = None if skilled(agent.skills, head.needs) else _lacking(head, agent)
                known[agent.id] = lacking, _no_room(head, agent, self.policy)
        said = [known[agent.id] for agent in agents]
        if not self.excluded:
            return [lacking or no_room for lacking, no_room in said]
        return [
            lacking or (_EXCLUDED if (head.id, agent.id) in self.excluded else no_room)
            for agent, (lacking, no_room) in zip(agents, said, strict=True)
        ]


_EXCLUDED: Reason = {"code": "excluded"}


def _best(head: Head, free: Sequence[Candidate], now: float, judge: _Judge, left: Sequence[Head]) -> Match | None:
    """`left` are the more urgent tasks for which nobody was found."""
    policy, kept = judge.policy, _kept_for(head, now, judge.excluded)
    able: list[Candidate] = []
    passed: list[Reason] = []
    for agent, reason in zip(free, judge.all(head, free), strict=True):
        if reason is None and agent.owes is not None:
            reason = keeps_him(head, agent, now, policy)
        if reason is None and left and agent.load:
            reason = _makes_room(head, agent, policy, left)
        if reason is None and head.tier >= policy.nurture_from and not policy.owed:
            reason = _kept_free(agent, free, policy)
        if reason is None and kept is not None and agent.id != kept:
            reason = _kept_reason(head, kept, now)
        if reason is None:
            able.append(agent)
        else:
            passed.append({"code": "passed_over", "by": {"agent": agent.id, **reason}})
    if not able:
        return None
    preferred = next((one for one in able if one.id == head.prefers), None)
    best = preferred or _first(able, head)
    why = [
        _urgent(head, now),
        {"code": "has_skills", "needs": dict(head.needs)},
        {"code": "preferred"} if preferred else _chosen(head, best, now),
        *passed,
        {"code": "rules", "version": head.rules.version},
    ]
    if len(able) > 1:
        why.append({"code": "later_in_order", "agents": [one.id for one in able if one is not best]})
    return Match(head.id, best.id, why, preferred is None)


def also_passed_over(
    found: Match, head: Head, others: Iterable[Candidate], now: float, policy: Policy = ORDINARY,
    excluded: Collection[tuple[int, int]] = (),
) -> Match:
    """The match with those among its reasons who were free, but could take nothing of what waited."""
    reasons = (
        (other.id, why_not(head, other, policy, excluded) or keeps_him(head, other, now, policy)) for other in others
    )
    passed = [
        {"code": "passed_over", "by": {"agent": agent_id, **reason}}
        for agent_id, reason in reasons if reason is not None
    ]
    place = next((n for n, reason in enumerate(found.why) if reason["code"] == "rules"), len(found.why))
    return Match(found.task, found.agent, [*found.why[:place], *passed, *found.why[place:]], found.costs_turn)


def _kept_for(head: Head, now: float, excluded: Collection[tuple[int, int]]) -> int | None:
    """Who it is kept for at the moment. An owner who is away, or has just said no, keeps nobody waiting; but where only
    he may take it, everybody waits for him."""
    if head.only_he:
        return head.prefers
    if head.prefers is None or not head.prefers_here or now >= head.prefers_until:
        return None
    return None if (head.id, head.prefers) in excluded else head.prefers


def _kept_reason(head: Head, owner: int, now: float) -> Reason:
    if head.only_he:
        return {"code": "only_owner", "owner": owner}
    return {"code": "kept_for", "owner": owner, "for_s": round((head.prefers_until - now) / 1000, 1)}


def keeps_him(head: Head, agent: Candidate, now: float, policy: Policy = ORDINARY) -> Reason | None:
    """Whether this task would keep him beyond the time at which he has promised to call somebody; then the reason. What
    a call may come in beside does not; nor does the promised call itself."""
    owes = agent.owes
    if owes is None or now >= owes.at or head.id == owes.task or now + head.handle_s * 1000 <= owes.at:
        return None
    if (Channel.call, head.channel) in policy.beside:
        return None
    return {"code": "has_promised", "at": owes.at, "zone": owes.zone}


def _first(able: Sequence[Candidate], head: Head) -> Candidate:
    """`able` comes longest idle first, so `min` keeps that order among equals."""
    match head.rules.agents_by:
        case AgentOrder.longest_idle:
            return able[0]
        case AgentOrder.least_occupied:
            return min(able, key=lambda one: one.occupied)
        case AgentOrder.most_skilled:
            return max(able, key=lambda one: _skill(head, one))
        case AgentOrder.weighted_share:
            return min(able, key=_share)


def _skill(head: Head, agent: Candidate) -> int:
    return sum(agent.skills.get(skill, 0) for skill in head.needs)


def _share(agent: Candidate) -> float:
    return agent.taken / agent.weight if agent.weight > 0 else math.inf


def skilled(skills: Needs, needs: Needs) -> bool:
    """Whether these skills are enough for what is needed."""
    return all(skills.get(skill, 0) >= level for skill, level in needs.items())


def why_not(
    head: Head, agent: Candidate, policy: Policy = ORDINARY, excluded: Collection[tuple[int, int]] = ()
) -> Reason | None:
    """Why this agent may not take this task whatever else waits, or None when he may."""
    if not skilled(agent.skills, head.needs):
        return _lacking(head, agent)
    return _EXCLUDED if (head.id, agent.id) in excluded else _no_room(head, agent, policy)


def _no_room(head: Head, agent: Candidate, policy: Policy) -> Reason | None:
    if agent.most and agent.taken >= agent.most:
        return {"code": "day_full", "most": agent.most}
    if agent.capacity.get(head.channel, 0) <= agent.load.get(head.channel, 0):
        return {"code": "full", "channel": head.channel.value}
    if agent.load and (beside := _in_the_way(head.channel, agent, policy)) is not None:
        return {"code": "not_beside", "channel": head.channel.value, "holds": beside.value}
    return None


def takes(agent: Candidate, policy: Policy = ORDINARY) -> list[Channel]:
    """The channels of which this agent may be given something at the moment."""
    if agent.most and agent.taken >= agent.most:
        return []
    return [
        channel for channel in Channel
        if agent.capacity.get(channel, 0) > agent.load.get(channel, 0) and _in_the_way(channel, agent, policy) is None
    ]


def _lacking(head: Head, agent: Candidate) -> Reason:
    missing = sorted(skill for skill in head.needs if skill not in agent.skills)
    if missing:
        return {"code": "lacks", "skills": missing}
    below = {skill: level for skill, level in sorted(head.needs.items()) if agent.skills[skill] < level}
    return {"code": "level", "needs": below}


def _in_the_way(channel: Channel, agent: Candidate, policy: Policy) -> Channel | None:
    return next((held for held, load in agent.load.items() if load and (channel, held) not in policy.beside), None)


def _makes_room(head: Head, agent: Candidate, policy: Policy, left: Iterable[Head]) -> Reason | None:
    """Somebody more urgent waits for this agent, and only what he holds already is in the way: he is given no more of
    it, or the one would wait for as long as the others come."""
    for other in left:
        if (
            other.channel is not head.channel and skilled(agent.skills, other.needs)
            and _in_the_way(other.channel, agent, policy) is not None
        ):
            return {"code": "makes_room", "channel": other.channel.value, "task": other.id}
    return None


def _kept_free(agent: Candidate, free: Sequence[Candidate], policy: Policy) -> Reason | None:
    for one in policy.expected:
        if one.tasks > 0 and skilled(agent.skills, one.needs):
            others = sum(1 for other in free if other.id != agent.id and skilled(other.skills, one.needs))
            if others < one.tasks:
                return {"code": "kept_free", "needs": dict(one.needs), "expected": round(one.tasks, 1), "free": others}
    return None


def _urgent(head: Head, now: float) -> Reason:
    waited = {"tier": head.tier, "waited_s": round((now - head.since) / 1000, 1)}
    if _overdue(head, now):
        return {"code": "waited_longest", **waited}
    if lost := lost_per_minute(head, now):
        return {"code": "loses_most", **waited, "per_minute": round(lost, 3)}
    return {"code": "first_in_tier", **waited}


def _chosen(head: Head, agent: Candidate, now: float) -> Reason:
    order = head.rules.agents_by
    chosen: Reason = {"code": order.value, "idle_s": round((now - agent.idle_since) / 1000, 1)}
    match order:
        case AgentOrder.least_occupied:
            chosen["occupied"] = round(agent.occupied, 3)
        case AgentOrder.most_skilled:
            chosen["levels"] = {skill: agent.skills[skill] for skill in sorted(head.needs)}
        case AgentOrder.weighted_share:
            chosen["taken"], chosen["weight"] = agent.taken, agent.weight
        case AgentOrder.longest_idle:
            pass
    return chosen


def why_nothing(
    heads: Iterable[Head], agent: Candidate, now: float, policy: Policy = ORDINARY,
    excluded: Collection[tuple[int, int]] = (), many: Mapping[int, int] = {},
) -> list[Reason]:
    """Why nothing of what waits goes to this agent: each reason with the number of its tasks, most first. A head that
    stands for others like it has their number in `many`. Tasks he may take are counted as `matching`: the next round
    gives him one, or gives it to somebody before him."""
    counted: dict[str, tuple[int, Reason]] = {}
    for head in heads:
        kept = _kept_for(head, now, excluded)
        reason = why_not(head, agent, policy, excluded)
        if reason is None:
            reason = keeps_him(head, agent, now, policy)
        if reason is None:
            code = "only_owner" if head.only_he else "kept_for"
            reason = {"code": "matching"} if kept in (None, agent.id) else {"code": code, "owner": kept}
        key = repr(sorted(reason.items()))
        counted[key] = (counted.get(key, (0, reason))[0] + many.get(head.id, 1), reason)
    order = sorted(counted.items(), key=lambda one: (-one[1][0], one[0]))
    return [{**reason, "tasks": times} for _, (times, reason) in order]
