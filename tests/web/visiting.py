"""The visitor's side of the house on real sockets: the service's public doors, and a landing page on another origin."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

from aiohttp import web

from router.actions.admitting import admit
from router.book import Batcher, Book
from router.model.campaigns import Queue, Site
from router.model.intake import Brought, Taken
from router.model.protection import Verdict
from router.model.rates import LENIENT, Limits
from router.ports import Carrier, TrustProvider
from router.web import streams
from router.web.doors import Doors
from router.web.landing import make_landing
from router.web.routes import make_app
from router.web.server import Server
from router.wording import wording
from tests import making

KEY = "landing"


@dataclass
class House:
    """`url` is the service, `page` the landing page's own origin."""

    url: str
    page: str
    book: Book
    queue: Queue
    site: Site
    server: Server
    doors: Doors
    app: web.Application


@asynccontextmanager
async def visiting(
    book: Book, *, limits: Limits = LENIENT, site: Mapping[str, Any] = MappingProxyType({}),
    queue: Mapping[str, Any] = MappingProxyType({}), **campaign: Any,
) -> AsyncIterator[House]:
    """The doors open, the landing page served, one campaign with one queue behind its site."""
    service, page = Server("127.0.0.1", 0), Server("127.0.0.1", 0)
    async with book.writing() as w:
        line = await making.queue(w, await making.campaign(w, **campaign), **queue)
        landing = await making.site(w, line, KEY, **{"origins": [page.url], **site})
    intake: Batcher[Brought, Taken | Verdict] = Batcher(book, admit)
    doors = Doors(
        book=book, hub=book.hub, wording=wording(), carrier=cast(Carrier, None), trust=cast(TrustProvider, None),
        intake=intake, public_url=service.url, root_certificate=b"",
        limits=limits,
    )
    writer = asyncio.create_task(intake.run())
    try:
        app = make_app(doors)
        app[streams.BEATS] = streams.Beats()
        await service.start(app)
        await page.start(make_landing(service.url, KEY, wording()))
        yield House(service.url, page.url, book, line, landing, service, doors, app)
    finally:
        book.hub.close()
        await page.stop()
        await service.stop()
        writer.cancel()
        with suppress(asyncio.CancelledError):
            await writer
