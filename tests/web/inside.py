"""The doors for machines on a real socket: the carrier's hooks and the house's health."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from router.actions.admitting import admit
from router.book import Batcher, Book
from router.gauges import Recent
from router.live import Hub
from router.paths import STATIC
from router.ticks import Ticks
from router.web import health, hooks, login, middleware, parties, signers, signing
from router.web.doors import DOORS, Doors
from router.web.server import Server
from router.wording import wording
from tests.outside import RecordingCarrier, RecordingTrust
from tests.parties import PARTIES


def figures(ticks: Ticks | None = None) -> health.Figures:
    return health.Figures(ticks=ticks or Ticks(Hub(), []), lateness=Recent(), rings=Recent())


@asynccontextmanager
async def inside(
    book: Book, carrier: RecordingCarrier | None = None, known: health.Figures | None = None, **options: Any
) -> AsyncIterator[str]:
    server = Server("127.0.0.1", 0)
    app = web.Application(middlewares=[middleware.house])
    app[DOORS] = Doors(
        book=book, hub=book.hub, wording=wording(), carrier=carrier or RecordingCarrier(), trust=RecordingTrust(),
        intake=Batcher(book, admit), public_url=server.url, root_certificate=b"", parties=PARTIES, **options,
    )
    app[health.FIGURES] = known or figures()
    for module in (health, hooks, parties, signers, signing, login):
        app.add_routes(module.routes)
    app.router.add_static("/static/", STATIC)
    await server.start(app)
    try:
        yield server.url
    finally:
        await server.stop()
