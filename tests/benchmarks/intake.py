"""Leads taken in over HTTP on 64 connections: how much of what the database itself can write.

The limit, in the same run and in alternation: pgbench writing the same rows of one lead in one prepared statement
(`intake.sql`); and for the latency a handler that does nothing, in alternation too. Beside it: the same intake with the
ORM, one transaction a request; and a group commit of one bare row against pgbench's single INSERT.
Run with `python -m tests.benchmarks.intake [--quick]`.
"""

import argparse
import asyncio
import hashlib
import itertools
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
from aiohttp import web
from sqlalchemy import make_url, text
from sqlalchemy.dialects.postgresql import insert

from router import app, demo
from router.book import Batcher, Book, Writing
from router.cluster import VERSION, program
from router.embedded import EmbeddedPostgres
from router.live import Hub
from router.model.configuration import read
from router.model.consent import Receipt
from router.model.contacts import Contact
from router.model.facts import Fact
from router.model.idempotency import IdempotencyKey
from router.model.leads import Intent, Lead
from router.model.rates import LENIENT
from router.model.tasks import Task, TaskKind, TaskState
from router.model.vault import Vault
from router.settings import Settings
from router.store.db import make_engine
from router.store.migrations import migrate
from router.web.server import Server
from tests.benchmarks.serving import running

CONNECTIONS = 64
GOAL, GOAL_P99, GOAL_FLAT = 0.5, 8.0, 1.3
NOTHING = "a handler that does nothing"
SQL = Path(__file__).with_name("intake.sql")
ORIGIN = "https://luz.example"
TPS, LATENCY = re.compile(r"tps = ([0-9.]+)"), re.compile(r"latency average = ([0-9.]+)")
PLAN = demo.PLAN.partition("[[agents]]")[0].replace("http://127.0.0.1:1", ORIGIN).replace(
    'rule_pack = "demo"', 'rule_pack = "standard"').replace('countries = ["US"]', 'countries = ["ES"]')


# --- what stands beside us -------------------------------------------------------------------------------------------


async def nothing(_: web.Request) -> web.Response:
    return web.json_response({"lead": 1}, status=201)


def one_by_one(book: Book) -> Any:
    """The same rows by the mapped classes, a transaction each."""

    async def handler(request: web.Request) -> web.Response:
        body, now = json.loads(await request.read()), datetime.now(UTC)
        async with book.writing() as w:
            values = {"campaign_id": 1, "name": body["name"], "locale": "es", "created_at": now}
            contact_id = await w.session.scalar(
                insert(Contact).values(phone=body["phone"], **values)
                .on_conflict_do_update(index_elements=["campaign_id", "phone"], index_where=text("phone <> ''"),
                                       set_={"phone": body["phone"]}).returning(Contact.id))
            assert contact_id is not None
            lead = Lead(campaign_id=1, site_id=1, contact_id=contact_id, intent=Intent.call_now, claims={}, locale="es",
                        source={"page": body["page"]}, status_hash=os.urandom(32), created_at=now, seq=2)
            w.session.add(lead)
            await w.session.flush()
            w.session.add(Receipt(
                campaign_id=1, contact_id=contact_id, lead_id=lead.id, purposes=["requested"], text="Yes",
                text_sha256=hashlib.sha256(b"Yes").hexdigest(), version="1", method="widget", address="",
                user_agent="", page=body["page"], given_at=now))
            w.session.add(Task(
                campaign_id=1, queue_id=1, lead_id=lead.id, contact_id=contact_id, kind=TaskKind.call,
                state=TaskState.queued, pool=1, tier=0, skills=["es"], lane="1/1/0/0.0/call/es", rank=1,
                enqueued_at=now))
            for seq, kind in enumerate(("lead.created", "task.queued"), 1):
                w.session.add(Fact(at=now, kind=kind, campaign_id=1, lead_id=lead.id, seq=seq, subject_id=lead.id))
            w.session.add(IdempotencyKey(scope="lead:1", key=body["client_request_id"], request_sha256=b"",
                                         answer={"lead_id": lead.id}, created_at=now))
        return web.json_response({"lead": lead.id}, status=201)

    return handler


def bare_row(book: Book) -> tuple[Any, Batcher[str, int]]:
    """One row in a group commit, as our batches do it."""

    async def write(w: Writing, bodies: Sequence[str]) -> list[int]:
        statement = "insert into bare (body) select unnest(cast(:bodies as text[])) returning id"
        return [row[0] for row in await w.session.execute(text(statement), {"bodies": list(bodies)})]

    batcher = Batcher(book, write)

    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"lead": await batcher.ask((await request.read()).decode())}, status=201)

    return handler, batcher


async def beside_server(url: str, what: str) -> None:
    book = Book(make_engine(url, connections=24), Hub(), Vault("x" * 32), "")
    bare, batcher = bare_row(book)
    handlers = {"nothing": nothing, "orm": one_by_one(book), "bare": bare}
    application = web.Application()
    application.add_routes([web.post("/v1/leads", handlers[what])])
    server, running_batches = Server("127.0.0.1", 0), asyncio.create_task(batcher.run())
    await server.start(application)
    print(server.url, flush=True)
    await app.until_told_to_stop()
    running_batches.cancel()


async def house_server(url: str, folder: str) -> None:
    """The service as it is, with limits that let one address post as much as it can."""
    flags = {"data_dir": folder, "carrier_account": demo.ACCOUNT, "carrier_tokens": demo.TOKEN,
             "secret": "x" * 32, "carrier_url": "http://127.0.0.1:9"}
    app.prepare_logs("ERROR")
    server = Server("127.0.0.1", 0)
    settings = Settings.from_env({}, **flags)
    async with app.service(settings, url, server, kind="service", plan=read(PLAN), limits=LENIENT):
        print(server.url, flush=True)
        await app.until_told_to_stop()


# --- the load --------------------------------------------------------------------------------------------------------

_numbers = itertools.count(int.from_bytes(os.urandom(5)))


def request_of(host: str) -> bytes:
    n = next(_numbers)
    body = json.dumps({
        "site": demo.SITE, "phone": f"+346{n * 7_654_321 % 10**8:08d}", "name": "Person",
        "consent": {"purposes": ["requested"], "text": "Yes, call me.", "version": "1"},
        "page": "https://example.com/", "client_request_id": f"benchmark-{n}",
    })
    return (
        f"POST /v1/leads HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"User-Agent: bench\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


@dataclass
class Load:
    """What was answered until `ends`, on the loop's clock; milliseconds."""

    host: str
    port: int
    begins: float
    ends: float
    waits: list[float] = field(default_factory=list)
    refused: int = 0


class Client(asyncio.Protocol):
    """One connection that asks again as soon as it is answered: as little as a client can be."""

    def __init__(self, load: Load) -> None:
        self.load, self.buffer, self.done = load, b"", asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._ask()

    def _ask(self) -> None:
        self.asked = time.perf_counter()
        if self.asked >= self.load.ends:
            self.transport.close()
            return
        self.transport.write(request_of(f"{self.load.host}:{self.load.port}"))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, end, body = self.buffer.partition(b"\r\n\r\n")
        if not end:
            return
        found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if found is None or len(body) < int(found[1]):
            return
        self.buffer = b""
        if not head.startswith(b"HTTP/1.1 201"):
            self.load.refused += 1
        elif self.asked >= self.load.begins:
            self.load.waits.append((time.perf_counter() - self.asked) * 1000)
        self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


@dataclass(frozen=True)
class Seen:
    """Requests a second, and milliseconds."""

    rate: float
    p50: float = 0.0
    p99: float = 0.0


async def load(address: str, seconds: float) -> Seen:
    """As much as CONNECTIONS connections get answered; the first second does not count."""
    host, port = address.removeprefix("http://").split(":")
    begins = time.perf_counter() + 1.0
    measured = Load(host, int(port), begins, begins + seconds)
    loop = asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(lambda: Client(measured), host, int(port)))[1] for _ in range(CONNECTIONS)
    ]
    await asyncio.gather(*(client.done for client in clients))
    assert not measured.refused, f"{measured.refused} requests were refused"
    waits = sorted(measured.waits)
    return Seen(len(waits) / seconds, statistics.median(waits), waits[int(len(waits) * 0.99)])


async def pgbench(url: str, script: Path, seconds: float, clients: int) -> Seen:
    at = make_url(url)
    command = (program("pgbench", VERSION), "-n", "-M", "prepared", "-f", str(script), "-c", str(clients), "-j", "1",
               "-T", str(max(1, round(seconds))), "-h", str(at.query["host"]), "-U", at.username or "",
               at.database or "")
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={"PGPASSWORD": at.password or "", "PATH": os.defpath})
    said, faults = await process.communicate()
    found = TPS.search(said.decode())
    assert found is not None, faults.decode()
    latency = LATENCY.search(said.decode())
    return Seen(float(found[1]), float(latency[1]) if latency else 0.0)


def middle(runs: list[Seen]) -> Seen:
    return Seen(*(statistics.median(getattr(one, name) for one in runs) for name in ("rate", "p50", "p99")))


# --- the run ---------------------------------------------------------------------------------------------------------

FILL = """
with n as (select generate_series({first}, {last}) as n), person as (
  insert into contacts (campaign_id, phone, name, locale, created_at)
  select 1, '+33' || (100000000 + n), 'Person', 'es', now() from n returning id
), made as (
  insert into leads (campaign_id, site_id, contact_id, intent, claims, source, fields, locale, status_hash, created_at,
    seq)
  select 1, 1, id, 'call_now', '{{}}', '{{"page": "https://example.com/"}}', '{{}}', 'es',
    decode(md5(id::text) || md5('x' || id), 'hex'), now(), 2 from person returning id, contact_id
), proof as (
  insert into receipts (campaign_id, contact_id, lead_id, purposes, text, text_sha256, version, method, address,
    user_agent, page, locale, given_at)
  select 1, contact_id, id, array['requested'], 'Yes', 'x', '1', 'widget', '', '', '', 'es', now() from made
), done as (
  insert into tasks (campaign_id, queue_id, lead_id, contact_id, kind, state, pool, tier, skills, lane, rank,
    enqueued_at, ended_at, row, expected_present)
  select 1, 1, id, contact_id, 'call', 'withdrawn', 1, 0, array['es'], '1/1/0/0.0/call/es', id, now(), now(), 0, 0
  from made
), keys as (
  insert into idempotency (scope, key, request_sha256, answer, created_at)
  select 'lead:1', 'filled-' || id, decode(md5(id::text), 'hex'), '{{}}', now() from made
)
insert into facts (at, kind, campaign_id, lead_id, seq, subject_id, data)
select now(), 'lead.created', 1, id, 1, id, '{{}}' from made
"""


PASS = """
update consumers set xid = last.xid, fact_id = last.id
from (select xid, id from facts order by xid desc, id desc limit 1) last
"""


async def fill(url: str, first: int, last: int) -> None:
    """So many leads stand in the tables before the run."""
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    for start in range(first, last + 1, 50_000):
        await connection.execute(FILL.format(first=start, last=min(start + 49_999, last)))
    await connection.execute(PASS)
    await connection.execute("vacuum analyze")
    await connection.execute("checkpoint")
    await connection.close()


async def settled(url: str) -> None:
    """Lets the journal's reader go on behind what pgbench wrote: that is no work of the house's own leads."""
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    await connection.execute(PASS)
    await connection.close()


async def measure(url: str, folder: str, seconds: float, rounds: int) -> dict[str, list[Seen]]:
    """The house and its limits in alternation."""
    found: dict[str, list[Seen]] = {"house": [], NOTHING: []} | {f"pgbench {n}": [] for n in (8, 24, 64)}
    async with (
        running("tests.benchmarks.intake", "house", url, folder) as address,
        running("tests.benchmarks.intake", "nothing", url) as bare,
    ):
        await load(address, 1.0)
        await load(bare, 1.0)
        for _ in range(rounds):
            for clients in (8, 24, 64):
                found[f"pgbench {clients}"].append(await pgbench(url, SQL, seconds, clients))
            await settled(url)
            found["house"].append(await load(address, seconds))
            found[NOTHING].append(await load(bare, seconds))
    return found


async def beside(url: str, seconds: float) -> dict[str, Seen]:
    """What the other ways come to."""
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    await connection.execute("create table if not exists bare (id bigserial primary key, body text)")
    await connection.close()
    found: dict[str, Seen] = {}
    for what in ("orm", "bare"):
        async with running("tests.benchmarks.intake", what, url) as address:
            await load(address, 1.0)
            found[what] = await load(address, seconds)
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write("insert into bare (body) values ('" + "x" * 300 + "');\n")
        script.flush()
        runs = [await pgbench(url, Path(script.name), seconds, clients) for clients in (8, 24, 64)]
    found["pgbench bare"] = max(runs, key=lambda one: one.rate)
    return found


def row(name: str, seen: Seen, share: float) -> None:
    print(f"{name:46}{seen.rate:9.0f}{seen.p50:9.1f}{seen.p99:9.1f}{share:9.2f}")


async def main(quick: bool) -> int:
    seconds, rounds = (3.0, 2) if quick else (6.0, 3)
    sizes = [1_000, 100_000] if quick else [1_000, 100_000, 1_000_000]
    rates: dict[int, tuple[float, float]] = {}
    waits: list[float] = []
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, EmbeddedPostgres(Path(folder)) as server:
        await migrate(server.url)
        async with running("tests.benchmarks.intake", "house", server.url, folder):
            pass  # its plan is applied
        filled = 0
        others: dict[str, Seen] = {}
        best = Seen(1.0)
        print(f"{'':46}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'share':>9}")
        for size in sizes:
            await fill(server.url, filled + 1, size)
            filled = size
            found = await measure(server.url, folder, seconds, rounds)
            house, bare = middle(found.pop("house")), middle(found.pop(NOTHING))
            best = max((middle(runs) for runs in found.values()), key=lambda one: one.rate)
            rates[size] = (house.rate, house.rate / best.rate)
            waits.append(house.p99 / bare.p99)
            row(f"pgbench, the same rows, {size:,} leads before", best, 1.0)
            row(f"hablemos, POST /v1/leads, {size:,} leads before", house, house.rate / best.rate)
            row(NOTHING, bare, bare.rate / best.rate)
            if not others:
                others = await beside(server.url, seconds)
        row("the ORM, one transaction a request", others["orm"], others["orm"].rate / best.rate)
        row("pgbench, one bare row", others["pgbench bare"], 1.0)
        row("group commit of one bare row", others["bare"], others["bare"].rate / others["pgbench bare"].rate)
    worst = min(share for _, share in rates.values())
    slow = statistics.median(waits)
    flat = rates[sizes[0]][0] / rates[sizes[-1]][0]
    ratios = [
        {"name": "share of pgbench", "ratio": round(worst, 2), "goal": GOAL, "ok": worst >= GOAL},
        {"name": "p99 against a bare handler", "ratio": round(slow, 2), "goal": GOAL_P99, "ok": slow <= GOAL_P99},
        {"name": "smallest to largest", "ratio": round(flat, 2), "goal": GOAL_FLAT, "ok": flat <= GOAL_FLAT},
    ]
    ok = all(one["ok"] for one in ratios)
    print(json.dumps({"name": "intake", "ratios": ratios, "ok": ok}))
    return 0 if ok else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--server", nargs="+")
    options = parser.parse_args()
    if options.server:
        name, database_url, *rest = options.server
        app.run(house_server(database_url, *rest) if name == "house" else beside_server(database_url, name))
    else:
        sys.exit(app.run(main(options.quick)))
