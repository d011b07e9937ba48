"""A register's local twin: says of the numbers it was given that it lists them, to who shows the right secret.

It trusts whoever reaches it: bind it to loopback.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from integrations.http import serving

Fault = int | str | bytes
"""A status, "hang" for no answer at all, "cut" for a connection that breaks, or a body in place of the answer."""


class Registerbox:
    """`numbers` (E.164) are listed. `faults` are played first, one a question; `asked` are the numbers asked for, as
    they were written. `says` are further fields of each answer."""

    def __init__(self, secret: str, numbers: Iterable[str] = ()) -> None:
        self.numbers = set(numbers)
        self.faults: list[Fault] = []
        self.asked: list[str] = []
        self.says: dict[str, Any] = {}
        self._secret = secret
        self._over = asyncio.Event()

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes([web.post("/check", self._check)])
        return app

    async def _check(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(str(body.get("number")))
        if self.faults:
            return await self._play(self.faults.pop(0), request)
        if request.headers.get("Authorization") != f"Bearer {self._secret}":
            return web.json_response({"error": "who are you?"}, status=401)
        return web.json_response({"listed": body.get("number") in self.numbers, **self.says})

    async def _play(self, fault: Fault, request: web.Request) -> web.StreamResponse:
        if fault == "hang":
            await self._over.wait()
        if isinstance(fault, int):
            return web.json_response({"error": "played"}, status=fault)
        if isinstance(fault, bytes):
            return web.Response(body=fault, content_type="application/json")
        if request.transport is not None:
            request.transport.close()
        return web.Response()

    @asynccontextmanager
    async def running(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Serves until left; the address of its door."""
        async with serving(self.app(), host, port) as url:
            try:
                yield f"{url}/check"
            finally:
                self._over.set()
