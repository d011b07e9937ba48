"""The customer's doors on a real socket, and a browser's habits: cookies, forms, no following of redirects."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import aiohttp
from aiohttp import web

from router.book import Batcher, Book
from router.model.intake import Brought, Taken
from router.model.protection import Verdict
from router.model.rates import LENIENT, Limits
from router.paths import STATIC
from router.ports import Carrier, TrustProvider
from router.web import middleware, pki, revoking, signing, verify
from router.web.doors import DOORS, Doors
from router.web.server import Server
from router.wording import wording


@dataclass
class Browser:
    """One telephone's browser. `page` is the last page it showed."""

    session: aiohttp.ClientSession
    url: str
    page: str = ""

    @property
    def secret(self) -> str:
        """The hidden field of the page's form."""
        found = re.search(r'name="csrf" value="([0-9a-f]+)"', self.page)
        return found[1] if found else ""

    async def get(self, path: str, **headers: str) -> aiohttp.ClientResponse:
        async with self.session.get(self.url + path, headers=headers, allow_redirects=False) as answer:
            body = await answer.read()
        if answer.content_type == "text/html":
            self.page = body.decode()
        return answer

    async def post(self, path: str, fields: dict[str, str] | None = None, **headers: str) -> aiohttp.ClientResponse:
        """Posts a form and shows the page it leads to. As browsers do when pages send no referrer: `Origin: null`."""
        data = {"csrf": self.secret, **(fields or {})}
        sent = {"Origin": "null", "Sec-Fetch-Site": "same-origin", "Accept": "text/html", **headers}
        async with self.session.post(self.url + path, data=data, headers=sent, allow_redirects=False) as answer:
            body = await answer.read()
        if answer.content_type == "text/html":
            self.page = body.decode()
        if answer.status == 303:
            await self.get(answer.headers["Location"])
        return answer


def customers_app(
    book: Book, url: str, trust: TrustProvider | None, root: bytes, limits: Limits = LENIENT
) -> web.Application:
    app = web.Application(middlewares=[middleware.house])
    intake = cast("Batcher[Brought, Taken | Verdict]", None)
    app[DOORS] = Doors(
        book=book, hub=book.hub, wording=wording(), carrier=cast(Carrier, None), trust=cast(TrustProvider, trust),
        intake=intake, public_url=url, root_certificate=root, limits=limits,
    )
    for module in (signing, revoking, verify, pki):
        app.add_routes(module.routes)
    app.router.add_static("/static/", STATIC)
    app.on_response_prepare.append(middleware.set_headers)
    return app


@asynccontextmanager
async def visiting(
    book: Book, trust: TrustProvider | None = None, root: bytes = b"", **options: Any
) -> AsyncIterator[Browser]:
    server = Server("127.0.0.1", 0)
    url = options.get("public_url", server.url)
    await server.start(customers_app(book, url, trust, root, options.get("limits", LENIENT)))
    jar = aiohttp.CookieJar(unsafe=True)
    try:
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            yield Browser(session, server.url)
    finally:
        await server.stop()
