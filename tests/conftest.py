import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine
from xdist.scheduler import LoadScopeScheduling

from integrations.trust import EmbeddedTrust
from router import alarms
from router.book import Book
from router.live import Hub
from router.model import Base
from router.model.vault import Vault
from router.store.db import make_engine, make_reading_engine
from tests import databases

MONDAY_NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Clock:
    """The tests' own time. It moves when told."""

    def __init__(self, now: datetime = MONDAY_NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder shared by all workers of this run, in a place every user may enter."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def admin_url(run_folder: Path) -> Iterator[str]:
    with databases.server(run_folder) as url:
        databases.make_template(url, run_folder)
        yield url


@pytest.fixture(scope="session")
def worker_database(admin_url: str, run_folder: Path) -> str:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    return databases.clone(admin_url, f"house_{worker}", run_folder)


_NUMBERED = {
    f"{table.name}_id_seq": table.name for table in Base.metadata.sorted_tables
    if "id" in table.c and table.c.id.identity
}
_OTHERS = [table.name for table in Base.metadata.sorted_tables if table.name not in _NUMBERED.values()]
_USED = "select sequencename from pg_sequences where last_value is not null"
"""Numbers tell which tables were written to: looking into each of them takes ten times as long."""


PATIENT = {"idle_in_transaction_session_timeout": "20000", "statement_timeout": "20000"}
"""Three browsers on two processors keep a test's event loop waiting for longer than a server's ever should."""


async def emptied(worker_database: str) -> str:
    """The worker's database, empty, its numbers beginning at 1 again."""
    connection = await asyncpg.connect(worker_database.replace("+asyncpg", ""))
    try:
        await _empty(connection)
    finally:
        await connection.close()
    return worker_database


async def _empty(connection: asyncpg.Connection) -> None:
    """Rows are deleted with triggers and keys asleep: for a few rows that is much quicker than truncating."""
    numbers = [row[0] for row in await connection.fetch(_USED) if row[0] in _NUMBERED]
    script = ["set session_replication_role = replica"]
    script += [f"delete from {name}" for name in (*_OTHERS, *map(_NUMBERED.__getitem__, numbers))]  # noqa: S608
    script += [f"select setval('{name}', 1, false)" for name in numbers]
    await connection.execute(";".join(script))


class Broom:
    """A worker's connection that empties its database: a new one, which knows no table yet, takes ten times as long."""

    def __init__(self) -> None:
        self._connection: asyncpg.Connection | None = None
        self._url = ""

    async def sweep(self, url: str) -> None:
        """Empties the database, by a new connection if a test before ended this one or had another server."""
        if self._connection is None or self._connection.is_closed() or url != self._url:
            self.end()
            self._connection, self._url = await asyncpg.connect(url.replace("+asyncpg", "")), url
        await _empty(self._connection)

    def end(self) -> None:
        if self._connection is not None:
            self._connection.terminate()


@pytest.fixture(scope="session")
async def broom() -> AsyncIterator[Broom]:
    made = Broom()
    yield made
    made.end()


@pytest.fixture
async def database_url(worker_database: str, broom: Broom) -> str:
    """The worker's database, empty."""
    await broom.sweep(worker_database)
    return worker_database


class Engines:
    """A worker's engines, for all its tests: a new connection knows no catalogue and no plan, and to learn them takes
    longer than most tests do."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._made: dict[str, tuple[AsyncEngine, list[asyncpg.Connection]]] = {}

    async def take(self, name: str, make: Callable[..., AsyncEngine], **values: int) -> AsyncEngine:
        """The engine of this name, or a new one if a test before ended or kept some of its connections."""
        if name in self._made:
            engine, connections = self._made[name]
            if engine.pool.checkedout() == 0 and not any(one.is_closed() for one in connections):
                return engine
            await engine.dispose()
        engine, connections = make(self._url, limits=PATIENT, **values), []
        event.listen(engine.sync_engine, "connect", lambda raw, _: connections.append(raw.driver_connection))
        self._made[name] = engine, connections
        return engine

    async def end(self) -> None:
        for engine, _ in self._made.values():
            await engine.dispose()


@pytest.fixture(scope="session")
async def engines(worker_database: str) -> AsyncIterator[Engines]:
    made = Engines(worker_database)
    yield made
    await made.end()


@pytest.fixture
async def engine(database_url: str, engines: Engines) -> AsyncEngine:
    return await engines.take("writing", make_engine)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vault() -> Vault:
    return Vault("a secret of at least thirty-two characters")


@pytest.fixture
async def book(engine: AsyncEngine, engines: Engines, clock: Clock, vault: Vault) -> Book:
    reading = await engines.take("reading", make_reading_engine, connections=4)
    return Book(engine, Hub(), vault, "http://127.0.0.1:8080", reading=reading, clock=clock)


@pytest.fixture(scope="session")
async def sealer() -> AsyncIterator[EmbeddedTrust]:
    """A worker's trust provider, its processes warm for all its tests: each of them takes a second to start. It knows
    nothing between two calls: the keys are the book's."""
    made = EmbeddedTrust()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def trust(sealer: EmbeddedTrust, clock: Clock) -> EmbeddedTrust:
    """The trust provider, and the machine's time: a seal has no other clock."""
    clock.now = datetime.now(UTC)
    return sealer


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, a batch of alarms is not cut."""
    for name in ("BATCH_SECONDS", "HUNG_SECONDS", "LONE_SECONDS"):
        monkeypatch.setattr(alarms, name, 60.0)


async def until(condition: Callable[[], Awaitable[object]], what: str, seconds: float = 10.0) -> object:
    """Waits until the condition gives something true, and gives it; fails, saying what was waited for."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := await condition():
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"waited {seconds} s in vain for {what}")


TOGETHER = {
    # They mostly wait: more than two at once would leave the processors idle.
    "stories": ("stories/",),
    "more stories": ("stories/test_alarms_kill", "stories/test_import_kill", "stories/test_planning"),
    # They share the processes that seal and read.
    "trust": (
        *("actions/test_attesting", "actions/test_bundling", "actions/test_countersigning", "actions/test_entering"),
        *("actions/test_erasing", "actions/test_resting", "actions/test_revoking", "actions/test_services_chosen"),
        "actions/test_trusting",
        *("integrations/test_archiving", "integrations/test_signing_sealed"),
        *("web/test_countersigning", "web/test_evidence", "web/test_express", "web/test_mutations", "web/test_verify"),
    ),
    # Each makes something dear once: an authority, a server, the sentences in all sources.
    "authorities": ("integrations/test_trust_",),
    "simulation": ("model/test_simulation",),
    "wording": ("test_wording",),
    "own server": ("test_tail",),
    "embedded": ("test_embedded",),
    "carrier": ("integrations/test_carrier_calls",),
}
"""Which tests go to one worker, by how the names of their files begin; the longest counts."""


_GROUPS = {f"tests/{name}": group for group, names in TOGETHER.items() for name in names}


def group_of(nodeid: str) -> str | None:
    """The group of a test, None of one that may run anywhere."""
    fitting = [name for name in _GROUPS if nodeid.startswith(name)]
    return _GROUPS[max(fitting, key=len)] if fitting else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups first, or the last of them would be waited for when all else is done."""
    order = [*TOGETHER, None]
    items.sort(key=lambda item: order.index(group_of(item.nodeid)))


class InGroups(LoadScopeScheduling):
    """A group goes to one worker, any other test to whoever is free. What xdist has for it reads marks, and with
    pytest 9.2 no longer finds them."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid) or nodeid


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> InGroups | None:
    return InGroups(config, log) if config.getvalue("dist") == "loadscope" else None


def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: twice as many workers as processors, because many tests wait for a process or a browser."""
    return max(2, (os.cpu_count() or 2) * 2)
