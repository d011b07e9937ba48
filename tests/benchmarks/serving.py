"""A benchmark's servers, each in a process of its own."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def running(module: str, *arguments: str) -> AsyncIterator[str]:
    """The server that `python -m module --server …` is; the address it prints."""
    command = (sys.executable, "-m", module, "--server", *arguments)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
