"""A house whose carrier is a phonebox: a customer's telephone calls it and writes to it; an agent takes what rings."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web
from sqlalchemy import select

from integrations.carrier.twilio import TwilioCarrier
from integrations.carrier.webhooks import Webhooks
from integrations.http import client_session
from integrations.phonebox import Phonebox
from router.actions import calling, dispatch
from router.actions.admitting import admit
from router.book import Batcher, Book
from router.courier import Courier
from router.inbox import Inbox
from router.model.calls import Call
from router.model.facts import Fact
from router.model.tasks import Reservation, ReservationState
from router.ports import Carrier
from router.reconcile import Reconciler
from router.rounds import Rounds
from router.ticks import Sweep, Ticks
from router.unknowns import Unknowns
from router.web import attachments, hooks, login, middleware
from router.web.doors import DOORS, Doors
from router.web.server import Server
from router.wording import wording
from tests import making
from tests.conftest import until
from tests.integrations.phoning import QUICK, TEMPLATES
from tests.invariants import check
from tests.outside import RecordingTrust

ACCOUNT, TOKEN = "AC" + "5" * 32, "a token of the carrier"
OURS, CUSTOMER = "+12025550100", "+12025550155"
PATIENCE = 40.0


@dataclass
class House:
    """The running house, and what a test does with it."""

    book: Book
    box: Phonebox
    carrier: Carrier
    person: aiohttp.ClientSession
    url: str

    async def rows(self, noun: Any, *where: Any) -> list[Any]:
        async with self.book.reading() as r:
            return list(await r.session.scalars(select(noun).where(*where).order_by(noun.id)))

    async def one(self, noun: Any, *where: Any) -> Any:
        (found,) = await self.rows(noun, *where)
        return found

    async def facts(self, kind: str) -> list[Fact]:
        return await self.rows(Fact, Fact.kind == kind)

    async def until_row(self, noun: Any, *where: Any) -> Any:
        what = f"a {noun.__name__} of {[str(each) for each in where]}"
        found = await until(lambda: self.rows(noun, *where), what, PATIENCE)
        assert isinstance(found, list)
        return found[-1]

    async def press(self, button: str, phone: str = CUSTOMER, **fields: Any) -> dict[str, Any]:
        async with self.person.post(f"{self.box.url}/phones/{phone}/{button}", json=fields) as response:
            state: dict[str, Any] = await response.json()
            assert response.status == 200, state
            return state

    async def call(self, to: str = OURS, phone: str = CUSTOMER, **more: Any) -> None:
        await self.press("call", phone, to=to, **more)

    async def phone(self, number: str = CUSTOMER) -> dict[str, Any]:
        async with self.person.get(f"{self.box.url}/phones/{number}.json") as response:
            state: dict[str, Any] = await response.json()
            return state

    async def hears(self, part: str, phone: str = CUSTOMER) -> str:
        """Waits until the telephone says a sentence with this part."""

        async def said() -> str:
            texts = [leg["doing"].get("text", "") for leg in (await self.phone(phone))["legs"]]
            return next((text for text in texts if part in text), "")

        return str(await until(said, f"the words {part!r}", PATIENCE))

    async def does(self, verb: str, phone: str = CUSTOMER) -> None:
        async def doing() -> bool:
            return any(leg["doing"].get("verb") == verb for leg in (await self.phone(phone))["legs"])

        await until(doing, f"the telephone to {verb}", PATIENCE)

    async def silent(self, phone: str = CUSTOMER) -> None:
        async def idle() -> bool:
            return not (await self.phone(phone))["legs"]

        await until(idle, "the call to end on the telephone", PATIENCE)

    async def ringing(self) -> Reservation:
        found: Reservation = await self.until_row(Reservation, Reservation.state == ReservationState.pending)
        return found

    async def accept(self) -> Call:
        held = await self.ringing()
        async with self.book.writing() as w:
            call = await dispatch.accept(w, held.id, held.agent_id)
        assert call is not None
        return call

    async def hang_up(self, call: Call) -> None:
        async with self.book.writing() as w:
            await calling.hang_up(w, call.id, call.agent_id)

    async def post(self, path: str, fields: dict[str, str]) -> tuple[int, str]:
        """A webhook signed by the carrier."""
        given = {"AccountSid": ACCOUNT, **fields}
        hooks = Webhooks(account=ACCOUNT, tokens=[TOKEN], public_url=self.url)
        headers = {"X-Twilio-Signature": hooks.sign(path, given)}
        async with self.person.post(self.url + path, data=given, headers=headers) as response:
            return response.status, await response.text()

    async def check(self) -> None:
        async with self.book.reading() as r:
            await check(r.session)


@asynccontextmanager
async def running(book: Book, **options: Any) -> AsyncIterator[House]:
    """Doors, courier, inbox and rounds, before a phonebox that plays fast."""
    async with AsyncExitStack() as stack:
        box = Phonebox(account=ACCOUNT, token=TOKEN, templates=TEMPLATES, **{**QUICK, **options})
        await box.start()
        stack.push_async_callback(box.stop)
        session = await stack.enter_async_context(client_session())
        server = Server("127.0.0.1", 0)
        carrier = TwilioCarrier(
            session, account=ACCOUNT, tokens=(TOKEN,), public_url=server.url, base_url=box.url, total=5.0
        )
        app = web.Application(middlewares=[middleware.house])
        app[DOORS] = Doors(
            book=book, hub=book.hub, wording=wording(), carrier=carrier, trust=RecordingTrust(),
            intake=Batcher(book, admit), public_url=server.url, root_certificate=b"",
        )
        for module in (hooks, attachments, login):
            app.add_routes(module.routes)
        await server.start(app)
        stack.push_async_callback(server.stop)
        box.inbound_url, box.voice_url = f"{server.url}/hooks/carrier/inbound", f"{server.url}/hooks/carrier/voice"
        box.voice_status_url = f"{server.url}/hooks/carrier/caller"
        courier = Courier(book, carrier, RecordingTrust(), "here")
        ticks = Ticks(book.hub, [
            Sweep("dispatch", Rounds(book).sweep, audiences=("dispatch",)),
            Sweep("courier", courier.launch, audiences=("courier",)),
            Sweep("inbox", Inbox(book, carrier).sweep, audiences=("inbox",)),
            Sweep("unknowns", Unknowns(book, carrier).sweep),
            Sweep("calls", Reconciler(book, carrier).sweep),
        ])
        await ticks.start()
        stack.push_async_callback(courier.stop)
        stack.push_async_callback(ticks.stop)
        person = await stack.enter_async_context(aiohttp.ClientSession())
        yield House(book, box, carrier, person, server.url)


async def staffed(book: Book, *, agent: bool = True, **campaign: Any) -> None:
    """A campaign that answers at OURS, in English, and an agent who is ready."""
    queue = {name: campaign.pop(name) for name in ("hours", "handle_seconds") if name in campaign}
    async with book.writing() as w:
        given = {"caller_id": OURS, "sender": OURS, "whatsapp": OURS, "locale": "en", **campaign}
        await making.queue(w, await making.campaign(w, **given), **queue)
        if agent:
            await making.agent(w)
