"""Ticks: a clock that wakes sweeps, and a watchdog that wakes the clock.

Due rows in the database are the truth; APScheduler only says "look now". Its jobs live in memory, in every replica.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from router.live import Hub

log = logging.getLogger(__name__)

Scheduler: Any = AsyncIOScheduler  # it has no types

TIME_OUT = 20.0
STOP_SECONDS = 10.0
WAKE_AFTER, RESTART_AFTER, SICK_AFTER = 3, 10, 30
"""Periods without a sweep: it is run; without a tick: the scheduler is replaced; without an end: we say we are ill."""


class Sweep:
    """One look at what is due. Never overlaps itself; a poke while it runs makes it run once more.

    `every` and `time_out` in seconds; `audiences` are the hub's words that poke it; for `rests` seconds after the start
    it does not run. Whatever it raises is logged: the next run is the cure. Times are the loop's (`loop.time()`), which
    no wall clock moves.
    """

    def __init__(
        self, name: str, work: Callable[[], Awaitable[object]], *, every: float = 1.0, time_out: float = TIME_OUT,
        rests: float = 0.0, audiences: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.name = name
        self.every = every
        self.time_out = time_out
        self.rests = rests
        self.audiences = audiences
        self.failures = 0
        self.lateness = 0.0
        self.ticked_at = self.began_at = self.ended_at = self._rests_until = 0.0
        self._work = work
        self._wanted = False
        self._closed = False
        self.task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        return self.task is not None and not self.task.done()

    def open(self) -> None:
        self._closed = False
        self.ticked_at = asyncio.get_running_loop().time()
        self._rests_until = self.began_at = self.ended_at = self.ticked_at + self.rests

    def close(self) -> None:
        """No new runs."""
        self._closed = True

    def poke(self) -> None:
        """Runs now, or once more after the present run. Returns at once."""
        self._wanted = not self._closed and asyncio.get_running_loop().time() >= self._rests_until
        if self._wanted and not self.running:
            self.task = asyncio.get_running_loop().create_task(self._run(), name=f"sweep {self.name}")

    async def tick(self) -> None:
        """The scheduler's job."""
        self.ticked_at = asyncio.get_running_loop().time()
        self.poke()

    async def _run(self) -> None:
        while self._wanted and not self._closed:
            self._wanted = False
            await self._once()

    async def _once(self) -> None:
        loop = asyncio.get_running_loop()
        self.lateness = max(0.0, loop.time() - self.began_at - self.every)
        self.began_at = loop.time()
        try:
            async with asyncio.timeout(self.time_out):
                await self._work()
            self.failures = 0
        except Exception as error:
            self.failures += 1
            # A lost database fails every sweep every second: said at the 1st, 2nd, 4th, 8th … time.
            if self.failures & (self.failures - 1) == 0:
                log.error("sweep failed", exc_info=error, extra={"sweep": self.name, "failures": self.failures})
        self.ended_at = loop.time()


class Ticks:
    """All sweeps of a process, their scheduler and its watchdog."""

    def __init__(self, hub: Hub, sweeps: Sequence[Sweep], *, look_every: float = 1.0) -> None:
        self.sweeps = list(sweeps)
        self.scheduler: Any = self._make_scheduler()
        self.restarts = 0
        self._look_every = look_every
        self._watchdog: asyncio.Task[None] | None = None
        for sweep in self.sweeps:
            for audience in sweep.audiences:
                hub.on(audience, sweep.poke)

    @property
    def healthy(self) -> bool:
        """False when a sweep has not come to an end for 30 periods, though it was woken: the process should go."""
        now = asyncio.get_running_loop().time()
        return all(now - one.ended_at < max(SICK_AFTER * one.every, one.time_out + 10) for one in self.sweeps)

    @property
    def alive(self) -> bool:
        """Started, not stopped, and healthy."""
        return self._watchdog is not None and self.healthy

    async def start(self) -> None:
        for sweep in self.sweeps:
            sweep.open()
        self.scheduler.start()
        self._watchdog = asyncio.create_task(self._watch(), name="watchdog")

    async def stop(self) -> None:
        """No new runs; waits for running ones (at most STOP_SECONDS), then cancels them."""
        for sweep in self.sweeps:
            sweep.close()
        if self._watchdog is not None:
            self._watchdog.cancel()
            await asyncio.gather(self._watchdog, return_exceptions=True)
            self._watchdog = None
        await self._end_scheduler()
        running = [sweep.task for sweep in self.sweeps if sweep.task is not None and sweep.running]
        if running:
            _, late = await asyncio.wait(running, timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def look(self, now: float) -> None:
        """The watchdog's look at the loop's time `now`."""
        for sweep in self.sweeps:
            if not sweep.running and now - max(sweep.began_at, sweep.ended_at) >= WAKE_AFTER * sweep.every:
                log.warning("sweep woken by the watchdog", extra={"sweep": sweep.name})
                sweep.poke()
                # Gives the job a next time by the wall clock as it is now, and its timer a new start.
                self.scheduler.modify_job(sweep.name, next_run_time=datetime.now(UTC))
        if any(now - sweep.ticked_at >= RESTART_AFTER * sweep.every for sweep in self.sweeps):
            self._replace_scheduler(now)

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._look_every)
            try:
                self.look(loop.time())
            except Exception as error:
                log.error("the watchdog stumbled", exc_info=error)
                self._replace_scheduler(loop.time())

    def _make_scheduler(self) -> Any:
        scheduler = Scheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )
        now = datetime.now(UTC)
        for place, sweep in enumerate(self.sweeps):
            # Spread over the first second: all at once would keep every request of that moment waiting.
            first = now + timedelta(seconds=min(sweep.every, 1.0) * place / len(self.sweeps))
            scheduler.add_job(
                sweep.tick, "interval", seconds=sweep.every, jitter=sweep.every / 10, id=sweep.name,
                next_run_time=first,
            )  # fmt: skip
        return scheduler

    def _replace_scheduler(self, now: float) -> None:
        log.error("scheduler replaced: it no longer ticks")
        self.restarts += 1
        old, self.scheduler = self.scheduler, self._make_scheduler()
        if old.running:
            old.shutdown(wait=False)
        self.scheduler.start()
        for sweep in self.sweeps:
            sweep.ticked_at = now

    async def _end_scheduler(self) -> None:
        if self.scheduler.running:
            self.scheduler.shutdown(wait=False)
            await asyncio.sleep(0)  # it ends itself in the loop's next turn
