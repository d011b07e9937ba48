import asyncio
import dataclasses
import fcntl
import json
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typst

from integrations.trust import EmbeddedTrust
from integrations.trust.worker import Worker, WorkerLost
from router.ports import Refused, SealOrder

ROOT = Path(__file__).resolve().parents[2]


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def pids() -> set[int]:
    return {process.pid for process in multiprocessing.active_children() if process.pid}


@pytest.fixture(scope="module")
def order() -> SealOrder:
    keys = EmbeddedTrust().make_authority("Company", datetime.now(UTC)).keys
    return SealOrder(typst.compile(b"= Offer"), b"{}", keys, 1, "Reason", "https://sign.example.com")


@pytest.fixture
async def trust() -> AsyncIterator[EmbeddedTrust]:
    trust = EmbeddedTrust()
    await trust.start()
    yield trust
    await trust.stop()


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    worker = Worker(time.tzset, limit=1.0)
    yield worker
    await worker.stop()


async def test_two_seals_asked_at_once_are_both_made(trust: EmbeddedTrust, order: SealOrder) -> None:
    orders = [dataclasses.replace(order, timestamp_serial=serial, evidence=b"%d" % serial) for serial in (1, 2)]
    sealed = await asyncio.gather(*(trust.seal(one) for one in orders))
    root = order.keys.root_certificate
    looked = [await trust.inspect(one.pdf, root) for one in sealed]
    serials = {check.detail["serial"] for one in looked for check in one.checks if check.name == "time"}
    assert serials == {"1", "2"}
    assert all(check.holds for one in looked for check in one.checks)


async def test_a_refusal_comes_back_from_the_other_process(trust: EmbeddedTrust, order: SealOrder) -> None:
    with pytest.raises(Refused) as refused:
        await trust.seal(dataclasses.replace(order, pdf=b"no pdf"))
    assert (refused.value.permanent, refused.value.code) == (True, "unsealable")


async def test_a_killed_sealing_process_is_replaced_and_the_seal_made(order: SealOrder) -> None:
    before = pids()
    trust = EmbeddedTrust()
    await trust.start()
    try:
        (pid,) = pids() - before
        os.kill(pid, signal.SIGKILL)
        assert (await trust.seal(order)).pdf.startswith(order.pdf)
        assert pids() - before - {pid}
    finally:
        await trust.stop()
    assert pids() <= before


@pytest.mark.parametrize(("pdf", "code"), [(b"hello", "not-a-pdf"), (b"%PDF-" + bytes(10 << 20), "too-large")])
async def test_what_cannot_be_a_seal_starts_no_process(order: SealOrder, pdf: bytes, code: str) -> None:
    before = pids()
    trust = EmbeddedTrust()
    looked = await trust.inspect(pdf, order.keys.root_certificate)
    assert {check.detail["code"] for check in looked.checks} == {code}
    assert pids() <= before


async def test_reading_that_takes_too_long_is_ended_and_says_so(order: SealOrder) -> None:
    entries = 400_000  # seconds of reading in a file that is small enough to be read
    table = b"%%PDF-1.7\nxref\n0 %d\n" % entries + b"0000000009 00000 n \n" * entries
    pdf = table + b"trailer <</Size %d/Root 1 0 R>>\nstartxref\n9\n%%%%EOF\n" % entries
    trust = EmbeddedTrust(inspect_seconds=0.05)
    try:
        looked = await trust.inspect(pdf, order.keys.root_certificate)
    finally:
        await trust.stop()
    assert {check.detail["code"] for check in looked.checks} == {"took-too-long"}


async def test_work_that_overruns_is_ended_and_the_next_finds_a_new_process(worker: Worker) -> None:
    first = await worker.start()
    with pytest.raises(WorkerLost) as lost:
        await worker.run(time.sleep, 600)
    assert lost.value.overran
    assert await worker.run(os.getpid) != first


async def test_work_that_never_lets_go_of_the_interpreter_is_ended_too(worker: Worker) -> None:
    await worker.start()
    with pytest.raises(WorkerLost) as lost:
        await worker.run(re.fullmatch, "(a+)+b", "a" * 60)
    assert lost.value.overran


async def test_work_that_breaks_its_process_twice_is_given_up(worker: Worker) -> None:
    await worker.start()
    with pytest.raises(WorkerLost) as lost:
        await worker.run(os._exit, 3)
    assert not lost.value.overran
    assert await worker.run(os.getpid)


async def test_nobody_elses_work_is_lost_with_a_broken_process(worker: Worker) -> None:
    await worker.start()
    answers = await asyncio.gather(worker.run(os._exit, 3), worker.run(len, "abc"), return_exceptions=True)
    assert isinstance(answers[0], WorkerLost)
    assert answers[1] == 3


async def test_a_caller_who_gives_up_leaves_the_process_usable(worker: Worker) -> None:
    await worker.start()
    asked = asyncio.ensure_future(worker.run(time.sleep, 0.2))
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert await worker.run(len, "abc") == 3


async def test_an_error_of_the_work_itself_is_the_callers(worker: Worker) -> None:
    with pytest.raises(ZeroDivisionError):
        await worker.run(divmod, 1, 0)


async def test_work_that_runs_at_the_stop_is_lost_and_not_its_caller(worker: Worker) -> None:
    await worker.start()
    running, waiting = (asyncio.ensure_future(worker.run(time.sleep, 600)) for _ in range(2))
    await asyncio.sleep(0)
    await worker.stop()
    answers = await asyncio.gather(running, waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [WorkerLost, WorkerLost]


async def test_a_stopped_worker_takes_no_work_and_leaves_no_process(worker: Worker) -> None:
    pid = await worker.start()
    assert pid in pids()
    await worker.stop()
    await worker.stop()
    assert pid not in pids()
    with pytest.raises(WorkerLost):
        await worker.run(len, "abc")


def test_the_service_does_not_import_the_pdf_library_itself() -> None:
    program = "import sys, integrations.trust; sys.exit(any(name.startswith('pyhanko') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


PARENT = """
import asyncio, contextlib, fcntl, json, multiprocessing, socket, sys
from datetime import UTC, datetime
from integrations.trust import EmbeddedTrust
from router.ports import ArchiveOrder, Refused

async def main():
    lock = open(sys.argv[1], "w")
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    door = socket.socket()
    door.bind(("127.0.0.1", 0))
    door.listen()
    door.set_inheritable(True)
    trust = EmbeddedTrust()
    await trust.start()
    keys = trust.make_authority("Company", datetime.now(UTC)).keys
    await trust.inspect(b"%PDF-1.7", keys.root_certificate)
    with contextlib.suppress(Refused):
        await trust.archive(ArchiveOrder(b"no pdf", keys, (), 1))
    pids = [process.pid for process in multiprocessing.active_children()]
    print(json.dumps({"port": door.getsockname()[1], "pids": pids}), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def state(pid: int) -> tuple[str, int]:
    """State and parent of a process; "X" when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "X", 0
    return fields[0], int(fields[1])


def children(pid: int) -> set[int]:
    everybody = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return {one for one in everybody if state(one)[1] == pid}


async def test_a_parent_killed_outright_leaves_no_orphan_no_port_and_no_lock(tmp_path: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("needs /proc to see who is whose child")
    lock = tmp_path / "lock"
    command = (sys.executable, "-c", PARENT, str(lock))
    parent = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert parent.stdout
        said = json.loads(await asyncio.wait_for(parent.stdout.readline(), 60))
        family = children(parent.pid)
        assert set(said["pids"]) <= family
        assert len(said["pids"]) == 3
    finally:
        parent.kill()
        await parent.wait()
    # The processes never had the port and the lock: both are free at once, not only when the last has left.
    with socket.socket() as door, lock.open("w") as file:
        door.bind(("127.0.0.1", said["port"]))
        door.listen()
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    await until(lambda: all(state(pid)[0] in "XZ" for pid in family))
