"""Health on a real socket: alive, ready, and figures without anything personal."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import aiohttp
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from router.book import Book
from router.live import Hub
from router.model.alarms import Alarm, AlarmState
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.vault import Vault, new_token
from router.store.db import make_engine
from router.ticks import Sweep, Ticks
from router.web.health import Figures
from tests import making
from tests.conftest import Clock
from tests.web.inside import figures, inside


@asynccontextmanager
async def ticking() -> AsyncIterator[Ticks]:
    ran = asyncio.Event()

    async def run() -> None:
        ran.set()

    ticks = Ticks(Hub(), [Sweep("courier", run, every=3600)])
    await ticks.start()
    await ran.wait()
    try:
        yield ticks
    finally:
        await ticks.stop()


async def ask(url: str, **headers: str) -> tuple[int, str, str | None]:
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as answer:
        return answer.status, await answer.text(), answer.headers.get("Retry-After")


async def test_a_house_in_order_is_alive_and_ready(book: Book) -> None:
    async with ticking() as ticks, inside(book, known=figures(ticks)) as url:
        assert await ask(f"{url}/healthz") == (200, '{"ok": true}', None)
        status, body, _ = await ask(f"{url}/readyz")
        assert status == 200, body


async def test_a_sweep_without_a_cure_makes_it_ill(book: Book) -> None:
    async with ticking() as ticks, inside(book, known=figures(ticks)) as url:
        ticks.sweeps[0].ended_at -= 1_000_000
        assert await ask(f"{url}/healthz") == (503, '{"ok": false}', "2")
        assert (await ask(f"{url}/readyz"))[0] == 503


async def test_a_house_whose_sweeps_were_stopped_is_not_ready(book: Book) -> None:
    async with inside(book) as url:
        status, body, again = await ask(f"{url}/readyz")
    assert (status, again) == (503, "2")
    assert '"sweeps": false' in body


async def test_another_schema_is_not_ready(book: Book, engine: AsyncEngine) -> None:
    async with ticking() as ticks, inside(book, known=figures(ticks)) as url:
        async with engine.begin() as connection:
            right = (await connection.execute(text("select version_num from alembic_version"))).scalar_one()
            await connection.execute(text("update alembic_version set version_num = 'other'"))
        try:
            status, body, _ = await ask(f"{url}/readyz")
        finally:
            async with engine.begin() as connection:
                await connection.execute(text("update alembic_version set version_num = :right"), {"right": right})
    assert status == 503
    assert '"database": true, "schema": false' in body


async def test_without_a_database_it_is_alive_and_not_ready(vault: Vault) -> None:
    engine = make_engine("postgresql+asyncpg://nobody@127.0.0.1:1/none", connections=1)
    book = Book(engine, Hub(), vault, "http://127.0.0.1")
    async with ticking() as ticks, inside(book, known=figures(ticks)) as url:
        assert (await ask(f"{url}/healthz"))[0] == 200
        status, body, again = await ask(f"{url}/readyz")
        assert (status, again) == (503, "2")
        assert '"database": false' in body
        assert (await ask(f"{url}/metrics"))[0] == 503
    await engine.dispose()


@dataclass(frozen=True)
class Bird:
    healthy: bool
    silent_seconds: float
    p50: float = 0.25
    p99: float = 1.5


async def test_a_silent_canary_makes_it_ill_and_keeps_nobody_from_coming_in(book: Book) -> None:
    async with ticking() as ticks:
        for bird, status in ((Bird(True, 12.0), 200), (Bird(False, 300.0), 503)):
            async with inside(book, known=replace(figures(ticks), canary=bird)) as url:
                ill, said, _ = await ask(f"{url}/healthz")
                assert ill == status
                told = {"p99_seconds": 1.5, "silent_seconds": bird.silent_seconds}
                assert json.loads(said) == {"ok": bird.healthy, "canary": told}
                ready, body, _ = await ask(f"{url}/readyz")
                assert (ready, json.loads(body)["canary"]) == (200, told)
                _, body, _ = await ask(f"{url}/metrics")
                found = values(body)
                assert found['hablemos_canary_lateness_seconds{quantile="0.99"}'] == 1.5
                assert found["hablemos_canary_silent_seconds"] == bird.silent_seconds


def values(body: str) -> dict[str, float]:
    for line in body.splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) \w+ .+|[a-z_]+(\{(\w+="[^"]*",?)+\})? [-+.0-9e]+', line), line
    return {name: float(value) for name, value in re.findall(r"^([^#\s]+) (\S+)$", body, re.M)}


async def test_the_figures_tell_what_waits_and_nothing_personal(
    book: Book, engine: AsyncEngine, clock: Clock
) -> None:
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w), 'a"b')
        await making.task(w, queue, await making.lead(w, queue))
        w.session.add(Alarm(kind="x", subject_id=1, due_at=w.now, state=AlarmState.parked))
        for state in (DeliveryState.pending, DeliveryState.unknown):
            w.session.add(Delivery(
                kind=DeliveryKind.message, ref=new_token(), dedupe_key=new_token(), to_customer=False, due_at=w.now,
                order={"to": "+12025550101"}, created_at=w.now, state=state,
            ))
    clock.forward(30)
    async with ticking() as ticks:
        known = figures(ticks)
        known.rings.add(1.5)  # type: ignore[attr-defined]
        known = Figures(known.ticks, known.lateness, known.rings, engine.pool)  # type: ignore[arg-type]
        async with inside(book, known=known) as url:
            with book.hub.watch("wallboard"):
                status, body, _ = await ask(f"{url}/metrics")
    assert status == 200
    assert r'hablemos_queue_length{campaign="luz",queue="a\"b"} 1' in body
    body = body.replace(r"a\"b", "ab")
    found = values(body)
    assert found["hablemos_oldest_unsent_delivery_seconds"] == 30
    assert found['hablemos_deliveries{state="unknown"}'] == 1
    assert found['hablemos_parked{kind="alarm"}'] == 1
    assert found['hablemos_ring_seconds{quantile="0.99"}'] == 1.5
    assert found['hablemos_due_work_lateness_seconds{quantile="0.99"}'] == 0
    assert found["hablemos_streams_open"] == 1
    assert found['hablemos_database_connections{state="most"}'] == 10
    assert "hablemos_facts_held_back_seconds" in found
    assert "2025550101" not in body
    assert "Carmen" not in body


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via"])
async def test_what_a_proxy_passes_on_is_not_from_this_machine(book: Book, header: str) -> None:
    async with inside(book) as url:
        assert (await ask(f"{url}/metrics", **{header: "127.0.0.1"}))[0] == 403
