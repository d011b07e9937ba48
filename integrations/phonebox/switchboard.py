"""The running phonebox behind its doors: exchange and post, moved by a clock, told to the other side, watched."""

import asyncio
import logging
import time
from contextlib import suppress
from datetime import UTC, datetime

from integrations.phonebox.callbacks import Callbacks
from integrations.phonebox.exchange import Exchange, NotPossible
from integrations.phonebox.faults import Faults
from integrations.phonebox.legs import API_VERSION, Callback, Leg, Notice
from integrations.phonebox.log import Log
from integrations.phonebox.messages import Post, plain
from integrations.phonebox.recordings import Recording
from integrations.phonebox.scripts import Scripts
from integrations.phonebox.shapes import Record, phone
from integrations.phonebox.troubles import Trouble, Troubles

log = logging.getLogger(__name__)


class Switchboard:
    """Whoever changes the exchange or the post calls `settle()` afterwards.

    `inbound_url` is where texts written on a phone are told; None keeps them here. `voice_url` says what a call from a
    phone is answered with, `voice_status_url` is told of its end. `url` is where the phonebox listens.
    """

    def __init__(
        self, exchange: Exchange, post: Post, log: Log, *, callbacks: Callbacks, faults: Faults, inbound_url: str | None
    ) -> None:
        self.exchange, self.post, self.log, self.faults = exchange, post, log, faults
        self.inbound_url = inbound_url
        self.voice_url: str | None = None
        self.voice_status_url: str | None = None
        self.url = ""
        self.scripts: Scripts | None = None
        self.troubles = Troubles()
        self.recordings: dict[str, Recording] = {}
        self.closing = asyncio.Event()
        self._callbacks = callbacks
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()
        # Versions go on growing over a restart, so that a watcher's old one is never taken for the present one.
        self._first_version = int(time.time() * 1000)

    @staticmethod
    def now() -> datetime:
        return datetime.now(UTC)

    def settle(self) -> None:
        """Tell what there is to tell, wake the clock and the watchers."""
        for notice in [*self.exchange.take_notices(), *self.post.take_notices()]:
            self._callbacks.push(notice)
        if self.scripts:
            self.scripts.look()
        self._wake.set()
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def call_in(self, number: str, to: str, *, withheld: bool = False) -> Leg:
        """A phone calls a number of the other side's. Raises NotPossible when nobody answers for it."""
        if not self.voice_url or not self.scripts:
            raise NotPossible("Nobody has told what a call to this number is answered with", code=21205, status=409)
        hook = self.voice_status_url
        callback = Callback(hook, frozenset({"completed"})) if hook else None
        leg = Leg(to, number, self.now(), callback=callback, withheld=withheld)
        self.exchange.call_in(leg)
        # On the disk before it is told: what the other side has heard of must survive a restart.
        await self.log.add("phone", action="call", sid=leg.sid, to=to, **{"from": number})
        self.scripts.start(self, leg, self.voice_url)
        self.settle()
        return leg

    def tell(self, notice: Notice) -> None:
        """Tell one thing."""
        self._callbacks.push(notice)

    def trouble(self, trouble: Trouble) -> None:
        """The other side's answer was no good."""
        log.warning("the answer to a call cannot be followed: error %d", trouble.code)
        self.troubles.add(trouble)

    async def keep(self, recording: Recording) -> None:
        """A person's spoken message."""
        await self.log.add("phone", action="recording", sid=recording.sid, call=recording.call_sid,
                           seconds=recording.seconds)
        self.recordings[recording.sid] = recording

    @property
    def recording_url(self) -> str:
        return f"{self.url}/{API_VERSION}/Accounts/{self.exchange.account}/Recordings"

    async def run(self) -> None:
        """The clock: sleeps until something is due, or until somebody changed something."""
        while True:
            self._wake.clear()
            try:
                await self._tick()
            except Exception:  # the clock must not die of one bad call
                log.exception("the phonebox's clock stumbled")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()

    async def _tick(self) -> None:
        now = self.now()
        before = self._due()
        self.exchange.tick(now)
        self.post.tick(now)
        if before is not None and before <= now:
            self.settle()
        for message in self.post.take_changed():
            await self.log.add("status", sid=message.sid, status=message.status, error_code=message.error_code)

    def _due(self) -> datetime | None:
        moments = [moment for moment in (self.exchange.next_due(), self.post.next_due()) if moment]
        return min(moments, default=None)

    def _pause(self) -> float | None:
        due = self._due()
        return None if due is None else max(0.0, (due - self.now()).total_seconds())

    def close(self) -> None:
        """Send the watchers home."""
        self.closing.set()
        self._changed.set()

    def version(self, number: str) -> int:
        return self._first_version + self.exchange.versions[number] + self.post.versions[number]

    def phone(self, number: str) -> Record:
        return phone(number, self.exchange.legs_of(number), self.post.of_phone(number), self.version(number))

    def numbers(self) -> list[str]:
        """Every phone that was called or written to, or that wrote."""
        called = {leg.phone for leg in self.exchange.legs.values()}
        written = {plain(each.sender if each.inbound else each.to) for each in self.post.messages.values()}
        return sorted(called | written)

    async def wait(self, number: str, after: int, seconds: float) -> bool:
        """Wait until the phone's version differs from `after`; False when the time (seconds) is up or we close."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.version(number) == after and not self.closing.is_set():
                    await self._changed.wait()
        return self.version(number) != after

    async def linger(self, seconds: float) -> None:
        """Do nothing for some seconds, unless we close."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.closing.wait()
