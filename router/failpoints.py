"""Places where a test may kill the process, as a power cut would, or freeze it. Without an order they do nothing."""

import os
import signal

_left: dict[str, int] = {}
_signals: dict[str, signal.Signals] = {}


def arm(order: str | None) -> None:
    """Takes an order such as "accept:3": the third pass through `accept` kills the process; with "accept:3:freeze" it
    stands still (SIGSTOP) until it is told to go on. None disarms."""
    _left.clear()
    if order:
        name, count, *how = order.split(":")
        _left[name], _signals[name] = int(count), signal.SIGSTOP if how else signal.SIGKILL


def fail_here(name: str) -> None:
    """Kills the process at once (no cleaning up), or freezes it, when this pass was ordered."""
    if name not in _left:
        return
    _left[name] -= 1
    if _left[name] == 0:
        os.kill(os.getpid(), _signals[name])
