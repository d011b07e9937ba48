"""The tail: hints from other replicas to the hub, and the journal in commit order to its readers. The only LISTEN."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import asyncpg
import msgspec

from router.book import HINTS, Book, Reading, Writing
from router.gauges import Recent
from router.live import Hub
from router.store import consumers, facts
from router.store.facts import Cursor, Entry

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""The net under lost hints."""
BATCH = 2_000
SOONEST, LATEST = 0.005, 0.2
"""Facts held back by an open writer are looked at again after 5 ms, doubled up to 200 ms, in seconds."""
PROBE_SECONDS = 10.0
RECONNECT_SECONDS = 5.0

Follower = Callable[[Writing, Sequence[Entry]], Awaitable[object]]
Watching = Callable[[Reading, Sequence[Entry]], Awaitable[object]]
SOON_SECONDS = 0.25


class Listener:
    """Hears the hints of other replicas. After any time without a line everybody is told: anything may have changed."""

    def __init__(self, url: str, hub: Hub, *, probe: float = PROBE_SECONDS) -> None:
        self._url = url.replace("postgresql+asyncpg://", "postgresql://", 1)
        self._hub = hub
        self._probe = probe
        self.connected = asyncio.Event()

    async def run(self) -> None:
        """Runs until cancelled."""
        pause = SOONEST
        while True:
            try:
                await self._listen()
                pause = SOONEST
            except Exception as error:
                log.warning("no line for hints", extra={"error": type(error).__name__})
            await asyncio.sleep(pause)
            pause = min(pause * 2, RECONNECT_SECONDS)

    async def _listen(self) -> None:
        """Returns when the line is gone. A line that is dead without a word is found by asking now and then."""
        connect: Any = asyncpg.connect  # it has no types
        line = await connect(self._url, timeout=5, server_settings={"application_name": "hablemos-hints"})
        gone = asyncio.Event()
        line.add_termination_listener(lambda _: gone.set())
        try:
            await line.add_listener(HINTS, self._heard)
            self.connected.set()
            self._hub.tell_everybody()
            while not gone.is_set():
                try:
                    async with asyncio.timeout(self._probe):
                        await gone.wait()
                except TimeoutError:
                    await line.execute("select 1", timeout=5)
        finally:
            self.connected.clear()
            with suppress(Exception):
                await line.close(timeout=1)

    def _heard(self, line: object, pid: int, channel: str, payload: object) -> None:
        try:
            replica, *audiences = msgspec.json.decode(str(payload), type=list[str])
        except (msgspec.DecodeError, ValueError):
            log.warning("a hint that nobody can read")
            return
        if replica != self._hub.replica:
            self._hub.tell(audiences)


class _Look(NamedTuple):
    """What one look at the journal found. `more`: it may read on at once. `held`: more is committed, but an older
    writer may still be open."""

    more: bool
    held: bool


class _Reader(Protocol):
    name: str
    calm: bool

    async def look(self) -> _Look: ...


class _Durable:
    """Its place is a row: it goes on where it stopped, in whichever replica."""

    def __init__(
        self, book: Book, name: str, handler: Follower, *, calm: bool, kinds: Collection[str] | None
    ) -> None:
        self.name = name
        self._kinds = kinds
        self.calm = calm
        self._book = book
        self._handler = handler
        self._enrolled = False

    async def look(self) -> _Look:
        if not self._enrolled:
            async with self._book.writing() as w:
                await consumers.enrol(w.session, self.name)
            self._enrolled = True
        # An idle reader only reads: a transaction that writes would itself hold back the others.
        async with self._book.reading() as r:
            cursor = await consumers.place(r.session, self.name)
            if not await facts.after(r.session, cursor, 1):
                return _Look(False, await consumers.held_back(r.session, cursor))
        async with self._book.writing() as w:
            taken = await consumers.take(w.session, self.name)
            if taken is None:
                return _Look(False, False)
            entries, full = await facts.page(w.session, taken, BATCH, self._kinds)
            if entries:
                await self._handler(w, entries)
                await consumers.advance(w.session, self.name, entries[-1].cursor)
        return _Look(full, True)


class _Passing:
    """Its place is in memory: it sees what happens while the process runs. What an open writer holds back it sees at
    its next look: nothing waits for it."""

    def __init__(self, book: Book, cursor: Cursor, handler: Watching, kinds: Collection[str] | None) -> None:
        self.name = "watching"
        self._kinds = kinds
        self.calm = False
        self._book = book
        self._cursor = cursor
        self._handler = handler

    async def look(self) -> _Look:
        async with self._book.reading() as r:
            entries, full = await facts.page(r.session, self._cursor, BATCH, self._kinds)
            if entries:
                await self._handler(r, entries)
                self._cursor = entries[-1].cursor
        return _Look(full, held=False)


class Tail:
    """Reads the journal in commit order: nothing skipped, nothing twice."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._readers: list[tuple[_Reader, asyncio.Event]] = []
        self._group: asyncio.TaskGroup | None = None
        self._soon: asyncio.TimerHandle | None = None

    def follow(
        self, name: str, handler: Follower, *, calm: bool = False, kinds: Collection[str] | None = None
    ) -> None:
        """A durable reader from the journal's beginning; a `calm` one looks once a second, whatever happens. With
        `kinds` it is given the facts of these kinds, and of each batch the last.

        Each batch, what the handler does with it, and the new place are one transaction; of several replicas following
        one name, one at a time reads. A handler that raises gets the same batch again, after a pause."""
        self._add(_Durable(self._book, name, handler, calm=calm, kinds=kinds))

    async def watch(self, handler: Watching, *, kinds: Collection[str] | None = None) -> None:
        """A reader from the present end, for as long as the process runs; `kinds` as in `follow`. A handler that raises
        gets the same batch again."""
        async with self._book.reading() as r:
            cursor = await facts.end(r.session)
        self._add(_Passing(self._book, cursor, handler, kinds))

    def poke_soon(self) -> None:
        """Looks in a moment, once for all that is committed until then: what is urgent never waits for the journal."""
        if self._soon is None:
            self._soon = asyncio.get_running_loop().call_later(SOON_SECONDS, self._poke_now)

    def _poke_now(self) -> None:
        self._soon = None
        self.poke()

    def poke(self) -> None:
        """Looks now."""
        for _, poked in self._readers:
            poked.set()

    def _add(self, reader: _Reader) -> None:
        poked = asyncio.Event()
        self._readers.append((reader, poked))
        if self._group is not None:
            self._group.create_task(_read_on(reader, poked))

    async def run(self) -> None:
        """Runs until cancelled."""
        async with asyncio.TaskGroup() as self._group:
            for reader, poked in self._readers:
                self._group.create_task(_read_on(reader, poked))
            await asyncio.Event().wait()


async def _read_on(reader: _Reader, poked: asyncio.Event) -> None:
    pause, failures = SOONEST, 0
    while True:
        poked.clear()
        try:
            look = await reader.look()
            failures = 0
        except Exception as error:
            failures += 1
            log.error("the journal's reader stumbled", exc_info=error, extra={"reader": reader.name})
            await asyncio.sleep(min(0.1 * 2**failures, 30.0))
            continue
        if look.more:
            pause = SOONEST
            continue
        if reader.calm:
            await asyncio.sleep(POLL_SECONDS)
            continue
        wait = pause if look.held else POLL_SECONDS
        pause = min(pause * 2, LATEST) if look.held else SOONEST
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await poked.wait()


class RingTimes:
    """Seconds from a lead's arrival to its first reservation, of the leads that came `since` (aware)."""

    KINDS = ("task.reserved",)

    def __init__(self, samples: Recent, since: datetime) -> None:
        self._samples = samples
        self._since = since

    async def __call__(self, r: Reading, entries: Sequence[Entry]) -> None:
        if rung := [entry.id for entry in entries if entry.kind in self.KINDS]:
            for seconds in await facts.first_rings(r.session, rung, self._since):
                self._samples.add(max(0.0, seconds))
