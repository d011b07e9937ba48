"""The outside as a test wants it: a carrier and a trust provider that write down all they did."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from integrations.trust.reading import pages
from router.book import Writing
from router.model.deliveries import Delivery
from router.ports import (
    Authority,
    CarrierEvent,
    Channel,
    Inspection,
    JoinOrder,
    LegFound,
    LegMoved,
    LegOrder,
    LegRole,
    LegStage,
    MailOrder,
    Media,
    MessageArrived,
    MessageMoved,
    MessageOrder,
    Participant,
    Prompt,
    RoomMoved,
    Sealed,
    SealKeys,
    SealOrder,
    Webhook,
)


class RecordingCarrier:
    """Does what it is asked, and remembers it in `done`.

    `refusing` are raised by the next requests of a verb before anything is done; `losing` after it was done. While
    `gate` is closed every request waits; `asked` is set when one has come.
    """

    def __init__(self) -> None:
        self.done: list[tuple[str, Any]] = []
        self.rooms: defaultdict[str, list[Participant]] = defaultdict(list)
        self.messages: defaultdict[str, list[str]] = defaultdict(list)
        self.legs: dict[str, LegFound] = {}
        self.media: dict[str, Media] = {}
        self.refusing: defaultdict[str, list[Exception]] = defaultdict(list)
        self.losing: defaultdict[str, list[Exception]] = defaultdict(list)
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()
        self.signed = True
        self.events: Sequence[CarrierEvent] = ()
        self.at_once = self.most_at_once = 0

    async def _come(self, verb: str) -> None:
        self.asked.set()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        if self.refusing[verb]:
            raise self.refusing[verb].pop(0)

    def _leave(self, verb: str, what: Any) -> str:
        self.done.append((verb, what))
        if self.losing[verb]:
            raise self.losing[verb].pop(0)
        return f"{verb}-{len(self.done)}"

    def of(self, verb: str) -> list[Any]:
        return [what for name, what in self.done if name == verb]

    def twice(self) -> list[str]:
        """The names of orders that were carried out more than once."""
        counts = Counter(what.ref for _, what in self.done if isinstance(what, LegOrder | MessageOrder))
        return [ref for ref, count in counts.items() if count > 1]

    async def place_leg(self, order: LegOrder) -> str:
        await self._come("place_leg")
        self.rooms[order.room].append(Participant(f"CA-{order.ref}", order.role))
        self._leave("place_leg", order)
        return f"CA-{order.ref}"

    async def end_room(self, room: str) -> None:
        await self._come("end_room")
        self.rooms.pop(room, None)
        self._leave("end_room", room)

    async def end_leg(self, carrier_id: str) -> None:
        await self._come("end_leg")
        self._leave("end_leg", carrier_id)

    async def hold(self, room: str, carrier_id: str, *, on: bool) -> None:
        await self._come("hold")
        self._leave("hold", (room, carrier_id, on))

    async def who_is_in(self, room: str) -> Sequence[Participant]:
        await self._come("who_is_in")
        return list(self.rooms.get(room, ()))

    async def find_leg(self, carrier_id: str) -> LegFound:
        await self._come("find_leg")
        if self.refusing["find_leg"]:
            raise self.refusing["find_leg"].pop(0)
        return self.legs.get(carrier_id, LegFound(carrier_id, LegStage.placed))

    async def send_message(self, order: MessageOrder) -> str:
        await self._come("send_message")
        self.messages[order.to].append(f"SM-{order.ref}")
        self._leave("send_message", order)
        return f"SM-{order.ref}"

    async def join(self, order: JoinOrder) -> None:
        await self._come("join")
        self.rooms[order.room].append(Participant(order.carrier_id, LegRole.customer))
        self._leave("join", order)

    async def tell(self, carrier_id: str, prompt: Prompt) -> None:
        await self._come("tell")
        self._leave("tell", (carrier_id, prompt))

    def answer(self, prompt: Prompt) -> bytes:
        return repr(prompt).encode()

    async def fetch(self, url: str) -> Media:
        await self._come("fetch")
        self._leave("fetch", url)
        return self.media.get(url, Media(b"bytes", "image/png"))

    async def find_messages(self, to: str, since: datetime, channel: Channel = Channel.sms) -> Sequence[str]:
        await self._come("find_messages")
        return list(self.messages[to])

    def genuine(self, webhook: Webhook) -> bool:
        return self.signed

    def dedupe_key(self, webhook: Webhook) -> str:
        return webhook.body.decode()

    def understand(self, webhook: Webhook) -> Sequence[CarrierEvent]:
        """A body such as b"leg:REF" is a leg that rings; anything else what `events` says."""
        word, _, ref = webhook.body.decode().partition(":")
        return (LegMoved(ref, "CA1", LegStage.ringing),) if word == "leg" else self.events


KEYS = SealKeys(b"", b"", b"", b"", b"", b"")
SEAL_ORDER = SealOrder(b"%PDF", b"{}", KEYS, 1, "offer", "Madrid")


class RecordingTrust:
    """Seals by adding a word."""

    def __init__(self) -> None:
        self.orders: list[SealOrder] = []
        self.refusing: list[Exception] = []

    def make_authority(self, company: str, now: datetime) -> Authority:
        return Authority(KEYS, b"", b"")

    async def seal(self, order: SealOrder) -> Sealed:
        self.orders.append(order)
        if self.refusing:
            raise self.refusing.pop(0)
        return Sealed(order.pdf + b" sealed", "PAdES B-T", "internal")

    async def inspect(self, pdf: bytes, root_certificate: bytes) -> Inspection:
        return Inspection(False, ())

    async def read(self, pdf: bytes) -> Sequence[str] | None:
        return pages(pdf)


@dataclass
class Told:
    """Stands where the house's verbs stand; each thing told is a fact too, so that it lives or dies with its commit.

    `stumbling` are raised, one each time a verb of that name is called.
    """

    heard: list[tuple[str, Any]] = field(default_factory=list)
    stumbling: defaultdict[str, list[Exception]] = field(default_factory=lambda: defaultdict(list))

    def _hear(self, w: Writing, verb: str, what: Any) -> None:
        w.fact(f"told.{verb}")
        if self.stumbling[verb]:
            raise self.stumbling[verb].pop(0)
        self.heard.append((verb, what))

    async def leg_placed(self, w: Writing, delivery: Delivery, carrier_id: str, /) -> None:
        self._hear(w, "leg_placed", carrier_id)

    async def leg_failed(self, w: Writing, delivery: Delivery, reason: str, /) -> None:
        self._hear(w, "leg_failed", reason)

    async def held(self, w: Writing, delivery: Delivery, /) -> None:
        self._hear(w, "held", delivery.order["on"])

    async def message_placed(self, w: Writing, delivery: Delivery, carrier_id: str, /) -> None:
        self._hear(w, "message_placed", carrier_id)

    async def message_failed(self, w: Writing, delivery: Delivery, code: str, /) -> None:
        self._hear(w, "message_failed", code)

    async def mail_order(self, w: Writing, delivery: Delivery, /) -> MailOrder:
        self._hear(w, "mail_order", delivery.ref)
        return MailOrder(delivery.ref, "ana@example.com", "hola@luz.example", "Hola", "Hola", "<p>Hola")

    async def seal_order(self, w: Writing, signing_id: int, /) -> SealOrder:
        self._hear(w, "seal_order", signing_id)
        return SEAL_ORDER

    async def sealed(self, w: Writing, signing_id: int, sealed: Sealed, /) -> None:
        self._hear(w, "sealed", sealed.pdf)

    async def on_event(self, w: Writing, event: LegMoved | RoomMoved, /) -> None:
        self._hear(w, "on_event", event)

    async def message_moved(self, w: Writing, event: MessageMoved, /) -> None:
        self._hear(w, "message_moved", event)

    async def message_arrived(self, w: Writing, event: MessageArrived, /) -> None:
        self._hear(w, "message_arrived", event)


LEG: Mapping[str, Any] = {
    "ref": "leg-ref", "room": "room-1", "room_ref": "room-ref", "role": LegRole.customer.value, "to": "+12025550101",
    "caller_id": "+34910000000", "ring_seconds": 25, "ends_room": True,
}
