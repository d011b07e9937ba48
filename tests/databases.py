"""One server for a test run, one database for each worker, cloned from a migrated template."""

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import asyncpg

from router.embedded import EmbeddedPostgres
from router.store.migrations import migrate

TEMPLATE = "house"


def named(admin_url: str, database: str) -> str:
    """The same server's other database."""
    base, _, rest = admin_url.rpartition("/")
    _, question, query = rest.partition("?")
    return f"{base}/{database}{question}{query}"


async def run_as_admin(admin_url: str, *statements: str) -> None:
    connection = await asyncpg.connect(admin_url.replace("+asyncpg", ""))
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """The address of an administrator's database: TEST_DATABASE_URL, or an embedded server shared by the workers."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given.replace("postgresql://", "postgresql+asyncpg://")
        return
    # Not in pytest's own folder: root's is closed to the unprivileged user that the server runs as.
    home = Path(tempfile.gettempdir()) / f"hablemos-run-{sha256(bytes(folder)).hexdigest()[:12]}"
    postgres = EmbeddedPostgres(home, durable=False)
    with locked(folder):
        running = postgres.start()
    try:
        yield running.url
    finally:
        with locked(folder):
            postgres.stop()
            if not (home / "database" / "data" / "postmaster.pid").exists():  # no other worker uses it
                shutil.rmtree(home)
                (folder / "template-made").unlink(missing_ok=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One worker at a time."""
    with (folder / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make_template(admin_url: str, folder: Path) -> None:
    """Migrates the template once a run, whichever worker comes first."""
    done = folder / "template-made"
    with locked(folder):
        if not done.exists():
            asyncio.run(run_as_admin(admin_url, f"drop database if exists {TEMPLATE}", f"create database {TEMPLATE}"))
            asyncio.run(migrate(named(admin_url, TEMPLATE)))
            done.touch()


def clone(admin_url: str, name: str, folder: Path) -> str:
    """A fresh copy of the template."""
    with locked(folder):
        asyncio.run(
            run_as_admin(
                admin_url, f"drop database if exists {name} with (force)", f"create database {name} template {TEMPLATE}"
            )
        )
    return named(admin_url, name)
