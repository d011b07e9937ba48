"""The embedded PostgreSQL, with its real programs: shared, killed, found again, and never a danger to others."""

import asyncio
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from router.embedded import EmbeddedError, EmbeddedPostgres, Running
from router.processes import birth, until, works_in

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")

HOLD = """
import sys
from pathlib import Path
from router.embedded import EmbeddedPostgres
running = EmbeddedPostgres(Path(sys.argv[1]), durable=False).start()
print(running.pid, flush=True)
sys.stdin.read()
"""


def _top() -> Path:
    """A directory that the server's user can reach, which pytest's own are not for root."""
    top = Path(tempfile.mkdtemp(prefix="hablemos-test-"))
    top.chmod(0o711)
    return top


def _end_servers(top: Path) -> None:
    for note in top.rglob("postmaster.pid"):
        pid = int(note.read_text().split()[0])
        if works_in(pid, "postgres", note.parent):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def place() -> Iterator[Path]:
    top = _top()
    yield top
    _end_servers(top)
    shutil.rmtree(top, ignore_errors=True)


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A data directory with a database, made once: that takes a second."""
    top = _top()
    with EmbeddedPostgres(top / "d", durable=False):
        pass
    yield top / "d"
    shutil.rmtree(top, ignore_errors=True)


@pytest.fixture
def data_dir(made: Path) -> Iterator[Path]:
    """That data directory, its server stopped; whatever a test leaves running is ended."""
    yield made
    _end_servers(made)


def embedded(data_dir: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(data_dir, durable=False)


@contextmanager
def another_owner(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the server; killed at the end if it still lives."""
    command = [sys.executable, "-c", HOLD, str(data_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        try:
            yield owner
        finally:
            owner.kill()


@contextmanager
def innocent() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def pid_held_by(owner: subprocess.Popen[str]) -> int:
    assert owner.stdout is not None
    return int(owner.stdout.readline())


async def ask(running: Running, statement: str, database: str = "hablemos") -> object:
    connection = await asyncpg.connect(running.url_of(database).replace("+asyncpg", ""))
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def gone(pid: int) -> bool:
    return any(birth(pid) is None for _ in until(20))


def put_pid(data_dir: Path, pid: int) -> None:
    note = data_dir / "database" / "data" / "postmaster.pid"
    note.write_text(f"{pid}\n{note.read_text().partition(chr(10))[2]}")


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """The file is away, and comes back."""
    kept = path.with_name("aside")
    path.rename(kept)
    try:
        yield path
    finally:
        kept.replace(path)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_who_started_a_server_that_others_use_leaves_without_a_complaint(data_dir: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", HOLD, str(data_dir)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as owner:
        pid = pid_held_by(owner)
        with embedded(data_dir) as running:
            _, said = owner.communicate()
            assert (said, owner.returncode) == ("", 0)
            assert (running.pid, birth(pid) is None) == (pid, False)


async def test_what_was_written_is_there_after_a_stop_and_a_start(data_dir: Path) -> None:
    async with embedded(data_dir) as first:
        assert await ask(first, "SELECT current_database()::text") == "hablemos"
        await ask(first, "CREATE TABLE kept AS SELECT 7 AS number")
    assert gone(first.pid)
    assert not list(first.socket.glob(".s.PGSQL.*"))
    async with embedded(data_dir) as second:
        assert await ask(second, "SELECT number FROM kept") == 7


async def test_it_writes_safely_listens_to_no_port_and_asks_for_the_password(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir) as running:
        assert await ask(running, "SHOW fsync") == "on"
        assert await ask(running, "SHOW listen_addresses") == ""
        assert running.password not in repr(running)
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(running.url.replace("+asyncpg", "").replace(running.password, "guessed"))
        assert mode(data_dir / "database" / "password") == 0o600
        assert mode(running.socket) == 0o700


async def test_its_log_holds_no_word_of_what_people_typed(data_dir: Path) -> None:
    async with embedded(data_dir) as running:
        await ask(running, "CREATE TABLE people (name text PRIMARY KEY)")
        await ask(running, "INSERT INTO people VALUES ('Ana Torres')")
        with pytest.raises(asyncpg.UniqueViolationError):
            await ask(running, "INSERT INTO people VALUES ('Ana Torres')")
    log = (data_dir / "database" / "log").read_text()
    assert "duplicate key" in log
    assert "Ana" not in log


async def test_a_second_owner_shares_the_server_and_the_last_one_stops_it(data_dir: Path) -> None:
    first, second = embedded(data_dir), embedded(data_dir)
    running = first.start()
    assert second.start().pid == running.pid
    first.stop()
    assert await ask(running, "SELECT 1") == 1
    second.stop()
    assert gone(running.pid)


def test_stopping_twice_or_before_the_start_does_nothing(data_dir: Path) -> None:
    postgres = embedded(data_dir)
    postgres.stop()
    with postgres:
        pass
    postgres.stop()


def test_two_processes_that_start_at_once_get_one_server(place: Path) -> None:
    with another_owner(place / "d") as one, another_owner(place / "d") as other:
        assert pid_held_by(one) == pid_held_by(other)


def test_the_server_of_a_killed_owner_is_found_again_and_stopped_in_the_end(data_dir: Path) -> None:
    with another_owner(data_dir) as owner:
        pid = pid_held_by(owner)
        owner.kill()
        owner.wait()
        assert birth(pid), "the server outlives its owner"
        with embedded(data_dir) as running:
            assert running.pid == pid
    assert gone(pid)


async def test_a_killed_server_starts_again_with_what_was_committed(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir) as killed:
        await ask(killed, "CREATE TABLE committed AS SELECT 7 AS number")
        os.kill(killed.pid, signal.SIGKILL)
        async with EmbeddedPostgres(data_dir) as running:
            assert running.pid != killed.pid
            assert await ask(running, "SELECT number FROM committed") == 7
    assert gone(running.pid)


def test_a_left_over_note_that_names_an_innocent_process_harms_nobody(data_dir: Path) -> None:
    with embedded(data_dir) as killed, innocent() as other:
        os.kill(killed.pid, signal.SIGKILL)
        assert gone(killed.pid)
        put_pid(data_dir, other.pid)
        with embedded(data_dir) as running:
            assert running.pid != other.pid
        assert other.poll() is None


def test_stopping_signals_no_process_that_is_not_the_server(data_dir: Path) -> None:
    postgres = embedded(data_dir)
    running = postgres.start()
    with innocent() as other:
        put_pid(data_dir, other.pid)
        postgres.stop()
        assert other.poll() is None
    put_pid(data_dir, running.pid)
    with postgres:
        pass
    assert gone(running.pid)


def test_an_owner_whose_number_was_given_to_another_process_no_longer_counts(data_dir: Path) -> None:
    with embedded(data_dir) as running:
        owners = data_dir / "database" / "owners"
        owners.write_text(
            json.dumps(json.loads(owners.read_text()) | {"old": {"pid": os.getpid(), "birth": "earlier"}})
        )
    assert gone(running.pid)


@pytest.mark.parametrize("torn", ["", "{", "[]", '{"a": 1}', '{"a": {"pid": 1}}'])
def test_a_torn_list_of_owners_keeps_no_server_running(data_dir: Path, torn: str) -> None:
    with embedded(data_dir) as running:
        (data_dir / "database" / "owners").write_text(torn)
    assert gone(running.pid)


def test_a_start_that_died_while_the_cluster_was_made_is_repeated(place: Path) -> None:
    half = place / "d" / "database" / "data.new"
    half.mkdir(parents=True)
    for directory in (place / "d", half.parent):
        directory.chmod(0o711)
    (half / "PG_VERSION").write_text("18\n")
    with embedded(place / "d"):
        assert not half.exists()


def test_a_database_without_its_password_says_what_is_missing(data_dir: Path) -> None:
    with aside(data_dir / "database" / "password"), pytest.raises(EmbeddedError, match="password is missing"):
        embedded(data_dir).start()


def test_a_database_of_another_version_is_not_touched(data_dir: Path) -> None:
    with aside(data_dir / "database" / "data" / "PG_VERSION") as version:
        version.write_text("17\n")
        with pytest.raises(EmbeddedError, match="no PostgreSQL 17"):
            embedded(data_dir).start()


async def test_a_long_and_odd_path_works_and_leaves_nothing_in_the_temporary_directory(place: Path) -> None:
    data_dir = place / 'año, "new" o\'clock $HOME' / ("long" * 40) / "d"
    data_dir.parent.mkdir(parents=True)
    async with embedded(data_dir) as running:
        assert await ask(running, "SELECT 1") == 1
        assert not running.socket.is_relative_to(data_dir)
        assert mode(running.socket) == 0o700
    assert not running.socket.exists()


def test_the_users_own_settings_for_postgresql_change_nothing(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGHOST": "/nowhere", "PGPORT": "1", "PGDATA": "/nowhere", "PGOPTIONS": "--nonsense"}.items():
        monkeypatch.setenv(name, value)
    with embedded(data_dir) as running:
        assert running.pid


async def test_the_loop_goes_on_while_the_server_starts(data_dir: Path) -> None:
    ticked = asyncio.Event()
    asyncio.get_running_loop().call_soon(ticked.set)
    async with embedded(data_dir):
        assert ticked.is_set()


@root_only
def test_root_runs_it_as_somebody_else(data_dir: Path) -> None:
    with embedded(data_dir) as running:
        assert Path(f"/proc/{running.pid}").stat().st_uid != 0


@root_only
def test_a_fresh_private_directory_of_root_is_opened_for_passing_only(place: Path) -> None:
    fresh = Path(tempfile.mkdtemp(dir=place))
    before = mode(place)
    with embedded(fresh):
        assert mode(fresh) == 0o711
    assert mode(place) == before


@root_only
def test_a_directory_that_the_user_cannot_enter_is_named_and_keeps_its_mode(place: Path) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedError, match=r"nobody cannot enter \S+/closed\. Choose another data directory"):
        embedded(closed / "d").start()
    assert mode(closed) == 0o700


@root_only
def test_a_private_directory_in_which_something_stands_is_left_as_it_is(place: Path) -> None:
    used = place / "used"
    used.mkdir(mode=0o700)
    (used / "secret").write_text("x")
    with pytest.raises(EmbeddedError, match="cannot enter"):
        embedded(used).start()
    assert mode(used) == 0o700
