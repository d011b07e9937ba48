"""Which process is which: a number alone says nothing, it is used again after its process has ended.

Linux tells in /proc; elsewhere `ps` is asked. A process that has ended but was not yet waited for counts as gone.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path


def birth(pid: int) -> str | None:
    """A text that is the same as long as this process lives, and another for the next one under its number."""
    if sys.platform != "linux":
        return _ask_ps(pid, "lstart")
    ticks = _start_ticks(pid)
    return None if ticks is None else f"{_boot()}:{ticks}"


def started_at(pid: int) -> float | None:
    """When the process started, as Unix time in seconds by the present clock; None when there is none."""
    if sys.platform != "linux":
        said = _ask_ps(pid, "lstart")
        return time.mktime(time.strptime(said)) if said else None
    ticks = _start_ticks(pid)
    booted = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
    return None if ticks is None else int(booted.split()[1]) + ticks / os.sysconf("SC_CLK_TCK")


def works_in(pid: int, program: str, directory: Path) -> bool:
    """Whether the process runs this program with this working directory (elsewhere than on Linux: with `-D` it)."""
    place = str(directory.resolve())
    if sys.platform != "linux":
        said = _ask_ps(pid, "command") or ""
        return program in said and f"-D {place}" in said
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        return name == program and os.readlink(f"/proc/{pid}/cwd") == place
    except OSError:
        return False


def signal_if(pid: int, kind: signal.Signals, certain: Callable[[], bool]) -> bool:
    """Signal the process if `certain` says that it is the one meant.

    Where the system has descriptors of processes, it is held by one before it is looked at: between look and signal
    nobody else can come to its number.
    """
    held = None
    try:
        if sys.platform == "linux":
            held = _hold(pid)
        if not certain():
            return False
        if held is not None:
            signal.pidfd_send_signal(held, kind)
        else:
            os.kill(pid, kind)
    except ProcessLookupError:
        return False
    finally:
        if held is not None:
            os.close(held)
    return True


def until(seconds: float) -> Iterator[None]:
    """Now, and every 20 ms until so many seconds are over."""
    end = time.monotonic() + seconds
    while True:
        yield
        if time.monotonic() >= end:
            return
        time.sleep(0.02)


def _hold(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except OSError:
        return None


def _start_ticks(pid: int) -> int | None:
    try:
        # The program's name stands in parentheses and may hold anything, parentheses too.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in {"Z", "X"} else int(fields[19])


@cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _ask_ps(pid: int, column: str) -> str | None:
    command = ["ps", "-o", "state=", "-o", f"{column}=", "-p", str(pid)]
    said = subprocess.run(command, env=os.environ | {"LC_ALL": "C"}, capture_output=True, text=True, check=False).stdout
    state, _, rest = said.strip().partition(" ")
    return None if not state or state.startswith("Z") else rest.strip()
