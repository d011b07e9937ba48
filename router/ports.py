"""What we ask of the outside, in our words. No vendor's names, no TwiML.

Each port has a real adapter and a local twin in `integrations/`; courier, web and actions see only these types.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class OutsideError(Exception):
    """An outside party did not do what was asked."""


class Refused(OutsideError):
    """The party said no and did nothing. `permanent`: asking again will not help. `code` is the party's own."""

    def __init__(self, reason: str, *, permanent: bool, code: str = "") -> None:
        super().__init__(reason)
        self.permanent = permanent
        self.code = code


class Uncertain(OutsideError):
    """No answer, or one that does not say: it may or may not have been done. Never blindly ask again."""


class LegRole(StrEnum):
    agent = "agent"
    customer = "customer"


@dataclass(frozen=True)
class LegOrder:
    """A telephone leg to be placed into a named room.

    `ref` is our own unguessable name of the leg: it comes back with every callback about it. `room_ref` likewise for
    the room. `to` is E.164, or `client:name` for a soft phone. Times in seconds.
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


@dataclass(frozen=True)
class MessageOrder:
    """A text message. `ref` is our own unguessable name of it; it comes back with every callback."""

    ref: str
    to: str
    sender: str
    text: str


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


class MessageStage(StrEnum):
    queued = "queued"
    sent = "sent"
    delivered = "delivered"
    failed = "failed"


@dataclass(frozen=True)
class MessageMoved:
    ref: str
    carrier_id: str
    stage: MessageStage
    error_code: str = ""


@dataclass(frozen=True)
class MessageArrived:
    carrier_id: str
    sender: str
    to: str
    text: str


CarrierEvent = LegMoved | RoomMoved | MessageMoved | MessageArrived


@dataclass(frozen=True)
class Webhook:
    """A request from outside as it came: `path` is the raw path with its query, byte for byte."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Participant:
    carrier_id: str
    role: LegRole | None
    on_hold: bool = False


@dataclass(frozen=True)
class LegFound:
    """What the carrier says of one leg when asked."""

    carrier_id: str
    stage: LegStage
    outcome: LegOutcome = LegOutcome.none


class Carrier(Protocol):
    """A telephone company. Every method raises Refused or Uncertain, nothing else."""

    async def place_leg(self, order: LegOrder) -> str:
        """Call `order.to` into the room; the carrier's id of the leg."""

    async def end_room(self, room: str) -> None:
        """Hang up everybody in the room. A room that has ended already is not an error."""

    async def end_leg(self, carrier_id: str) -> None:
        """Hang up one leg, also while it rings. A leg that has ended already is not an error."""

    async def hold(self, room: str, carrier_id: str, *, on: bool) -> None:
        """Put one leg of the room on hold, or take it back."""

    async def who_is_in(self, room: str) -> Sequence[Participant]:
        """Who is in the room now, ringing legs included; empty when there is no such room."""

    async def find_leg(self, carrier_id: str) -> LegFound:
        """The present state of one leg."""

    async def send_message(self, order: MessageOrder) -> str:
        """Send the text; the carrier's id of the message."""

    async def find_messages(self, to: str, since: datetime) -> Sequence[str]:
        """The carrier's ids of what we sent to this number since then (aware), to settle an uncertain message."""

    def genuine(self, webhook: Webhook) -> bool:
        """Whether the carrier itself sent this. Never raises."""

    def dedupe_key(self, webhook: Webhook) -> str:
        """The same for two deliveries of one event, different for two events."""

    def understand(self, webhook: Webhook) -> Sequence[CarrierEvent]:
        """What the webhook says, in our words; empty for what we do not need."""


@dataclass(frozen=True)
class SealKeys:
    """The company's seal and the embedded timestamp authority. PEM throughout; private keys are not encrypted here."""

    root_certificate: bytes
    issuing_certificate: bytes
    seal_certificate: bytes
    seal_key: bytes
    timestamp_certificate: bytes
    timestamp_key: bytes


@dataclass(frozen=True)
class Authority:
    """A company's own authority, made once. Sealing needs `keys` alone; renewals and revocations need the others.

    Both keys are PEM and not encrypted here.
    """

    keys: SealKeys
    root_key: bytes
    issuing_key: bytes


@dataclass(frozen=True)
class SealOrder:
    """A PDF to be sealed with its evidence attached. `timestamp_serial` is taken from a sequence and never reused."""

    pdf: bytes
    evidence: bytes
    keys: SealKeys
    timestamp_serial: int
    reason: str
    location: str


@dataclass(frozen=True)
class Sealed:
    """`level` is the level really reached, e.g. "PAdES B-T"; `time_source` is internal, external or qualified."""

    pdf: bytes
    level: str
    time_source: str


@dataclass(frozen=True)
class Check:
    """One line of a verification: what was looked at, whether it holds, and the particulars (codes and values)."""

    name: str
    holds: bool
    detail: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Inspection:
    """What a PDF's seal says of it. `checks` are integrity, revisions, signer, trust, time, level, in this order."""

    sealed: bool
    checks: Sequence[Check]


class TrustProvider(Protocol):
    """Seals PDFs and reads seals. Runs outside the event loop."""

    def make_authority(self, company: str, now: datetime) -> Authority:
        """A new root, issuing, seal and timestamp certificate in the company's name, valid from `now` (aware) on.

        Raises Refused (permanent) when the name is empty.
        """

    async def seal(self, order: SealOrder) -> Sealed:
        """Raises Refused (permanent) when the PDF cannot be sealed."""

    async def inspect(self, pdf: bytes, root_certificate: bytes) -> Inspection:
        """Never raises: an unreadable PDF is an inspection that says so."""
