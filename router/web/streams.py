"""Live screens: a hint wakes a stream, it reads the state anew and sends what looks different.

A screen is state, not a log: on connect all of it is sent, and a lost hint costs no more than the time to the next
ping, when it is read again.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator

from aiohttp import web

from router.actions import presence
from router.book import Book, Reading
from router.live import Closing, Watcher
from router.model.agents import Role
from router.store import sessions
from router.store.db import lost_connection
from router.web import desk, wallboard
from router.web.desk import Partial, partials
from router.web.doors import doors
from router.web.gate import Signed, cookie_name, not_embedded, require

routes = web.RouteTableDef()

PING_SECONDS = 5
LOOK_SECONDS = 30
"""A screen is read anew at least so often, whatever was hinted."""
SLOW_SECONDS = 8
"""A reader who takes longer for one message than this is dropped; he comes back and gets the state of then."""


class Beats:
    """The agents whose browsers have answered the ping since the last flush."""

    def __init__(self) -> None:
        self._waiting: set[int] = set()

    def add(self, agent_id: int) -> None:
        self._waiting.add(agent_id)

    async def flush(self, book: Book) -> None:
        """Writes them in one transaction, to be called once a second. What could not be written waits for the next."""
        if not self._waiting:
            return
        batch, self._waiting = self._waiting, set()
        try:
            async with book.writing() as w:
                await presence.beat(w, sorted(batch))
        except BaseException:
            self._waiting |= batch
            raise


BEATS = web.AppKey("beats", Beats)

Look = Callable[[Reading], Awaitable[Iterator[Partial]]]


class Dropped(Exception):
    """The reader is too slow."""


class Stream:
    """One connection: what it shows, how it is written to, when it is pinged. `pause` (seconds) is the least time
    between two looks: a board that everything changes would otherwise be read all the time."""

    def __init__(self, request: web.Request, response: web.StreamResponse, look: Look, pause: float) -> None:
        self._request = request
        self._response = response
        self._look = look
        self._pause = pause
        self._shown: dict[str, str] = {}
        self._next_ping = self._next_look = 0.0

    async def follow(self, watcher: Watcher) -> None:
        """Sends until the process stops, the reader goes or his session ends."""
        changed = True
        while await self._send(look=changed):
            changed = await self._wait(watcher)

    async def _wait(self, watcher: Watcher) -> bool:
        """Until something changed (True) or the ping is due (False)."""
        try:
            async with asyncio.timeout(max(0.0, self._next_ping - time.monotonic())):
                await watcher.changed()
        except TimeoutError:
            return False
        await asyncio.sleep(self._pause)
        return True

    async def _send(self, *, look: bool) -> bool:
        """Sends the ping when it is due, and what has changed; whether there is still somebody to send to."""
        look = look or time.monotonic() >= self._next_look
        parts: Iterator[Partial] = iter(())
        async with doors(self._request).book.reading() as r:
            if not await sessions.alive(r.session, self._request.cookies.get(cookie_name(self._request), ""), r.now):
                return False
            if look:
                parts = await self._look(r)
                self._next_look = time.monotonic() + LOOK_SECONDS
        if time.monotonic() >= self._next_ping:
            # After a restart all screens come at once: their pings are spread, or they would all be answered at once.
            share = 1.0 if self._next_ping else random.uniform(0.2, 1.0)  # noqa: S311
            self._next_ping = time.monotonic() + PING_SECONDS * share
            # The time is the server's, so that the screen's clocks run by it.
            await self._write(f"event: ping\ndata: {r.now.isoformat(timespec='milliseconds')}\n\n")
        for part in parts:
            if self._shown.get(part.name) != part.version:
                self._shown[part.name] = part.version
                await self._write("".join(f"data: {line}\n" for line in partials([part]).splitlines()) + "\n")
        return True

    async def _write(self, text: str) -> None:
        try:
            async with asyncio.timeout(SLOW_SECONDS):
                await self._response.write(text.encode())
        except TimeoutError as error:
            raise Dropped from error


async def run(
    request: web.Request, role: Role, audience: str, look: Callable[[Signed], Look], pause: float = 0.0
) -> web.StreamResponse:
    """A stream for whoever is signed in with this role. `{agent}` in the audience's name is his number."""
    not_embedded(request)
    signed = await require(request, role)
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    # Watched before the first look: what changes in between is not missed.
    with doors(request).hub.watch(audience.format(agent=signed.agent.id)) as watcher:
        await response.prepare(request)
        try:
            await Stream(request, response, look(signed), pause).follow(watcher)
        except (Closing, ConnectionError):
            pass
        except Exception as error:
            # Cut off, the browser comes back at once; a silent stream it would notice only after a while.
            if request.transport is not None:
                request.transport.abort()
            if not isinstance(error, Dropped) and not lost_connection(error):
                raise
    return response


@routes.get("/desk/stream")
async def desk_stream(request: web.Request) -> web.StreamResponse:
    house = doors(request)
    return await run(request, Role.agent, "agent:{agent}", lambda who: lambda r: desk.look(house, r, who.agent.id))


@routes.get("/wallboard/stream")
async def wallboard_stream(request: web.Request) -> web.StreamResponse:
    house = doors(request)
    return await run(
        request, Role.supervisor, "wallboard", lambda who: lambda r: wallboard.look(house, r, who.agent.locale),
        pause=0.5,
    )


@routes.post("/desk/beat")
async def beat(request: web.Request) -> web.Response:
    """The browser's answer to a ping: it is there, and its page runs."""
    signed = await require(request, Role.agent)
    request.app[BEATS].add(signed.agent.id)
    return web.Response(status=204)
