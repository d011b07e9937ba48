"""Rounds of dispatch: what a round and a match cost with up to a million waiting tasks and ten thousand agents online.

Beside it, in the same run and in alternation: procrastinate and pgqueuer claiming one job each through their own
interfaces from the same backlogs; and the limit, one bare `FOR UPDATE SKIP LOCKED` head claim. The two come with the
extra "bench"; without them they are left out. Run with `python -m tests.benchmarks.dispatch [--quick]`.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from importlib.util import find_spec
from itertools import pairwise, product
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg

from router import app
from router.actions import dispatch
from router.book import Book
from router.embedded import EmbeddedPostgres
from router.live import Hub
from router.model.campaigns import Ruleset
from router.model.rules import RowPlan, RulesPlan, as_body, needs_at
from router.model.tasks import TIER_FRESH, TIER_NOW, TaskKind, lane_of
from router.model.vault import Vault
from router.store.db import FOR_ROUNDS, make_engine
from router.store.migrations import migrate
from tests import making

GOAL_FLAT, GOAL_AHEAD = 2.0, 1.0
WARM = 7
"""Rounds that are not counted: after five of them the database may settle on another plan."""
BEAT_SECONDS = 5.0
BLOCKED_MOST = 100_000
"""The largest backlog of which every single task is blocked."""
ALL, ONE, LACKING = "all free", "one free", "no skill"
AHEAD_OF = ("procrastinate", "pgqueuer")
BLOCKS = (
    ("one free, every pair excluded: round ms",
     "insert into exclusions (task_id, agent_id, until) select id, 4, now() + interval '1 hour' from tasks "
     "where state = 'queued'", "truncate exclusions"),
    ("one free, all kept for another: round ms",
     "update tasks set prefers = 9, prefers_until = now() + interval '1 hour' where state = 'queued'",
     "update tasks set prefers = null, prefers_until = null where state = 'queued'"),
)
SKILLS, LANES = ("es", "it", "solar"), 18
LIMIT = "one bare claim"

Connection = Any
Claim = Callable[[], Awaitable[int]]
Beside = Callable[[str], AbstractAsyncContextManager["Peer"]]
"""Given the database's address."""


@dataclass(frozen=True)
class Sizes:
    """What is measured: backlogs and teams, rising; how many rounds of each, how often in alternation."""

    backlogs: Sequence[int] = (1_000, 100_000, 1_000_000)
    teams: Sequence[int] = (100, 1_000, 10_000)
    rounds: int = 6
    claims: int = 40
    slices: int = 4
    warm: int = WARM


QUICK = Sizes(backlogs=(1_000, 100_000), teams=(100, 1_000), rounds=4, claims=20, slices=2)


# --- what stands beside us -------------------------------------------------------------------------------------------


@dataclass
class Backlog:
    """What waits somewhere. `fill` adds what is numbered from $1 to $2, `finish` ends what was taken; neither counts,
    and triggers and keys are asleep on their connection."""

    fill: str
    finish: str
    last: int = 0

    async def grow(self, connection: Connection, by: int) -> None:
        for start in range(self.last + 1, self.last + by + 1, 100_000):
            await connection.execute(self.fill, start, min(start + 99_999, self.last + by))
        self.last += by

    async def renew(self, connection: Connection, taken: int) -> None:
        """As many as were taken come anew."""
        if taken:
            await connection.execute(self.finish)
            await self.grow(connection, taken)


@dataclass(frozen=True)
class Peer:
    """`claims`, by their names, each take something of the backlog and say how much."""

    backlog: Backlog
    claims: Mapping[str, Claim]


@asynccontextmanager
async def bare(dsn: str) -> AsyncIterator[Peer]:
    """The least that a claim can be: the head of one queue, marked."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "create table bare (id bigint primary key, state text not null);"
        "create index on bare (id) where state = 'queued'")
    head = await connection.prepare(
        "update bare set state = 'held' where id = (select id from bare where state = 'queued' order by id limit 1 "
        "for update skip locked) returning id")

    async def claim() -> int:
        return int(await head.fetchval() is not None)

    yield Peer(Backlog("insert into bare select generate_series($1::bigint, $2::bigint), 'queued'",
                       "delete from bare where state = 'held'"), {LIMIT: claim})
    await connection.execute("drop table bare")
    await connection.close()


@asynccontextmanager
async def procrastinate(dsn: str) -> AsyncIterator[Peer]:
    """Its worker's own way to the next job, of whatever queue: that is its quickest."""
    from procrastinate import App, PsycopgConnector

    work = App(connector=PsycopgConnector(conninfo=dsn, min_size=1, max_size=1))
    async with work.open_async():
        await work.schema_manager.apply_schema_async()
        worker = await work.job_manager.register_worker()

        async def claim() -> int:
            return int(await work.job_manager.fetch_job(queues=None, worker_id=worker) is not None)

        yield Peer(Backlog(
            "insert into procrastinate_jobs (queue_name, task_name, priority) select 'queue' || n % 18, 'call', n % 2 "
            "from generate_series($1::bigint, $2::bigint) n",
            "delete from procrastinate_jobs where status = 'doing'"), {"procrastinate": claim})


@asynccontextmanager
async def pgqueuer(dsn: str) -> AsyncIterator[Peer]:
    """Its worker's own way to the next job, of as many entry points as we have lanes."""
    from pgqueuer.queries import EntrypointExecutionParameter, Queries

    connection = await asyncpg.connect(dsn)
    queries, manager = Queries.from_asyncpg_connection(connection), uuid4()
    await queries.install()
    entries = {f"entry{n}": EntrypointExecutionParameter(concurrency_limit=0) for n in range(LANES)}

    def claim(most: int) -> Claim:
        async def some() -> int:
            return len(await queries.dequeue(most, entries, manager, None, timedelta(seconds=30)))

        return some

    yield Peer(Backlog(
        "insert into pgqueuer (priority, status, entrypoint) select n % 2, 'queued', 'entry' || n % 18 "
        "from generate_series($1::bigint, $2::bigint) n",
        "delete from pgqueuer where status = 'picked'"), {"pgqueuer": claim(1), "pgqueuer, 50 at once": claim(50)})
    await connection.close()


# --- the house -------------------------------------------------------------------------------------------------------

TASKS = """
with person as (
  insert into contacts (campaign_id, phone, name, locale, created_at)
  select 1, '+33' || (100000000 + n), 'Person', 'es', now() from generate_series($1::bigint, $2::bigint) n returning id
), made as (
  insert into leads (campaign_id, contact_id, intent, claims, source, fields, locale, status_hash, created_at, seq)
  select 1, id, 'call_now', '{}', '{}', '{}', 'es', decode(md5(id::text) || md5('x' || id), 'hex'), now(), 0
  from person returning id, contact_id
)
insert into tasks (campaign_id, queue_id, lead_id, contact_id, kind, state, pool, tier, skills, lane, rank, enqueued_at,
  rules_id, row, expected_present)
select 1, lanes.queue_id, made.id, contact_id, 'call', 'queued', 1, lanes.tier, lanes.skills, lanes.lane,
  (select extract(epoch from min(created_at)) * 1000 from rulesets) + made.id, now(), lanes.rules_id, lanes.row, 0
from made join bench_lanes lanes on lanes.n = made.id % (select count(*) from bench_lanes)
"""

TEAM = """
insert into agents (login, name, role, password_hash, address, locale, skills, pool, call_capacity, chat_capacity,
  video_capacity, call_load, chat_load, video_load, wish, misses, shifts, weight, most_a_day, taken, busy_ms, idle_ms,
  idle_kept_ms, pause_reason, week_target)
select 'agent' || n, 'Agent', 'agent', '!', 'client:' || n, 'es', '{}', 1, 1, 1, 1, 0, 0, 0, 'off', 0, '{}', 1, 0, 0,
  0, 0, 0, '', 0 from generate_series(1, $1::int) n
"""

ONLINE = """
update agents set wish = case when id <= $1 then 'ready' else 'off' end, heartbeat_at = now(),
  call_load = case when $2 = 'one free' and id <> 4 then 1 else 0 end, turn_kept_at = null, busy_since = null,
  idle_since = now() - interval '1 minute' + id * interval '1 millisecond',
  skills = case when $2 = 'no skill' then array['other'] else case id % 5 when 0 then array['es']
    when 1 then array['it'] when 2 then array['solar'] when 3 then array['es', 'es:2', 'it']
    else array['es', 'es:2', 'it', 'it:2', 'solar', 'solar:2'] end end
"""

BEAT = "update agents set heartbeat_at = now() where wish = 'ready'"

LET_GO = """
with gone as (
  update reservations set state = 'canceled', ended_at = now() where state = 'pending' returning id, task_id, agent_id
), left_line as (
  update tasks set state = 'abandoned', ended_at = now(), held_until = null from gone where tasks.id = gone.task_id
), silent as (
  update alarms set state = 'canceled' from gone
  where kind = 'reservation.expire' and subject_id = gone.id and alarms.state = 'pending'
)
update agents set call_load = 0, busy_since = null, turn_kept_at = null, idle_since = clock_timestamp()
from gone where agents.id = gone.agent_id
"""


async def prepare(book: Book, connection: Connection, team: int) -> None:
    """Queues, one in two of which asks for a higher level at first, and a team."""
    lanes: list[tuple[object, ...]] = []
    async with book.writing() as w:
        campaign = await making.campaign(w)
        for skill, relaxes in product(SKILLS, (False, True)):
            plan = RulesPlan(half_life_seconds=600, rows=[RowPlan(60, [skill], 30)] if relaxes else [])
            queue = await making.queue(w, campaign, f"{skill}{relaxes}", skills=[f"{skill}:2" if relaxes else skill])
            rules = Ruleset(queue_id=queue.id, version=1, body=as_body(plan), widens=plan.widens, newest_first=False,
                            created_at=w.now)
            w.session.add(rules)
            await w.session.flush()
            queue.rules_id = rules.id
            for tier, row in product((TIER_NOW, TIER_FRESH), range(len(plan.rows) + 1)):
                needs = needs_at(row, queue.skills, plan)
                lane = lane_of(queue.line, TaskKind.call, tier, row=row, skills=needs)
                lanes.append((len(lanes), queue.id, rules.id, tier, row, needs, lane))
    await connection.execute(
        "create temp table bench_lanes (n int, queue_id bigint, rules_id bigint, tier int, row int, skills text[], "
        "lane text)")
    await connection.copy_records_to_table("bench_lanes", records=lanes)
    assert len(lanes) == LANES
    await connection.execute(TEAM, team)


# --- the run ---------------------------------------------------------------------------------------------------------


@dataclass
class Costs:
    """Of each round or claim: seconds, and how many items it gave out."""

    seconds: list[float] = field(default_factory=list)
    items: list[int] = field(default_factory=list)

    def add(self, seconds: float, items: int) -> None:
        self.seconds.append(seconds)
        self.items.append(items)

    @property
    def ms(self) -> float:
        return statistics.median(self.seconds) * 1000

    @property
    def item_ms(self) -> float:
        """Each item's share of its round."""
        return statistics.median(s / max(1, n) for s, n in zip(self.seconds, self.items, strict=True)) * 1000

    @property
    def rate(self) -> float:
        """Items a second, back to back."""
        return sum(self.items) / sum(self.seconds)


@dataclass
class House:
    """Our rounds. `connection` is for all that is not counted."""

    book: Book
    connection: Connection
    backlog: Backlog = field(default_factory=lambda: Backlog(TASKS, LET_GO))
    beaten: float = 0.0

    async def online(self, team: int, case: str) -> None:
        """So many agents are there: all free, one alone (the others are on the telephone), or free without a skill that
        anything needs."""
        await self.connection.execute(ONLINE, team, case)
        await self.connection.execute("vacuum analyze agents")
        self.beaten = time.monotonic()

    async def round(self) -> tuple[float, int]:
        """Seconds of a round with its transaction, and what it gave out. Everybody is released after it."""
        if time.monotonic() - self.beaten > BEAT_SECONDS:
            await self.connection.execute(BEAT)
            self.beaten = time.monotonic()
        began = time.perf_counter()
        async with self.book.writing() as w:
            made = await dispatch.run_round(w, 1)
        took = time.perf_counter() - began
        await self.backlog.renew(self.connection, made)
        return took, made

    async def rounds(self, team: int, case: str, sizes: Sizes, costs: Costs) -> None:
        await self.online(team, case)
        for n in range(sizes.rounds + 1):
            seconds, made = await self.round()
            if n:
                costs.add(seconds, made)


Found = dict[tuple[int, str], Costs]
"""By backlog and by what was done."""


async def measure(url: str, sizes: Sizes, beside: Sequence[Beside]) -> Found:
    """Our rounds and those beside us in alternation, from the smallest backlog to the largest."""
    found: Found = defaultdict(Costs)
    async with AsyncExitStack() as stack:
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        stack.push_async_callback(connection.close)
        await connection.execute("set session_replication_role = replica")
        engine = make_engine(url, connections=1, limits=FOR_ROUNDS)
        stack.push_async_callback(engine.dispose)
        house = House(Book(engine, Hub(), Vault("x" * 32), ""), connection)
        await prepare(house.book, connection, max(sizes.teams))
        peers = [await stack.enter_async_context(one(url.replace("+asyncpg", ""))) for one in beside]
        for before, backlog in pairwise((0, *sizes.backlogs)):
            for store in (house.backlog, *(peer.backlog for peer in peers)):
                await store.grow(connection, backlog - before)
            await connection.execute("vacuum analyze")
            await connection.execute("checkpoint")
            await house.rounds(min(sizes.teams), ALL, replace(sizes, rounds=sizes.warm), Costs())
            for _ in range(sizes.slices):
                for team, case in product(sizes.teams, (ALL, ONE, LACKING)):
                    await house.rounds(team, case, sizes, found[backlog, f"{case} {team}"])
                for peer in peers:
                    for name, claim in peer.claims.items():
                        await claims(peer.backlog, connection, claim, sizes.claims, found[backlog, name])
            if backlog <= BLOCKED_MOST:
                await blocked(house, backlog, sizes, found)
    return found


async def claims(backlog: Backlog, connection: Connection, claim: Claim, count: int, costs: Costs) -> None:
    taken = 0
    for n in range(count + 3):
        began = time.perf_counter()
        items = await claim()
        if n >= 3:
            costs.add(time.perf_counter() - began, items)
        taken += items
    await backlog.renew(connection, taken)


async def blocked(house: House, backlog: int, sizes: Sizes, found: Found) -> None:
    """One agent is free and has the skills, but has just said no to everything; or everything is kept for another."""
    for case, block, undo in BLOCKS:
        await house.connection.execute(block)
        await house.connection.execute("vacuum analyze tasks, exclusions")
        await house.rounds(min(sizes.teams), ONE, sizes, found[backlog, case])
        await house.connection.execute(undo)
    await house.connection.execute("vacuum analyze tasks, exclusions")


def table(found: Found, sizes: Sizes, names: Sequence[str]) -> None:
    print(f"{'waiting':>10}{'agents':>8}{'round ms':>10}{'ms a match':>12}{'matches/s':>11}{'one free ms':>13}"
          f"{'no skill ms':>13}")
    for backlog, team in product(sizes.backlogs, sizes.teams):
        whole, one, vain = (found[backlog, f"{case} {team}"] for case in (ALL, ONE, LACKING))
        print(f"{backlog:10,}{team:8,}{whole.ms:10.2f}{whole.item_ms:12.3f}{whole.rate:11,.0f}{one.ms:13.2f}"
              f"{vain.ms:13.2f}")
    print(f"{'ms an item, claimed one by one':40}" + "".join(f"{backlog:>12,}" for backlog in sizes.backlogs))
    for name in names:
        print(f"{name:40}" + "".join(f"{found[backlog, name].item_ms:12.3f}" for backlog in sizes.backlogs))
    for case, _, _ in BLOCKS:
        print(f"{case:40}" + "".join(
            f"{found[backlog, case].ms:12.2f}" for backlog in sizes.backlogs if backlog <= BLOCKED_MOST))


def judged(found: Found, sizes: Sizes, names: Sequence[str]) -> list[dict[str, object]]:
    """The worst of each ratio."""
    least, most = sizes.backlogs[0], sizes.backlogs[-1]
    ratios: list[dict[str, object]] = []

    def say(name: str, ratio: float, goal: float | None) -> None:
        ratios.append({"name": name, "ratio": round(ratio, 3), "goal": goal, "ok": goal is None or ratio <= goal})

    for case in (ALL, ONE, LACKING):
        worst = max(found[most, f"{case} {team}"].item_ms / found[least, f"{case} {team}"].item_ms
                    for team in sizes.teams)
        say(f"{most:,} against {least:,} waiting, {case}", worst, GOAL_FLAT)
    for name in names:
        worst = max(found[backlog, f"{ALL} {team}"].item_ms / found[backlog, name].item_ms
                    for backlog, team in product(sizes.backlogs, sizes.teams))
        say(f"a match against {name}", worst, GOAL_AHEAD if name in AHEAD_OF else None)
    return ratios


async def main(quick: bool) -> int:
    sizes = QUICK if quick else Sizes()
    beside: list[Beside] = [bare]
    for name, one in (("procrastinate", procrastinate), ("pgqueuer", pgqueuer)):
        if find_spec(name) is None:
            print(f"{name} is not installed (pip install 'hablemos[bench]') and is left out")
        else:
            beside.append(one)
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, EmbeddedPostgres(Path(folder)) as server:
        await migrate(server.url)
        found = await measure(server.url, sizes, beside)
    names = list(dict.fromkeys(name for _, name in found if name.startswith(("one bare", "procrastinate", "pgqueuer"))))
    table(found, sizes, names)
    ratios = judged(found, sizes, names)
    ok = all(one["ok"] for one in ratios)
    print(json.dumps({"name": "dispatch", "ratios": ratios, "ok": ok}))
    return 0 if ok else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    sys.exit(app.run(main(parser.parse_args().quick)))
