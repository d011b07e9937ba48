"""A telephone company."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from router.ports.callers import CallArrived, CallerMoved, CallerTurned, JoinOrder, Media, MessageSpoken, Prompt
from router.ports.legs import LegMoved, LegOrder, LegOutcome, LegRole, LegStage, RoomMoved
from router.ports.messages import Channel, MessageArrived, MessageMoved, MessageOrder

CarrierEvent = (
    LegMoved | RoomMoved | MessageMoved | MessageArrived | CallArrived | CallerTurned | CallerMoved | MessageSpoken
)


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

    async def join(self, order: JoinOrder) -> None:
        """Take a caller out of his waiting into the room. Asked twice he would be thrown out of it."""

    async def tell(self, carrier_id: str, prompt: Prompt) -> None:
        """Take a live call out of its room: its person hears the prompt instead."""

    def answer(self, prompt: Prompt) -> bytes:
        """The prompt as an answer to the webhook of a call, in XML."""

    async def send_message(self, order: MessageOrder) -> str:
        """Send the text; the carrier's id of the message."""

    async def find_messages(self, to: str, since: datetime, channel: Channel = Channel.sms) -> Sequence[str]:
        """The carrier's ids of what we sent to this number since then (aware), to settle an uncertain message."""

    async def fetch(self, url: str) -> Media:
        """What a message or a recording holds, 25 MB at most. Only the carrier's own addresses are asked."""

    def genuine(self, webhook: Webhook) -> bool:
        """Whether the carrier itself sent this. Never raises."""

    def dedupe_key(self, webhook: Webhook) -> str:
        """The same for two deliveries of one event, different for two events."""

    def understand(self, webhook: Webhook) -> Sequence[CarrierEvent]:
        """What the webhook says, in our words; empty for what we do not need."""
