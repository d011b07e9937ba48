"""Places where a test may kill the process, as a power cut would. Without an order they do nothing."""

import os
import signal

_left: dict[str, int] = {}


def arm(order: str | None) -> None:
    """Takes an order such as "accept:3": the third pass through `accept` kills the process. None disarms."""
    _left.clear()
    if order:
        name, _, count = order.rpartition(":")
        _left[name] = int(count)


def fail_here(name: str) -> None:
    """Kills the process at once (SIGKILL: no cleaning up) when this pass was ordered."""
    if name not in _left:
        return
    _left[name] -= 1
    if _left[name] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
