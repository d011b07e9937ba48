"""The embedded PostgreSQL: started where needed, shared by all processes of a data directory, stopped by the last.

Everything stands in `<data directory>/database`: `data` (the cluster), `lock` (held only while the server is being
started or stopped), `owners` (which processes use it), `password`, `log`, and `socket` unless its path is too long.

Whoever uses the server may be killed at any time; so nothing is believed because a file says so. A server runs when
its socket answers to our password and names our directory. A process is signalled only when it is known to be the
server of this directory: it works there, and it started when the server says or its socket has just answered.
"""

import asyncio
import atexit
import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from router.cluster import (
    ALWAYS,
    FORGETFUL,
    PORT,
    USER,
    Cluster,
    EmbeddedError,
    environment,
    make_own_directory,
    program,
    read,
    write,
)
from router.processes import birth, signal_if, started_at, until, works_in

__all__ = ["EmbeddedError", "EmbeddedPostgres", "Running"]

DATABASE = "hablemos"
_OWN_DATABASE = "SELECT 'CREATE DATABASE hablemos' WHERE 'hablemos' NOT IN (SELECT datname FROM pg_database) \\gexec\n"
START_SECONDS = 60.0
STOP_SECONDS = 60.0
ORPHAN_SECONDS = 10.0

# The servers started by this process: its children, to be reaped. One may outlive its EmbeddedPostgres, when another
# owner goes on using it.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class Running:
    """A server that answered. `pid` is its first process; `socket` the directory of its socket."""

    socket: Path
    password: str = field(repr=False)
    pid: int

    @property
    def url(self) -> str:
        """The address of the program's own database, for SQLAlchemy over asyncpg. It holds the password."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """The address of another database of the same server; `postgres` is always there."""
        where = f"{quote(database, safe='')}?host={quote(str(self.socket), safe='')}&port={PORT}"
        return f"postgresql+asyncpg://{USER}:{quote(self.password, safe='')}@/{where}"


class _Orphans(EmbeddedError):
    """Processes of a server that was killed still end."""


class EmbeddedPostgres:
    """One owner's hold on the server of a data directory.

    Starting finds a running server or starts one; stopping lets go of it, and stops it when no living process holds it
    any more. `durable=False` trades safety against a power cut for speed, for tests; it counts for the owner that
    really starts the server. Both calls block, for seconds; `async with` runs them in a thread. Both raise
    EmbeddedError.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self._home = _Home(data_dir.absolute())
        self._settings = ALWAYS if durable else ALWAYS | FORGETFUL
        self._token: str | None = None

    def start(self) -> Running:
        try:
            self._home.prepare()
            with self._home.locked():
                running = self._home.find() or self._home.launch(self._settings)
                self._token = self._token or secrets.token_hex(8)
                owners = self._home.owners()
                owners[self._token] = {"pid": os.getpid(), "birth": birth(os.getpid())}
                self._home.remember(owners)
        except OSError as error:
            raise EmbeddedError(f"The database in {self._home.top} cannot be started: {error}.") from error
        return running

    def stop(self) -> None:
        if self._token is None:
            return
        with self._home.locked():
            owners = self._home.owners()
            owners.pop(self._token, None)
            self._home.remember(owners)
            self._token = None
            if not owners:
                self._home.shut_down()

    def __enter__(self) -> Running:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    async def __aenter__(self) -> Running:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)


@dataclass(frozen=True)
class _Note:
    """What `postmaster.pid` claims. `started` is a Unix time in seconds."""

    pid: int
    started: int
    socket: Path | None


class _Home:
    """The directory `database` in a data directory, and the server that lives there."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.top = data_dir / "database"
        self.cluster = Cluster(self.top)

    def prepare(self) -> None:
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        make_own_directory(self.data_dir)
        make_own_directory(self.top)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One starter or stopper at a time. Not inherited by the server, or it would hold the lock for ever."""
        try:
            lock = os.open(self.top / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise EmbeddedError(f"The data directory {self.data_dir} belongs to another user.") from error
        try:
            for _ in until(START_SECONDS + STOP_SECONDS):
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
            else:
                raise EmbeddedError(f"Another process does not get done with starting or stopping {self.top}.")
            yield
        finally:
            os.close(lock)

    def owners(self) -> dict[str, Mapping[str, Any]]:
        """Those of the recorded owners that live: a pid counts only with the start time it was recorded with."""
        try:
            recorded = json.loads(read(self.top / "owners") or "{}")
            return {token: one for token, one in recorded.items() if one["birth"] == (birth(one["pid"]) or "dead")}
        except (ValueError, KeyError, TypeError, AttributeError):
            return {}  # torn by a power cut: no process of that time lives

    def remember(self, owners: Mapping[str, Mapping[str, Any]]) -> None:
        write(self.top / "owners", json.dumps(owners))

    def note(self) -> _Note | None:
        lines = read(self.cluster.data / "postmaster.pid").splitlines()
        if len(lines) < 3 or not lines[0].strip().isdecimal() or not lines[2].strip().isdecimal():
            return None
        socket = Path(lines[4]) if len(lines) > 4 and lines[4] else None
        return _Note(int(lines[0]), int(lines[2]), socket)

    def find(self) -> Running | None:
        """The server of this directory if one runs, waited for while it starts or stops."""
        for _ in until(START_SECONDS):
            _reap()
            note = self.note()
            if note is None:
                return None
            if note.socket and self.answers(note, note.socket):
                return Running(note.socket, self.cluster.password(), note.pid)
            if not works_in(note.pid, "postgres", self.cluster.data):
                return None
        raise EmbeddedError(f"The database in {self.top} runs but does not answer; see {self.cluster.log}.")

    def answers(self, note: _Note, socket: Path) -> bool:
        """Whether the socket answers, for this directory, and the note is that server's own."""
        if not (socket / f".s.PGSQL.{PORT}").exists():
            return False
        where = self.ask(socket, "SELECT current_setting('data_directory')").strip()
        return where == str(self.cluster.data.resolve()) and self.note() == note

    def ask(self, socket: Path, statement: str) -> str:
        command = [program("psql", self.cluster.version()), "-XAtq", "-v", "ON_ERROR_STOP=1", "-f", "-"]
        place = {"PGHOST": str(socket), "PGPORT": str(PORT), "PGUSER": USER, "PGDATABASE": "postgres"}
        own = environment() | place | {"PGPASSWORD": self.cluster.password(), "PGCONNECT_TIMEOUT": "10"}
        return subprocess.run(command, env=own, input=statement, capture_output=True, text=True, check=False).stdout

    def launch(self, settings: Mapping[str, str]) -> Running:
        runs_as = self.cluster.runs_as()
        with contextlib.ExitStack() as undo:
            socket = self.cluster.make_socket_directory(runs_as)
            undo.callback(shutil.rmtree, socket, ignore_errors=True)
            self.cluster.check_reachable(runs_as, socket)
            if not (self.cluster.data / "PG_VERSION").exists():
                self.cluster.create(runs_as, socket, durable="fsync" not in settings)
            self.disown_stale_note()
            # A directory with a comma would be read as two; in double quotes it is one.
            quoted = '"' + str(socket).replace('"', '""') + '"'
            settings = dict(settings) | {"unix_socket_directories": quoted}
            for _ in until(ORPHAN_SECONDS):
                child = self.cluster.spawn(runs_as, settings)
                _children[child.pid] = child
                undo.callback(_end, child)
                with contextlib.suppress(_Orphans):
                    running = self.wait_until_ready(child)
                    undo.pop_all()
                    return running
        raise EmbeddedError(f"Processes of a killed server still work in {self.cluster.data}; end them first.")

    def disown_stale_note(self) -> None:
        """PostgreSQL takes any living process under the number in a left-over `postmaster.pid` for a server, and its
        own parent for none; so we write our number there. The rest stays: from the shared memory named in it
        PostgreSQL itself finds out whether processes of the dead server still live."""
        path = self.cluster.data / "postmaster.pid"
        text = read(path)
        if text:
            _, _, rest = text.partition("\n")
            with open(os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW), "w") as file:
                file.write(f"{os.getpid()}\n{rest}")

    def wait_until_ready(self, child: subprocess.Popen[bytes]) -> Running:
        for _ in until(START_SECONDS):
            if child.poll() is not None:
                kind = _Orphans if "pre-existing shared memory" in self.end_of_log() else EmbeddedError
                raise kind(f"The database did not start; {self.cluster.log} ends: {self.end_of_log()}")
            note = self.note()
            if note and note.pid == child.pid and note.socket and self.answers(note, note.socket):
                self.ask(note.socket, _OWN_DATABASE)
                return Running(note.socket, self.cluster.password(), note.pid)
        raise EmbeddedError(f"The database did not answer in time; {self.cluster.log} ends: {self.end_of_log()}")

    def end_of_log(self) -> str:
        return read(self.cluster.log)[-600:].strip()

    def shut_down(self) -> None:
        """Fast shutdown: open transactions are rolled back, all is written. Crash stop if that takes too long; the
        next start then replays the log."""
        note = self.note()
        if note is None:
            return
        if not (self.ended_by(note, signal.SIGINT, STOP_SECONDS) or self.ended_by(note, signal.SIGQUIT, 10.0)):
            raise EmbeddedError(f"The database in {self.top} does not stop; see {self.cluster.log}.")
        if note.socket and not note.socket.is_relative_to(self.top.resolve()):
            shutil.rmtree(note.socket, ignore_errors=True)

    def ended_by(self, note: _Note, kind: signal.Signals, seconds: float) -> bool:
        """Whether the server is gone, signalled or not. What is not surely the server is left alone."""
        born = birth(note.pid)
        if not signal_if(note.pid, kind, lambda: self.is_server(note)):
            return True
        for _ in until(seconds):
            _reap()
            if birth(note.pid) != born:
                return True
        return False

    def is_server(self, note: _Note) -> bool:
        """Whether the process of the note is the server that wrote it."""
        if not works_in(note.pid, "postgres", self.cluster.data):
            return False
        if note.socket and self.answers(note, note.socket):
            return True
        started = started_at(note.pid)
        return started is not None and abs(started - note.started) <= 3


@atexit.register
def _leave() -> None:
    """A server that others go on using outlives this process: no child was forgotten, and nothing complains of one."""
    for child in _children.values():
        if child.poll() is None:
            child.returncode = 0


def _reap() -> None:
    for pid, child in list(_children.items()):
        if child.poll() is not None:
            _children.pop(pid, None)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ends our own child: until it is waited for, nobody else can have its number."""
    if child.poll() is None:
        child.send_signal(signal.SIGQUIT)
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    _children.pop(child.pid, None)
