"""Lead posted → the ring is on the agent's stream. At 20 leads a second, with 50 connected agents.

The limit beside it, in the same run: the least that could be done for a ring, a bare INSERT, a hint, an SSE echo.
Run with `python -m tests.benchmarks.ring [--quick]`.
"""

import argparse
import asyncio
import itertools
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from aiohttp import web
from sqlalchemy import text

from router import app, demo
from router.actions import presence
from router.book import Book
from router.embedded import EmbeddedPostgres
from router.live import Hub
from router.model.agents import Wish
from router.model.configuration import read
from router.model.rates import LENIENT
from router.model.vault import Vault
from router.settings import Settings
from router.store import sessions
from router.store.db import make_engine
from router.web.server import Server
from tests.benchmarks.serving import running

AGENTS, RATE = 50, 20
GOAL_P50, GOAL_P99 = 8.0, 12.0
WARM_SECONDS = 3.0
"""Of each server's run, not counted: connections prepare their statements, code is run for the first time."""
AREAS = (202, 212, 213, 305, 312, 415, 512, 617, 702, 818)
ORIGIN = "http://127.0.0.1:1"
RING = re.compile(rb"reservations/(\d+)/accept")

Post = Callable[[int], Awaitable[int]]


# --- the limit: one INSERT, one hint, one echo -----------------------------------------------------------------------


async def bare_server(url: str) -> None:
    """Prints its address; every POST inserts a row, notifies, and echoes the row's id on one of the streams."""
    dsn = url.replace("+asyncpg", "")
    pool = await asyncpg.create_pool(dsn, min_size=8, max_size=8)
    hints, ears = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    await pool.execute("create table if not exists bare (id bigserial primary key, body text)")
    streams: dict[int, web.StreamResponse] = {}
    waiting: set[int] = set()
    told = asyncio.Event()

    async def post(request: web.Request) -> web.Response:
        row = await pool.fetchval("insert into bare (body) values ($1) returning id", await request.text())
        waiting.add(row)
        told.set()
        return web.json_response({"lead": row}, status=201)

    async def hinting() -> None:
        while True:
            await told.wait()
            told.clear()
            batch = sorted(waiting)
            waiting.clear()
            await hints.execute("select pg_notify('bare', $1)", json.dumps(batch))

    async def echo(payload: str) -> None:
        for row in json.loads(payload):
            await streams[row % len(streams)].write(f"data: reservations/{row}/accept\n\n".encode())

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        streams[len(streams)] = response
        await response.write(b": hello\n\n")
        await asyncio.Event().wait()
        return response

    echoes: set[asyncio.Task[None]] = set()
    await ears.add_listener("bare", lambda *heard: echoes.add(asyncio.ensure_future(echo(str(heard[3])))))
    server, application = Server("127.0.0.1", 0), web.Application()
    application.add_routes([web.post("/", post), web.get("/stream", stream)])
    await server.start(application)
    print(server.url, flush=True)
    await hinting()


# --- ours ------------------------------------------------------------------------------------------------------------


async def house_server(url: str, folder: str) -> None:
    """Prints its address; the service as it is, without a telephone company behind it."""
    agents = "".join(
        f'[[agents]]\nlogin = "agent{n}"\nname = "Agent {n}"\nskills = ["es"]\npassword_hash = "$argon2id$none"\n'
        for n in range(AGENTS)
    )
    plan = read(demo.PLAN.partition("[[agents]]")[0] + agents)
    flags = {"data_dir": folder, "carrier_account": demo.ACCOUNT, "carrier_tokens": demo.TOKEN,
             "secret": "x" * 32, "carrier_url": "http://127.0.0.1:9"}
    app.prepare_logs("WARNING")
    server = Server("127.0.0.1", 0)
    async with app.service(Settings.from_env({}, **flags), url, server, kind="demo", plan=plan, limits=LENIENT):
        print(server.url, flush=True)
        await app.until_told_to_stop()


# --- the load --------------------------------------------------------------------------------------------------------


class Measure:
    """When each lead was posted and when its ring was seen; seconds of the loop's clock."""

    def __init__(self) -> None:
        self.posted: dict[int, float] = {}
        self.seen: dict[int, float] = {}

    def milliseconds(self, lead_of: Callable[[int], int | None]) -> list[float]:
        counted = min(self.posted.values()) + WARM_SECONDS
        waits = [
            (at - self.posted[lead]) * 1000
            for ring, at in self.seen.items()
            if (lead := lead_of(ring)) is not None and self.posted.get(lead, 0.0) >= counted
        ]
        return sorted(waits)


async def listen(
    session: aiohttp.ClientSession, url: str, cookie: dict[str, str], measure: Measure,
    on_ping: Callable[[], Awaitable[None]],
) -> None:
    async with session.get(url, cookies=cookie, timeout=aiohttp.ClientTimeout(total=None)) as response:
        response.raise_for_status()
        while chunk := await response.content.readany():
            now = time.perf_counter()
            for found in RING.findall(chunk):
                measure.seen.setdefault(int(found), now)
            if b"ping" in chunk:
                await on_ping()


async def load(post: Post, measure: Measure, seconds: float) -> None:
    """Posts at the given rate; a slow answer holds nothing up."""
    async def one(n: int) -> None:
        began = time.perf_counter()
        measure.posted[await post(n)] = began

    began, posts = time.perf_counter(), []
    for n in range(int(seconds * RATE)):
        await asyncio.sleep(max(0.0, began + n / RATE - time.perf_counter()))
        posts.append(asyncio.create_task(one(n)))
    await asyncio.gather(*posts)
    await asyncio.sleep(2.0)  # the last rings are on their way


async def measure_bare(url: str, seconds: float) -> list[float]:
    measure = Measure()

    async def nothing(*_: object) -> None:
        return

    async with running("tests.benchmarks.ring", "bare", url) as address, aiohttp.ClientSession() as session:
        async def post(n: int) -> int:
            async with session.post(address, data=json.dumps(body_of(n))) as response:
                return int((await response.json())["lead"])

        ears = [asyncio.create_task(listen(session, f"{address}/stream", {}, measure, nothing))
                for _ in range(AGENTS)]
        await asyncio.sleep(0.5)
        await load(post, measure, seconds)
        for ear in ears:
            ear.cancel()
    return measure.milliseconds(lambda ring: ring)


_numbers = itertools.count()


def body_of(_: int) -> dict[str, Any]:
    n = next(_numbers)
    return {
        "site": demo.SITE, "phone": f"+1{AREAS[n // 100 % 10]}55501{n % 100:02d}", "name": f"Person {n}",
        "consent": {"purposes": ["requested"], "text": "Yes, call me.", "version": "1"}, "page": "https://example.com/",
    }


LET_GO = """
with gone as (
  update reservations set state = 'canceled', ended_at = clock_timestamp()
  where state = 'pending' and created_at < clock_timestamp() - interval '300 ms' returning id, task_id, agent_id
), left_line as (
  update tasks set state = 'abandoned', ended_at = clock_timestamp() from gone where tasks.id = gone.task_id
), silent as (
  update alarms set state = 'canceled' from gone
  where kind = 'reservation.expire' and subject_id = gone.id and alarms.state = 'pending'
)
update agents set call_load = call_load - 1, busy_since = null, turn_kept_at = null, idle_since = clock_timestamp()
from gone where agents.id = gone.agent_id
"""


async def let_go(url: str) -> None:
    """The people leave soon after the ring, so that the agents are free again. In one statement, and not through the
    service: that is not what is measured here."""
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    while True:
        await asyncio.sleep(0.25)
        await connection.execute(LET_GO)


async def measure_house(url: str, folder: str, seconds: float) -> tuple[list[float], int]:
    measure = Measure()
    engine = make_engine(url, connections=4)
    book = Book(engine, Hub(), Vault("x" * 32), "")
    async with running("tests.benchmarks.ring", "house", url, folder) as address, aiohttp.ClientSession() as session:
        async with book.writing() as w:
            rows = await w.session.rows(text("select id from agents where login like 'agent%' order by id"))
            opened = {row[0]: await sessions.open_session(w.session, row[0], w.now) for row in rows}
            for agent_id in opened:
                await presence.beat(w, [agent_id])
                await presence.set_wish(w, agent_id, Wish.ready)

        def ponger(cookie: dict[str, str], csrf: str) -> Callable[[], Awaitable[None]]:
            async def pong() -> None:
                headers = {"X-CSRF": csrf, "Origin": address}
                async with session.post(f"{address}/desk/beat", cookies=cookie, headers=headers) as response:
                    response.raise_for_status()

            return pong

        async def post(n: int) -> int:
            async with session.post(f"{address}/v1/leads", json=body_of(n), headers={"Origin": ORIGIN}) as response:
                response.raise_for_status()
                return int((await response.json())["lead"])

        leaving = asyncio.create_task(let_go(url))
        ears = []
        for one in opened.values():
            cookie = {"hablemos": one.token}
            ears.append(asyncio.create_task(
                listen(session, f"{address}/desk/stream", cookie, measure, ponger(cookie, one.csrf))
            ))
        await asyncio.sleep(2.0)
        await load(post, measure, seconds)
        for ear in (*ears, leaving):
            ear.cancel()
        async with book.reading() as r:
            rows = await r.session.rows(
                text("select r.id, t.lead_id from reservations r join tasks t on t.id = r.task_id")
            )
    await engine.dispose()
    lead_of = {row[0]: row[1] for row in rows}
    began = min(measure.posted.values()) + WARM_SECONDS
    return measure.milliseconds(lead_of.get), sum(at >= began for at in measure.posted.values())


def figures(waits: list[float]) -> tuple[float, float]:
    return statistics.median(waits), waits[min(len(waits) - 1, int(len(waits) * 0.99))]


async def main(quick: bool) -> int:
    rounds, seconds = (1, 8.0) if quick else (3, 15.0)
    bare: list[float] = []
    house: list[float] = []
    posted = 0
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, EmbeddedPostgres(Path(folder)) as server:
        for _ in range(rounds):
            bare += await measure_bare(server.url, seconds)
            waits, count = await measure_house(server.url, folder, seconds)
            house += waits
            posted += count
    (bare_p50, bare_p99), (p50, p99) = figures(sorted(bare)), figures(sorted(house))
    print(f"{'':24}{'rings':>7}{'p50 ms':>9}{'p99 ms':>9}")
    print(f"{'INSERT + hint + echo':24}{len(bare):7}{bare_p50:9.1f}{bare_p99:9.1f}")
    print(f"{'lead → ring':24}{len(house):7}{p50:9.1f}{p99:9.1f}   ({posted} leads posted)")
    ratios = [
        {"name": "ring p50", "ratio": round(p50 / bare_p50, 2), "goal": GOAL_P50, "ok": p50 <= GOAL_P50 * bare_p50},
        {"name": "ring p99", "ratio": round(p99 / bare_p99, 2), "goal": GOAL_P99, "ok": p99 <= GOAL_P99 * bare_p99},
    ]
    ok = all(one["ok"] for one in ratios) and len(house) == posted
    print(json.dumps({"name": "ring", "ratios": ratios, "ok": ok}))
    return 0 if ok else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--server", nargs="+")
    options = parser.parse_args()
    if options.server:
        servers: dict[str, Any] = {"bare": bare_server, "house": house_server}
        app.run(servers[options.server[0]](*options.server[1:]))
    else:
        sys.exit(app.run(main(options.quick)))
