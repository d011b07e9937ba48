"""Announcements: a text tells a person of a call before it comes, and what became of that text. Pure."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from router.model.deliveries import DeliveryState

DELIVERED, FAILED = 3, 4
"""A delivery's `progress` when the carrier has said that the text arrived, or that it did not."""


class Fate(StrEnum):
    """`under_way`: it has left, or is about to, and nothing was heard of it yet. `unknown`: nobody can say whether it
    was sent."""

    delivered = "delivered"
    failed = "failed"
    unknown = "unknown"
    under_way = "under_way"


class Announced(NamedTuple):
    """A text that told of a call: when (aware), by which channel (a guard's word), and what became of it. `due_at`
    (aware) is when the call was to come at the earliest, None where nobody noted it; `again`: it was announced for
    another time before."""

    at: datetime
    channel: str
    fate: Fate
    due_at: datetime | None = None
    again: bool = False


def fate_of(state: DeliveryState, progress: int) -> Fate:
    """What became of a text, by its delivery. What the carrier said of its arrival is stronger than what we know of its
    leaving."""
    if progress == DELIVERED:
        return Fate.delivered
    if state in (DeliveryState.unknown, DeliveryState.abandoned):
        return Fate.unknown
    return Fate.failed if progress == FAILED or state is DeliveryState.failed else Fate.under_way
