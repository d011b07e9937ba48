"""Lots: what is not on record of who came in a stretch, drawn by the seed.

Who left leaves after as long. Of who was answered or given up nobody knows how long he would have stayed: that long at
least, and from there on as the exponential distribution says whose mean is the likeliest for his queue, all its waiting
divided by those who left. Where nobody left, everybody stays. What never came to anybody rings and lasts as long as one
of the same queue that did. The draws belong to the items, so that two policies are compared on the same day.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import NamedTuple

from router.model.recording import End, Item
from router.model.ringing import Group, group_of


class Patience(NamedTuple):
    """How long people of a group stay in the mean (seconds), from so many who left; None where nobody did."""

    mean_s: float | None
    left: int


class Lot(NamedTuple):
    """What an item brings with it, whoever takes it: seconds of ringing and of handling, and when it leaves the line
    if nobody has come by then. `name` is what is drawn for it from."""

    ring_s: float
    handle_s: float
    stays_s: float
    name: str


def patience(items: Iterable[Item]) -> dict[Group, Patience]:
    """The likeliest mean patience of each group: who was answered stayed that long at least."""
    found: dict[Group, tuple[float, int]] = {}
    for item in items:
        waited, left = found.get(group_of(item), (0.0, 0))
        found[group_of(item)] = waited + item.waited_s, left + (item.end is End.abandoned)
    return {group: Patience(waited / left if left else None, left) for group, (waited, left) in found.items()}


def lots(items: Sequence[Item], seed: int) -> list[Lot]:
    """What each item brings with it; the same for the same seed."""
    stays = patience(items)
    taken: dict[Group | None, list[tuple[float, float]]] = {}
    for item in items:
        if item.ring_s is not None and item.handle_s is not None:
            taken.setdefault(group_of(item), []).append((item.ring_s, item.handle_s))
            taken.setdefault(None, []).append((item.ring_s, item.handle_s))
    return [_lot(item, seed, stays[group_of(item)], taken) for item in items]


def _lot(
    item: Item, seed: int, stays: Patience, taken: Mapping[Group | None, Sequence[tuple[float, float]]]
) -> Lot:
    name = f"{seed}/{item.task}"
    chance = Random(name)  # noqa: S311  a draw, not a secret
    ring_s, handle_s = item.ring_s, item.handle_s
    if ring_s is None or handle_s is None:
        ring_s, handle_s = chance.choice(taken.get(group_of(item)) or taken.get(None) or [(0.0, 0.0)])
    if item.end in (End.abandoned, End.withdrawn):
        return Lot(ring_s, handle_s, item.waited_s, name)
    more = math.inf if stays.mean_s is None else chance.expovariate(1 / stays.mean_s) if stays.mean_s else 0.0
    return Lot(ring_s, handle_s, item.waited_s + more, name)
