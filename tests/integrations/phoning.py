"""What the tests of carrier and phonebox share: a phonebox, our adapter before it, an ear for its callbacks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from integrations.carrier.twilio import TwilioCarrier
from integrations.http import client_session
from integrations.phonebox import Phonebox
from router.ports import CarrierEvent, LegOrder, LegRole, MessageOrder, Webhook
from tests.integrations.specification import Judge
from tests.keeping import door

TEMPLATES = Path(__file__).parents[2] / "templates"
ACCOUNT = "AC" + "0123456789abcdef" * 2
TOKEN = "a token for tests"
OURS, CUSTOMER, AGENT = "+34910000000", "+34600000001", "client:ana"
PATIENCE = 20.0


async def eventually(ask: Callable[[], Any]) -> Any:
    """The first true answer; a TimeoutError when none comes."""
    async with asyncio.timeout(PATIENCE):
        while True:
            answer = ask()
            found = await answer if isinstance(answer, Awaitable) else answer
            if found:
                return found
            await asyncio.sleep(0.005)


@dataclass
class Ear:
    """A server that hears callbacks and keeps them as they came."""

    url: str = ""
    heard: list[Webhook] = field(default_factory=list)

    async def hear(self, request: web.Request) -> web.Response:
        self.heard.append(Webhook(request.raw_path, dict(request.headers), await request.read()))
        return web.Response(status=204)


class Judged:
    """A session that shows every request and answer to the judge on the way."""

    def __init__(self, session: aiohttp.ClientSession, judge: Judge) -> None:
        self._session, self._judge = session, judge

    def get(self, url: Any, **question: Any) -> Any:
        """Bytes are not the specification's business."""
        return self._session.get(url, **question)

    @asynccontextmanager
    async def request(self, method: str, url: Any, **question: Any) -> AsyncIterator["Replayed"]:
        query = {**url.query, **(question.get("params") or {})}
        self._judge.request(method, url.raw_path, query, _listed(question.get("data") or {}))
        async with self._session.request(method, url, **question) as response:
            body = await response.read()
            self._judge.answer(method, url.raw_path, response.status, body)
            yield Replayed(response.status, response.headers, body)


def _listed(data: dict[str, Any]) -> dict[str, list[str]]:
    return {name: value if isinstance(value, list) else [str(value)] for name, value in data.items()}


@dataclass
class Replayed:
    status: int
    headers: Any
    body: bytes

    @property
    def content(self) -> "Replayed":
        return self

    async def iter_any(self) -> AsyncIterator[bytes]:
        yield self.body


@dataclass
class Line:
    """The whole line: phonebox, adapter, ear, and a plain session for the phone's owner."""

    box: Phonebox
    carrier: TwilioCarrier
    ear: Ear
    person: aiohttp.ClientSession
    judge: Judge | None

    def events(self) -> list[CarrierEvent]:
        return [event for webhook in self.ear.heard for event in self.carrier.understand(webhook)]

    async def heard(self, *wanted: CarrierEvent) -> None:
        await eventually(lambda: all(event in self.events() for event in wanted))

    async def phone(self, number: str) -> dict[str, Any]:
        async with self.person.get(f"{self.box.url}/phones/{number}.json") as response:
            assert response.status == 200
            phone: dict[str, Any] = await response.json()
            return phone

    async def press(self, number: str, button: str, **fields: str) -> int:
        async with self.person.post(f"{self.box.url}/phones/{number}/{button}", json=fields) as response:
            return response.status

    async def rings(self, number: str) -> dict[str, Any]:
        """Wait until this phone rings; its state."""

        async def ringing() -> dict[str, Any] | None:
            phone = await self.phone(number)
            return phone if any(leg["state"] == "ringing" for leg in phone["legs"]) else None

        found: dict[str, Any] = await eventually(ringing)
        return found

    def asked(self, method: str, ending: str) -> list[dict[str, Any]]:
        """The log's lines of such requests."""
        entries = [entry for entry in self.box.log.read() if entry["kind"] == "rest"]
        return [entry for entry in entries if entry["method"] == method and entry["path"].endswith(ending)]


@asynccontextmanager
async def line(
    *, judge: Judge | None = None, log: Path | None = None, total: float = 10.0, **options: Any
) -> AsyncIterator[Line]:
    """A phonebox and our adapter before it. With a judge, everything asked and answered must obey it."""
    ear = Ear()
    async with door(ear.hear) as hooks, client_session() as session, aiohttp.ClientSession() as person:
        ear.url = hooks
        box = Phonebox(account=ACCOUNT, token=TOKEN, templates=TEMPLATES, log=log, **{**QUICK, **options})
        box.inbound_url = f"{hooks}/hooks/carrier/inbound"
        await box.start()
        used: Any = Judged(session, judge) if judge else session
        try:
            carrier = TwilioCarrier(
                used, account=ACCOUNT, tokens=(TOKEN,), public_url=hooks, base_url=box.url, total=total
            )
            yield Line(box, carrier, ear, person, judge)
        finally:
            await box.stop()
        if judge:
            assert judge.violations == []


QUICK = {"soft_seconds": 0.02, "dial_seconds": 0.01, "message_seconds": 0.01, "pace": 0.01, "test_switches": True}


def agent_leg(room: str = "call-1-1", **more: Any) -> LegOrder:
    return LegOrder(
        **{
            "ref": "ref-agent",
            "room": room,
            "room_ref": "ref-room",
            "role": LegRole.agent,
            "to": AGENT,
            "caller_id": OURS,
            "ring_seconds": 20,
            **more,
        }
    )


def customer_leg(room: str = "call-1-1", **more: Any) -> LegOrder:
    given = {"ref": "ref-customer", "role": LegRole.customer, "to": CUSTOMER, "ends_room": True, **more}
    return agent_leg(room, **given)


def text(words: str = "Hola", **more: Any) -> MessageOrder:
    return MessageOrder(**{"ref": "ref-text", "to": CUSTOMER, "sender": OURS, "text": words, **more})
