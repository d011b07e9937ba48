"""A keeper of evidence as the outside has one: a store behind a real socket that takes what is put once."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{rest:.*}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


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
