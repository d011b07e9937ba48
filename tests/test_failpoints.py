import signal
import subprocess
import sys

import pytest

from router import failpoints

PROGRAM = """
from router import failpoints
failpoints.arm("accept:3")
for n in range(5):
    failpoints.fail_here("accept")
    failpoints.fail_here("signed")
    print(n, flush=True)
"""


def test_the_third_pass_kills_the_process_at_once() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stdout.split()) == (-signal.SIGKILL, ["0", "1"])


@pytest.mark.parametrize("order", [None, "", "elsewhere:1"])
def test_without_an_order_nothing_happens(order: str | None) -> None:
    failpoints.arm(order)
    failpoints.fail_here("accept")
    failpoints.arm(None)
