"""A process of its own, forked from one that has read the whole program: to read it takes two seconds each time."""

import asyncio
import multiprocessing
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib import import_module
from multiprocessing.connection import Connection

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["router.app"])


class Forked:
    """What a story does with a process: as asyncio's own of a program that was started."""

    def __init__(self, module: str, environ: Mapping[str, str]) -> None:
        """Starts `main()` of the module. The first of all waits until the program has been read."""
        self._reader, writer = _forks.Pipe(duplex=False)
        self._process = _forks.Process(target=_begin, args=(module, dict(environ), writer))
        self._process.start()
        writer.close()
        assert self._process.pid is not None
        self.pid = self._process.pid
        self.returncode: int | None = None
        self.stdout = asyncio.StreamReader()
        self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._process.sentinel, self._end)

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._process.sentinel)
        self.returncode = self._process.exitcode
        self._ended.set()

    async def wait(self) -> int:
        """Its exit code; that of one ended by a signal is the signal's number, negative."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    @asynccontextmanager
    async def heard(self) -> AsyncIterator[None]:
        """Listens to both its streams, in one; at the end it is killed if it still runs, and forgotten."""
        pipe = os.fdopen(os.dup(self._reader.fileno()), "rb", buffering=0)
        self._reader.close()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(self.stdout), pipe)
        try:
            yield
        finally:
            self.kill()
            await self.wait()
            transport.close()
            self._process.close()


def _begin(module: str, environ: dict[str, str], writer: Connection) -> None:
    for stream in (1, 2):
        os.dup2(writer.fileno(), stream)
    writer.close()
    os.environ.clear()
    os.environ.update(environ)
    sys.exit(import_module(module).main())
