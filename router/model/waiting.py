"""Waiting: the moment at which somebody who waits is told he will be reached.

A moment once told only comes nearer, whatever is reckoned later: somebody more urgent who steps in before him, or talks
that take longer than usual, are not his concern. It moves away for one cause alone: fewer agents are there than when it
was told. When it has passed, he is told "any moment now", and no later moment instead.
"""

import math
from datetime import datetime, timedelta
from typing import NamedTuple

ENOUGH = 20
"""From so many talks on their mean is believed; until then, what the queue is configured with."""
RECENT = timedelta(hours=8)
"""Talks that ended longer ago tell nothing of today."""
NEARER = timedelta(seconds=10)
"""A moment nearer by less is not worth telling anew."""


class Standing(NamedTuple):
    """Where he stands: `ahead` of him in the line wait so many for the same people; of the agents who could serve him
    so many are `present`, and of them `ready`; one serves somebody for `handle_seconds` and is rung for
    `ring_seconds`."""

    ahead: int
    present: int
    ready: int
    handle_seconds: float
    ring_seconds: int


class Told(NamedTuple):
    """The moment told (aware), and how many agents were present then."""

    at: datetime
    present: int


def reckoned(standing: Standing, now: datetime) -> Told | None:
    """When he would be reached as it stands; None when nobody is there.

    Who is ready takes the first in line at once. Then one of `present` becomes free every `handle_seconds` / `present`,
    for each who is still before him and then for him.
    """
    if not standing.present:
        return None
    turns = max(0, standing.ahead + 1 - standing.ready)
    seconds = max(standing.ring_seconds, turns * standing.handle_seconds / standing.present)
    return Told(now + timedelta(seconds=seconds), standing.present)


def told(before: Told | None, fresh: Told | None) -> Told | None:
    """What he is told, who was told `before`, when `fresh` is what would be reckoned now; None: nothing can be said."""
    if before is None or fresh is None or fresh.present < before.present:
        return fresh
    return fresh if fresh.at + NEARER <= before.at else before


def minutes(of: Told, now: datetime) -> int:
    """In how many minutes it will be, begun ones counted whole; 0 when it may be any moment."""
    return max(0, math.ceil((of.at - now).total_seconds() / 60))
