"""A keeper of evidence as the outside has one: a store behind a real socket that takes what is put once."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from aiohttp import web

from integrations.http import serving

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def door(handler: Handler) -> AbstractAsyncContextManager[str]:
    """A server that answers everything with `handler`; its address."""
    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{rest:.*}", handler)
    return serving(app)


class Store:
    """Takes what is put under a name once."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.faults: list[int] = []

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if self.faults:
            return web.Response(status=self.faults.pop(0))
        if request.headers.get("Authorization") != "Bearer let-me-in":
            return web.Response(status=401)
        if request.path in self.kept:
            return web.Response(status=412)
        self.kept[request.path] = body
        return web.Response(status=201, text="kept", headers={"ETag": '"1"'})
