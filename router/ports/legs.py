"""Telephone legs and the rooms they meet in."""

from dataclasses import dataclass
from enum import StrEnum


class LegRole(StrEnum):
    """`colleague`: an agent who is asked before the customer is handed over to him."""

    agent = "agent"
    customer = "customer"
    colleague = "colleague"


@dataclass(frozen=True)
class LegOrder:
    """A telephone leg to be placed into a named room.

    `ref` is our own unguessable name of the leg: it comes back with every callback about it. `room_ref` likewise for
    the room. `to` is E.164, or `client:name` for a soft phone. Times in seconds. `shared_room`: one call follows the
    other in it.
    """

    ref: str
    room: str
    room_ref: str
    role: LegRole
    to: str
    caller_id: str
    ring_seconds: int
    longest_seconds: int = 7200
    ends_room: bool = False
    shared_room: bool = False

    @property
    def label(self) -> str:
        """What the leg is called in its room, where no two may be called the same: colleagues may follow each other,
        and customers where an agent stays on the line."""
        followed = self.role is LegRole.colleague or (self.shared_room and self.role is LegRole.customer)
        return f"{self.role.value}-{self.ref}" if followed else self.role.value


class LegStage(StrEnum):
    """Stages a leg passes, in order; a later one is never undone by an earlier one arriving late."""

    placed = "placed"
    ringing = "ringing"
    answered = "answered"
    ended = "ended"


class LegOutcome(StrEnum):
    none = ""
    completed = "completed"
    busy = "busy"
    no_answer = "no_answer"
    failed = "failed"
    canceled = "canceled"


@dataclass(frozen=True)
class LegMoved:
    ref: str
    carrier_id: str
    stage: LegStage
    outcome: LegOutcome = LegOutcome.none


class RoomChange(StrEnum):
    joined = "joined"
    left = "left"
    held = "held"
    unheld = "unheld"
    ended = "ended"


@dataclass(frozen=True)
class RoomMoved:
    """Something happened in a room. `role` and `carrier_id` name the leg it happened to, if any."""

    room_ref: str
    room: str
    change: RoomChange
    role: LegRole | None = None
    carrier_id: str = ""
