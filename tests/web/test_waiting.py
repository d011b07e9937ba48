"""The status page tells who waits when he will be reached, and keeps to it however often it is looked at."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import pytest
from sqlalchemy import text, update

from router.actions import dispatch
from router.book import Book
from router.model.agents import Agent
from router.model.tasks import Task
from router.model.vault import hash_token, new_token
from tests import making
from tests.conftest import Clock
from tests.web.test_status import JSON, _next, streaming
from tests.web.visiting import House, visiting


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with visiting(book, queue={"handle_seconds": 300}) as house:
        async with book.writing() as w:
            for login in ("ana", "eva"):
                await making.agent(
                    w, login, call_load=1, busy_since=w.now, heartbeat_at=w.now + timedelta(days=1))
        yield house


@pytest.fixture
async def visitor() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def waiting(house: House, phone: str, rank: int) -> tuple[str, Task]:
    """The address at which somebody who waits looks, and his task."""
    token = new_token()
    async with house.book.writing() as w:
        lead = await making.lead(w, house.queue, phone)
        lead.site_id, lead.status_hash, lead.locale = house.site.id, hash_token(token), "en"
        return f"{house.url}/s/{token}", await making.task(w, house.queue, lead, rank=rank)


async def look(visitor: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with visitor.get(url, headers=JSON) as answer:
        assert answer.status == 200
        found: dict[str, Any] = await answer.json()
        return found


async def test_the_moment_is_told_kept_to_and_has_its_end(
    house: House, clock: Clock, visitor: aiohttp.ClientSession
) -> None:
    _, first = await waiting(house, "+12025550101", 1)
    url, _ = await waiting(house, "+12025550102", 2)
    said = await look(visitor, url)
    assert said["text"] == (
        "All our advisers are on the phone. You are in the queue. We expect to reach you in about 5 minutes.")
    assert datetime.fromisoformat(said["expected_at"]) == clock.now + timedelta(seconds=300)
    clock.forward(70)
    assert "in about 4 minutes." in (await look(visitor, url))["text"]
    async with house.book.writing() as w:
        await dispatch.abandon(w, first.id)
    nearer = await look(visitor, url)
    assert "in about 3 minutes." in nearer["text"]
    assert nearer["expected_at"] < said["expected_at"]
    clock.forward(100)
    assert "in about one minute." in (await look(visitor, url))["text"]
    clock.forward(100)
    assert (await look(visitor, url))["text"].endswith("It is your turn any moment now.")
    async with house.book.writing() as w:
        await w.session.execute(update(Agent).where(Agent.login == "eva").values(heartbeat_at=None))
    assert "in about 5 minutes." in (await look(visitor, url))["text"]


async def test_looking_again_and_again_writes_and_tells_nothing_new(
    house: House, clock: Clock, visitor: aiohttp.ClientSession
) -> None:
    url, task = await waiting(house, "+12025550102", 2)
    told = {(await look(visitor, url))["expected_at"]}
    written = text("select xmin::text from tasks where id = :id").bindparams(id=task.id)
    async with house.book.reading() as r:
        before = await r.session.rows(written, {})
    for _ in range(3):
        clock.forward(10)
        told.add((await look(visitor, url))["expected_at"])
    async with house.book.reading() as r:
        assert await r.session.rows(written, {}) == before
    assert len(told) == 1


async def test_who_follows_his_request_is_told_of_a_nearer_moment(
    house: House, clock: Clock, visitor: aiohttp.ClientSession
) -> None:
    _, first = await waiting(house, "+12025550101", 1)
    url, task = await waiting(house, "+12025550102", 2)
    async with streaming(visitor, url) as (_, events):
        assert "in about 5 minutes." in (await _next(events))["text"]
        async with house.book.writing() as w:
            await dispatch.abandon(w, first.id)
            w.hint(f"lead:{task.lead_id}")
        assert "in about 3 minutes." in (await _next(events))["text"]


async def test_where_nobody_is_no_moment_is_told(house: House, visitor: aiohttp.ClientSession) -> None:
    async with house.book.writing() as w:
        await w.session.execute(update(Agent).values(heartbeat_at=None))
    url, _ = await waiting(house, "+12025550101", 1)
    said = await look(visitor, url)
    assert "expected_at" not in said
    assert said["text"] == "Nobody is at the desk at the moment. Your request is kept."
