"""The carrier: calls and messages through Twilio's REST interface, or whatever speaks it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import aiohttp
from twilio.rest import Client

from integrations.carrier import prompts
from integrations.carrier.errors import our_errors
from integrations.carrier.media import MediaStore
from integrations.carrier.prompts import ROOM_EVENTS
from integrations.carrier.transport import CarrierTransport
from integrations.carrier.webhooks import DOOR, LEG_STATES, Webhooks, address, role
from router.ports import (
    Carrier,
    CarrierEvent,
    Channel,
    JoinOrder,
    LegFound,
    LegOrder,
    LegOutcome,
    LegStage,
    Media,
    MessageOrder,
    Participant,
    Prompt,
    Refused,
    Uncertain,
    Webhook,
)

LEG_EVENTS = ["initiated", "ringing", "answered", "completed"]
MOST_ROOMS, MOST_PARTICIPANTS, MOST_MESSAGES = 20, 250, 500
_DONE = {"complete", "failed"}
_NOT_JOINED = {"queued", "connecting", "ringing"}


class TwilioCarrier:
    """Implements `router.ports.Carrier`.

    `tokens`: the first one signs in, all are accepted in signatures, so that they can be rotated. `public_url` is
    where the carrier reaches us. `base_url` points every request at another host that speaks the same interface;
    without it the real one is used. Time-outs in seconds.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        account: str,
        tokens: Sequence[str],
        public_url: str,
        base_url: str | None = None,
        total: float = 10.0,
        connect: float = 3.0,
    ) -> None:
        base_urls = {"*": base_url} if base_url else {}
        transport = CarrierTransport(session, base_urls=base_urls, total=total, connect=connect)
        self._api: Any = Client(account, tokens[0], http_client=transport)  # type: ignore[no-untyped-call]
        self._hooks = Webhooks(account=account, tokens=tokens, public_url=public_url)
        self._media = MediaStore(session, account=account, token=tokens[0], base_url=base_url)
        self._public_url = public_url.rstrip("/")

    def _hook(self, door: str, ref: str) -> str:
        return f"{self._public_url}{DOOR}/{door}?ref={quote(ref, safe='')}"

    async def place_leg(self, order: LegOrder) -> str:
        # A room's name stands in for its id only here. The room's callback is asked for on every leg, because the
        # carrier takes the one of whoever comes first. Beep and the jitter buffer are words, not booleans.
        with our_errors():
            placed = await self._api.conferences(quote(order.room, safe="")).participants.create_async(
                from_=order.caller_id,
                to=order.to,
                label=order.label,
                timeout=order.ring_seconds,
                time_limit=order.longest_seconds,
                early_media=True,
                beep="false",
                start_conference_on_enter=True,
                end_conference_on_exit=order.ends_room,
                jitter_buffer_size="small",
                status_callback=self._hook("call", order.ref),
                status_callback_event=LEG_EVENTS,
                conference_status_callback=self._hook("room", order.room_ref),
                conference_status_callback_event=ROOM_EVENTS,
            )
            return _named(placed.call_sid)

    async def join(self, order: JoinOrder) -> None:
        markup = prompts.room_markup(order.ref, order.room, order.room_ref, self._hook, ends_room=order.ends_room)
        with our_errors():
            await self._api.calls(quote(order.carrier_id, safe="")).update_async(twiml=markup)

    async def tell(self, carrier_id: str, prompt: Prompt) -> None:
        markup = prompts.render(prompt, self._hook).decode()
        with our_errors():
            await self._api.calls(quote(carrier_id, safe="")).update_async(twiml=markup)

    def answer(self, prompt: Prompt) -> bytes:
        return prompts.render(prompt, self._hook)

    async def fetch(self, url: str) -> Media:
        return await self._media.fetch(url)

    async def end_room(self, room: str) -> None:
        for found in await self._rooms(room):
            # Ending a room hangs up who is in it; a leg that still rings has to be told itself.
            for person in await self._participants(found.sid):
                if person.status in _NOT_JOINED:
                    await self.end_leg(person.call_sid)
            with our_errors(absent=True):
                await self._api.conferences(found.sid).update_async(status="completed")

    async def end_leg(self, carrier_id: str) -> None:
        try:
            with our_errors(absent=True):
                await self._api.calls(quote(carrier_id, safe="")).update_async(status="completed")
        except Refused as error:
            # 21220: the call is not in a state that can be ended, which is what was wanted.
            if error.code != "21220":
                raise

    async def hold(self, room: str, carrier_id: str, *, on: bool) -> None:
        for found in await self._rooms(room):
            with our_errors():
                await self._api.conferences(found.sid).participants(quote(carrier_id, safe="")).update_async(hold=on)
            return
        raise Refused("the room has ended", permanent=True, code="20404")

    async def who_is_in(self, room: str) -> Sequence[Participant]:
        return [
            Participant(person.call_sid, role(person.label), bool(person.hold))
            for found in await self._rooms(room)
            for person in await self._participants(found.sid)
            if person.status not in _DONE
        ]

    async def find_leg(self, carrier_id: str) -> LegFound:
        with our_errors(reading=True):
            call = await self._api.calls(quote(carrier_id, safe="")).fetch_async()
            # A state the list may grow by is read as "placed", which no consumer takes for news.
            state = LEG_STATES.get(call.status, (LegStage.placed, LegOutcome.none))
            return LegFound(carrier_id, *state)

    async def send_message(self, order: MessageOrder) -> str:
        sender = "messaging_service_sid" if order.sender.startswith("MG") else "from_"
        with our_errors():
            sent = await self._api.messages.create_async(
                to=address(order.to, order.channel),
                body=order.text,
                status_callback=self._hook("message", order.ref),
                **{sender: order.sender if sender != "from_" else address(order.sender, order.channel)},
            )
            return _named(sent.sid)

    async def find_messages(self, to: str, since: datetime, channel: Channel = Channel.sms) -> Sequence[str]:
        # The carrier may compare by day only and its times have whole seconds: ask for more, then look ourselves.
        start = since.astimezone(UTC).replace(microsecond=0)
        with our_errors(reading=True):
            found = await self._api.messages.list_async(
                to=address(to, channel), date_sent_after=start.replace(hour=0, minute=0, second=0), limit=MOST_MESSAGES
            )
        return [each.sid for each in found if each.direction != "inbound" and _at_or_after(each.date_created, start)]

    def genuine(self, webhook: Webhook) -> bool:
        return self._hooks.genuine(webhook)

    def dedupe_key(self, webhook: Webhook) -> str:
        return self._hooks.dedupe_key(webhook)

    def understand(self, webhook: Webhook) -> Sequence[CarrierEvent]:
        return self._hooks.understand(webhook)

    async def _rooms(self, room: str) -> list[Any]:
        with our_errors(reading=True):
            found = await self._api.conferences.list_async(friendly_name=room, limit=MOST_ROOMS)
        return [each for each in found if each.friendly_name == room and each.status != "completed"]

    async def _participants(self, sid: str) -> list[Any]:
        people: list[Any] = []
        with our_errors(reading=True, absent=True):
            people = await self._api.conferences(sid).participants.list_async(limit=MOST_PARTICIPANTS)
        return people


def _named(sid: str | None) -> str:
    if not sid:
        raise Uncertain("the carrier's answer has no id")
    return sid


def _at_or_after(moment: datetime | None, start: datetime) -> bool:
    return moment is None or moment >= start


def _proof(carrier: TwilioCarrier) -> Carrier:
    """mypy's proof that the adapter is a Carrier."""
    return carrier
