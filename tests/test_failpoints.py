import os
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


def test_ordered_to_freeze_it_stands_still_until_it_is_told_to_go_on() -> None:
    program = PROGRAM.replace("accept:3", "accept:3:freeze")
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        process.send_signal(signal.SIGCONT)
        assert process.communicate(timeout=30)[0].split() == list("01234")


@pytest.mark.parametrize("order", [None, "", "elsewhere:1"])
def test_without_an_order_nothing_happens(order: str | None) -> None:
    failpoints.arm(order)
    failpoints.fail_here("accept")
    failpoints.arm(None)
