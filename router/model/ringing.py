"""Ringing: what an agent does when something rings at him, in a recorded stretch that is played again.

Where the same thing rings at the same agent as in reality, he answers as he did. Anything else is drawn from his own
share of misses, rejects and unanswered telephones, with what is of the same queue and kind; the fewer of his rings are
on record, the more counts the share of all of them. The draws belong to the item and to how often it has rung, so that
two policies are compared on the same day.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import NamedTuple

from router.model.recording import Answer, Desk, Item, Ring
from router.model.tasks import TaskKind

Group = tuple[int, TaskKind]
"""A queue and a kind of task: alike enough for one to stand for another."""

COUNTS_AS = 10
"""What all agents do counts in an agent's share as so many rings of his own."""


def group_of(item: Item) -> Group:
    """What stands for it."""
    return item.queue, item.kind


class Shares(NamedTuple):
    """How often something rang, and how often it came to nothing in which way."""

    rings: int
    refused: Mapping[Answer, int]

    def beside(self, everybody: "Shares", answer: Answer) -> float:
        """An agent's share of this answer, drawn towards everybody's."""
        theirs = everybody.refused.get(answer, 0) / (everybody.rings or 1)
        return (self.refused.get(answer, 0) + COUNTS_AS * theirs) / (self.rings + COUNTS_AS)


NEVER_RANG = Shares(0, {})


class Answers:
    """What the agents of a recording answer, from its items and desks."""

    def __init__(self, items: Iterable[Item], desks: Sequence[Desk]) -> None:
        self._of: dict[tuple[Group, int], Shares] = {}
        self._of_all: dict[Group, Shares] = {}
        self._seconds: dict[tuple[Group, Answer], list[float]] = defaultdict(list)
        self._rests = {desk.id: _rests(desk) for desk in desks}
        self._all_rests = sorted(seconds for rests in self._rests.values() for seconds in rests)
        self._count(items)

    def _count(self, items: Iterable[Item]) -> None:
        rings: Counter[tuple[Group, int]] = Counter()
        refused: dict[tuple[Group, int], Counter[Answer]] = defaultdict(Counter)
        for item in items:
            group = group_of(item)
            for ring in item.rings:
                rings[group, ring.agent] += 1
                refused[group, ring.agent][ring.answer] += 1
                self._seconds[group, ring.answer].append(ring.seconds)
            if item.ring_s is not None and item.agent is not None:
                rings[group, item.agent] += 1
        for group in {group for group, _ in rings}:
            of_group = [key for key in rings if key[0] == group]
            together = Counter[Answer]()
            for key in of_group:
                self._of[key] = Shares(rings[key], refused[key])
                together += refused[key]
            self._of_all[group] = Shares(sum(rings[key] for key in of_group), together)

    def share(self, group: Group, agent: int, answer: Answer) -> float:
        """How likely this agent gives this answer to something of the group."""
        everybody = self._of_all.get(group, NEVER_RANG)
        return self._of.get((group, agent), NEVER_RANG).beside(everybody, answer)

    def to(self, item: Item, agent: int, before: Sequence[int], lot: str) -> Ring | None:
        """What comes of its ringing at this agent, after it rang at those before; None: he takes it. `lot` is what
        its draws come from."""
        at_him = [ring for ring in item.rings if ring.agent == agent]
        again = sum(one == agent for one in before)
        if again < len(at_him):
            return at_him[again]
        if again == len(at_him) and item.agent == agent and item.ring_s is not None:
            return None
        return self._drawn(group_of(item), agent, Random(f"{lot}/{len(before)}"))  # noqa: S311  a draw, no secret

    def _drawn(self, group: Group, agent: int, chance: Random) -> Ring | None:
        point = chance.random()
        for answer in Answer:
            point -= self.share(group, agent, answer)
            if point < 0:
                return Ring(agent, answer, chance.choice(self._seconds[group, answer]))
        return None

    def rest_s(self, agent: int, before: int, lot: str) -> float | None:
        """For how many seconds he rests whom the house has paused because of what he missed, so many times before: as
        long as in reality, then as long as anybody did. None: nobody knows."""
        own = self._rests.get(agent, ())
        if before < len(own):
            return own[before]
        return Random(f"{lot}/rest").choice(self._all_rests) if self._all_rests else None  # noqa: S311


def _rests(desk: Desk) -> list[float]:
    return [rest.ends - rest.begins for rest in desk.rests if not rest.once]
