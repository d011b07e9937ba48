"""A process of its own for work that is slow, or that must not bring the service down.

Spawned, never forked: it inherits no listening socket and no lock file. Three things end it besides `stop`: its parent
is gone (a thread waits for that), one piece of work takes longer than its limit (the kernel's alarm, which also stops
C code that never lets go of the interpreter), or it breaks by itself. The next piece of work finds a new process.
"""

import asyncio
import functools
import logging
import multiprocessing
import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

MEMORY_BYTES = 1 << 30  # of address space; a PDF of 10 MB can unfold to a thousand times as much
START_SECONDS = 30.0
STOP_SECONDS = 5.0


class WorkerLost(Exception):
    """The process ended before the work was done. `overran`: it was ended because the work took too long."""

    def __init__(self, *, overran: bool) -> None:
        super().__init__("the work took too long" if overran else "the process broke")
        self.overran = overran


class Worker:
    """One process, one piece of work at a time, in the order of asking. Belongs to one event loop.

    `warm` runs first in every new process; `limit` is the longest a piece of work may take, in seconds.
    """

    def __init__(self, warm: Callable[[], None], *, limit: float) -> None:
        self._warm = warm
        self._limit = limit
        self._pool: ProcessPoolExecutor | None = None
        self._turn = asyncio.Lock()
        self._closed = False

    async def start(self) -> int:
        """Start the process and wait until it is warm; its process id. Raises WorkerLost."""
        self._closed = False
        return await self.run(os.getpid)

    async def stop(self) -> None:
        """End the process, waiting five seconds for what runs; idempotent. Work asked for afterwards is lost."""
        self._closed = True
        pool, self._pool = self._pool, None
        if pool is None:
            return
        processes = _processes(pool)
        ending = asyncio.ensure_future(asyncio.to_thread(pool.shutdown, wait=True))
        done, _ = await asyncio.wait({ending}, timeout=STOP_SECONDS)
        if not done:
            _kill(processes)
        await ending

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `work` in the other process; all of it must pickle, exceptions too.

        Work that broke the process is tried once more in a new one, work that overran is not. Raises WorkerLost.
        """
        # One at a time, so that nobody's work is lost with somebody else's, and a limit counts from its own start.
        async with self._turn:
            begun = time.monotonic()
            try:
                return await self._once(work, *args, **kwargs)
            except BrokenProcessPool:
                self._drop()
                if time.monotonic() - begun >= self._limit:
                    raise WorkerLost(overran=True) from None
            try:
                return await self._once(work, *args, **kwargs)
            except BrokenProcessPool:
                self._drop()
                raise WorkerLost(overran=False) from None

    async def _once(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._closed:
            raise WorkerLost(overran=False)
        pool = self._pool = self._pool or self._open()
        future = pool.submit(_within, self._limit, functools.partial(work, *args, **kwargs))
        try:
            # Twice: what a cancelled caller left behind may still be running.
            async with asyncio.timeout(START_SECONDS + 2 * self._limit):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            _kill(_processes(pool))  # not even the alarm reached it
            self._drop()
            raise WorkerLost(overran=True) from None

    def _open(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            1, mp_context=multiprocessing.get_context("spawn"), initializer=_settle_in, initargs=(self._warm,)
        )

    def _drop(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False)


def _processes(pool: ProcessPoolExecutor) -> list[multiprocessing.process.BaseProcess]:
    return list((pool._processes or {}).values())  # the public way to kill them comes with Python 3.14


def _kill(processes: list[multiprocessing.process.BaseProcess]) -> None:
    for process in processes:
        process.kill()


def _settle_in(warm: Callable[[], None]) -> None:
    threading.Thread(target=_leave_with_parent, name="leave-with-parent", daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    _limited(resource.RLIMIT_AS, MEMORY_BYTES)
    _limited(resource.RLIMIT_CORE, 0)  # a core would hold the keys
    os.environ["TZ"] = "UTC"
    time.tzset()
    logging.disable(logging.CRITICAL)  # the libraries here quote documents in what they log
    warm()


def _limited(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))


def _leave_with_parent() -> None:
    # The executor's queue gives no end of file: this process holds its writing end too.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)


def _within(limit: float, work: Callable[[], T]) -> T:
    signal.setitimer(signal.ITIMER_REAL, limit)  # unhandled, SIGALRM ends the process
    try:
        return work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
