"""Alarms: how many are claimed and done a second, and how late, with up to a million more that lie in the future.

Beside them, in the same run and in alternation, procrastinate and pgqueuer with as many scheduled jobs, each by its own
worker. A replica is a process of its own. Everybody's work is one fact in the journal: ours are written together at the
end of their transaction, as all that the house records; theirs by a statement each, as their jobs are made for. When it
was done is the time of that fact's commit, as the database wrote it down. What falls due was put in after what lies
ahead. procrastinate looks twice a second, as our clock does, and works on ten jobs at once; pgqueuer takes as many at a
time as we do. The two come with the extra "bench"; without them they are left out.
Run with `python -m tests.benchmarks.alarms [--quick]`.
"""

import argparse
import asyncio
import json
import math
import signal
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import asyncpg
import uvloop

from router.alarms import BATCH, Alarms
from router.book import Book, Writing
from router.embedded import EmbeddedPostgres, Running
from router.live import Hub
from router.model.vault import Vault
from router.store.db import make_engine, make_reading_engine
from router.store.migrations import migrate
from router.ticks import Sweep, Ticks
from tests.benchmarks.serving import running

GOAL_FLAT, GOAL_AHEAD = 1.5, 1.0
HOUSE, PROCRASTINATE, PGQUEUER = "hablemos", "procrastinate", "pgqueuer"
LOOK_SECONDS = 0.5
AT_ONCE = 10
"""Jobs a worker of procrastinate's does at the same time, and connections for the work of the others."""
AHEAD = 1.0
"""So many seconds before they fall due the alarms of a run are put in, while the workers wait."""

Connection = Any
EFFECT = "insert into facts (at, kind, subject_id, data) values (now(), 'rang', $1, '{}')"


@dataclass(frozen=True)
class Sizes:
    """Backlogs, rising; replicas; how many fall due a second for so many seconds, and then how many at once; how often
    all of that in alternation; for how many seconds more than they need at best they are watched."""

    backlogs: Sequence[int] = (1_000, 100_000, 1_000_000)
    replicas: Sequence[int] = (1, 3)
    at_once: int = 3_000
    a_second: int = 150
    seconds: int = 4
    slices: int = 2
    patience: float = 5.0


QUICK = Sizes(backlogs=(1_000, 100_000), at_once=1_000, seconds=3, slices=1, patience=3.0)


# --- the workers, each in a process of its own -----------------------------------------------------------------------


async def house(url: str) -> None:
    engine, reading = make_engine(url, connections=6), make_reading_engine(url, connections=2)

    async def ring(w: Writing, number: int) -> None:
        w.fact("rang", subject_id=number)

    book = Book(engine, Hub(), Vault("x" * 32), "", reading=reading)
    alarms = Alarms(book, {"bench": ring})
    ticks = Ticks(book.hub, [Sweep("alarms", alarms.sweep, every=LOOK_SECONDS, audiences=("alarms",))])
    await ticks.start()
    await until_stopped()
    await ticks.stop()
    await reading.dispose()
    await engine.dispose()


async def procrastinate(url: str) -> None:
    from procrastinate import App, PsycopgConnector

    work = App(connector=PsycopgConnector(conninfo=plain(url), min_size=AT_ONCE, max_size=AT_ONCE + 2))
    pool = await asyncpg.create_pool(plain(url), min_size=AT_ONCE, max_size=AT_ONCE)

    @work.task(name="bench")
    async def ring(number: int) -> None:
        await pool.execute(EFFECT, number)

    async with work.open_async():
        worker = asyncio.create_task(work.run_worker_async(
            concurrency=AT_ONCE, fetch_job_polling_interval=LOOK_SECONDS, install_signal_handlers=False))
        await until_stopped()
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
    await pool.close()


async def pgqueuer(url: str) -> None:
    from pgqueuer import PgQueuer
    from pgqueuer.models import Job

    connection = await asyncpg.connect(plain(url))
    pool = await asyncpg.create_pool(plain(url), min_size=AT_ONCE, max_size=AT_ONCE)
    work = PgQueuer.from_asyncpg_connection(connection)

    @work.entrypoint("bench")
    async def ring(job: Job) -> None:
        await pool.execute(EFFECT, int(job.payload or b"0"))

    worker = asyncio.create_task(work.qm.run(batch_size=BATCH))
    await until_stopped()
    work.qm.shutdown.set()
    await asyncio.wait([worker], timeout=2)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    await pool.close()


async def until_stopped() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print("ready", flush=True)
    await stop.wait()


def plain(url: str) -> str:
    return url.replace("+asyncpg", "")


WORKERS: Mapping[str, Callable[[str], Awaitable[None]]] = {
    HOUSE: house, PROCRASTINATE: procrastinate, PGQUEUER: pgqueuer
}


# --- what lies in their tables ---------------------------------------------------------------------------------------


@dataclass
class Store:
    """`fill` puts in what is numbered from $1 to $2, due at $3 and then every $4 seconds; `drop` takes out what is
    numbered from $1 on and was not done. `last` is the last number."""

    table: str
    fill: str
    drop: str
    last: int = 0

    async def add(self, connection: Connection, count: int, start: str, every: float) -> None:
        for first in range(0, count, 100_000):
            some = min(100_000, count - first)
            fill = self.fill.format(start=start)
            await connection.execute(fill, self.last + 1, self.last + some, every)
            self.last += some


DUE = "now() + {start} + (n - $1) * $3::float8 * interval '1 s'"
STORES: Mapping[str, Store] = {
    HOUSE: Store(
        "alarms",
        f"insert into alarms (kind, subject_id, due_at, state, failures) select 'bench', n, {DUE}, 'pending', 0 "  # noqa: S608
        "from generate_series($1::bigint, $2::bigint) n",
        "delete from alarms where kind = 'bench' and subject_id >= $1 and state = 'pending'"),
    PROCRASTINATE: Store(
        "procrastinate_jobs",
        "insert into procrastinate_jobs (queue_name, task_name, args, scheduled_at) select 'queue', 'bench', "  # noqa: S608
        f"jsonb_build_object('number', n), {DUE} from generate_series($1::bigint, $2::bigint) n",
        "delete from procrastinate_jobs where status in ('todo', 'doing') and (args ->> 'number')::bigint >= $1"),
    PGQUEUER: Store(
        "pgqueuer",
        "insert into pgqueuer (priority, status, entrypoint, payload, execute_after) select 0, 'queued', 'bench', "  # noqa: S608
        f"convert_to(n::text, 'utf8'), {DUE} from generate_series($1::bigint, $2::bigint) n",
        "delete from pgqueuer where convert_from(payload, 'utf8')::bigint >= $1"),
}

async def prepare(url: str, names: Sequence[str], connection: Connection) -> None:
    if PROCRASTINATE in names:
        from procrastinate import App, PsycopgConnector

        work = App(connector=PsycopgConnector(conninfo=plain(url), min_size=1, max_size=1))
        async with work.open_async():
            await work.schema_manager.apply_schema_async()
    if PGQUEUER in names:
        from pgqueuer.queries import Queries

        await Queries.from_asyncpg_connection(connection).install()


# --- the run ---------------------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """Of each run: alarms a second, and each alarm's seconds from due to committed."""

    rates: list[float] = field(default_factory=list)
    lateness: list[list[float]] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    def ms(self, share: float) -> float:
        """The quantile of a run, of the runs the median."""
        return statistics.median(quantile(run, share) for run in self.lateness) * 1000


def quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


Found = dict[tuple[int, int, str], Seen]
"""By backlog, replicas, and who."""

# Whatever was not done by the end of the watch counts as done at its end.
LATENESS = """
select extract(epoch from coalesce(pg_xact_commit_timestamp(e.xmin), clock_timestamp())
  - ($1::timestamptz + (n - $2) * $4::float8 * interval '1 s'))::float8
from generate_series($2::bigint, $3::bigint) n left join facts e on e.subject_id = n and e.kind = 'rang'
"""
SPAN = """
select count(*), extract(epoch from max(pg_xact_commit_timestamp(xmin)) - min(pg_xact_commit_timestamp(xmin)))::float8
from facts where kind = 'rang'
"""


@dataclass
class Course:
    """One database, in which they run one after the other. `connection` is for all that is not counted."""

    url: str
    connection: Connection
    sizes: Sizes
    stores: Mapping[str, Store]

    async def backlog(self, name: str, by: int) -> None:
        """So many more lie between one and two months ahead. Put in without waking anybody: nobody is there yet."""
        await self.connection.execute("set session_replication_role = replica")
        await self.stores[name].add(self.connection, by, "interval '30 days'", 2.6)
        await self.connection.execute("set session_replication_role = origin")

    async def run(self, name: str, replicas: int, seen: Seen) -> None:
        async with AsyncExitStack() as stack:
            await asyncio.gather(*(
                stack.enter_async_context(running("tests.benchmarks.alarms", name, self.url)) for _ in range(replicas)))
            first, every = self.stores[name].last + 1, 1 / self.sizes.a_second
            begun = await self._fall_due(name, self.sizes.a_second * self.sizes.seconds, every)
            rows = await self.connection.fetch(LATENESS, begun, first, self.stores[name].last, every)
            seen.lateness.append([row[0] for row in rows])
            await self._fall_due(name, self.sizes.at_once, 0.0)
            seen.rates.append(await self._rate())
        await self.connection.execute(self.stores[name].drop, first)
        await self.connection.execute(f"vacuum analyze {self.stores[name].table}")

    async def _fall_due(self, name: str, count: int, every: float) -> Any:
        """Puts in so many, and watches until they are done or the patience ends; when the first of them was due. Their
        tables give notice of it, to whoever listens."""
        await self.connection.execute("truncate facts")
        first = self.stores[name].last + 1
        async with self.connection.transaction():
            begun = await self.connection.fetchval(f"select now() + interval '{AHEAD} s'")
            await self.stores[name].add(self.connection, count, f"interval '{AHEAD} s'", every)
        loop = asyncio.get_running_loop()
        end = loop.time() + AHEAD + count * every + self.sizes.patience
        while loop.time() < end:
            if await self.connection.fetchval("select count(*) from facts where subject_id >= $1", first) >= count:
                break
            await asyncio.sleep(0.1)
        return begun

    async def _rate(self) -> float:
        """From the first commit to the last, or to the end of the watch."""
        done, span = await self.connection.fetchrow(SPAN)
        if done < self.sizes.at_once:
            return float(done / self.sizes.patience)
        return float(done / span)


async def measure(server: Running, sizes: Sizes, names: Sequence[str]) -> Found:
    """A database for each backlog. They take turns, so that an hour in which the machine is busy is everybody's."""
    found: Found = defaultdict(Seen)
    async with AsyncExitStack() as stack:
        courses: dict[int, Course] = {}
        for backlog in sizes.backlogs:
            url = await made(server, f"pending{backlog}")
            connection = await asyncpg.connect(plain(url))
            stack.push_async_callback(connection.close)
            await prepare(url, names, connection)
            courses[backlog] = Course(url, connection, sizes, {name: replace(STORES[name]) for name in names})
            for name in names:
                await courses[backlog].backlog(name, backlog)
            await connection.execute("vacuum analyze")
        for _, replicas, backlog, name in product(range(sizes.slices), sizes.replicas, sizes.backlogs, names):
            await courses[backlog].connection.execute("checkpoint")
            await courses[backlog].run(name, replicas, found[backlog, replicas, name])
    return dict(sorted(found.items(), key=lambda item: item[0][:2]))


async def made(server: Running, name: str) -> str:
    """The address of a new database with our schema."""
    admin = await asyncpg.connect(plain(server.url_of("postgres")))
    await admin.execute(f"create database {name}")
    await admin.close()
    await migrate(server.url_of(name))
    return server.url_of(name)


def table(found: Found) -> None:
    print(f"{'pending':>10}{'replicas':>10}  {'':16}{'alarms/s':>10}{'late p50 ms':>13}{'late p99 ms':>13}")
    for (backlog, replicas, name), seen in found.items():
        print(f"{backlog:10,}{replicas:10}  {name:16}{seen.rate:10,.0f}{seen.ms(0.5):13,.1f}{seen.ms(0.99):13,.1f}")


def judged(found: Found, sizes: Sizes, names: Sequence[str]) -> list[dict[str, object]]:
    """The worst of each ratio."""
    least, most = sizes.backlogs[0], sizes.backlogs[-1]
    ratios: list[dict[str, object]] = []

    def say(name: str, ratio: float, goal: float) -> None:
        ratios.append({"name": name, "ratio": round(ratio, 3), "goal": goal, "ok": ratio <= goal})

    for name in names:
        if name != HOUSE:
            worst = max(found[backlog, replicas, name].rate / found[backlog, replicas, HOUSE].rate
                        for backlog, replicas in product(sizes.backlogs, sizes.replicas))
            say(f"alarms a second, {name} against us", worst, GOAL_AHEAD)
    for replicas in sizes.replicas:
        say(f"lateness p99, {most:,} against {least:,} pending, {replicas} replicas",
            found[most, replicas, HOUSE].ms(0.99) / found[least, replicas, HOUSE].ms(0.99), GOAL_FLAT)
    return ratios


async def main(quick: bool) -> int:
    sizes, names = QUICK if quick else Sizes(), [HOUSE]
    for name in (PROCRASTINATE, PGQUEUER):
        if find_spec(name) is None:
            print(f"{name} is not installed (pip install 'hablemos[bench]') and is left out")
        else:
            names.append(name)
    found = await compare(sizes, names)
    table(found)
    ratios = judged(found, sizes, names)
    ok = all(one["ok"] for one in ratios)
    print(json.dumps({"name": "alarms", "ratios": ratios, "ok": ok}))
    return 0 if ok else 1


async def compare(sizes: Sizes, names: Sequence[str]) -> Found:
    """On a server of its own."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        with EmbeddedPostgres(Path(folder)) as server:
            await told_when(server.url)
        with EmbeddedPostgres(Path(folder)) as server:
            return await measure(server, sizes, names)


async def told_when(url: str) -> None:
    """From its next start on the server writes down when each transaction was committed."""
    connection = await asyncpg.connect(plain(url))
    await connection.execute("alter system set track_commit_timestamp = on")
    await connection.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--server", nargs=2, metavar=("WHO", "URL"), help="a worker; the benchmark starts them itself")
    given = parser.parse_args()
    if given.server:
        uvloop.run(WORKERS[given.server[0]](given.server[1]))
    else:
        sys.exit(uvloop.run(main(given.quick)))
