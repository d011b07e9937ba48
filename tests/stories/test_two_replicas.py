"""Two replicas share the work. One is killed again and again, one is frozen with the pool in its hand: nothing is given
twice, nothing is stuck, nothing is lost."""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import text

from router.book import Book
from tests.conftest import PATIENT, until
from tests.invariants import check, check_quiet
from tests.stories import staging
from tests.stories.crews import Crew
from tests.stories.staging import House

TASKS, AGENTS, KILLS = map(int, os.environ.get("HABLEMOS_TEST_REPLICAS", "120 16 2").split())
"""Tasks, agents, kills. The thorough run is "10000 100 20" and takes about seven minutes."""
FROZEN_SECONDS = 3.0
"""A replica that stands still with the pool's lock stops the other for so long: the database ends a transaction that
has been idle for 2 s, and the other looks again within a second."""
SLACK_SECONDS = 5.0
"""What a machine with more to do than it can may add to it."""
NOWHERE = "http://127.0.0.1:9"


@asynccontextmanager
async def two_houses(url: str) -> AsyncIterator[tuple[Book, House, House, aiohttp.ClientSession]]:
    houses = House(url, NOWHERE), House(url, NOWHERE)
    async with AsyncExitStack() as stack:
        for house in houses:
            stack.push_async_callback(house.close)
        book = await stack.enter_async_context(staging.book_of(url, connections=12, limits=PATIENT))
        timeout = aiohttp.ClientTimeout(total=15)
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        yield book, *houses, session


async def killed_again_and_again(crew: Crew, chance: random.Random) -> None:
    """Either replica, at moments spread over the work; it is started again at once."""
    for number in range(1, KILLS + 1):
        share = (number - chance.random()) / (KILLS + 1)
        await until(partial(_closed, crew, share), "work to be done", 1800)
        house = chance.choice(crew.houses)
        assert house.process is not None
        house.process.send_signal(signal.SIGKILL)
        await house.process.wait()
        async with crew.book.reading() as r:
            await check(r.session)
        await house.start()


async def _closed(crew: Crew, share: float) -> bool:
    await asyncio.sleep(0.1)
    return (await crew.left()).get("closed", 0) >= share * TASKS


async def test_two_replicas_give_each_task_once_whichever_is_killed(database_url: str) -> None:
    chance = random.Random(7)  # noqa: S311  no secret
    async with two_houses(database_url) as (book, one, other, session):
        await asyncio.gather(one.start(), other.start())
        crew = Crew(book, (one, other), session, chance)
        await crew.hire(AGENTS, ring_seconds=max(5, AGENTS // 5))
        await crew.leads(TASKS // 2, 0)
        async with asyncio.TaskGroup() as group:
            always = [group.create_task(crew.beat()), group.create_task(crew.work())]
            killing = group.create_task(killed_again_and_again(crew, chance))
            for first in range(TASKS // 2, TASKS, 50):
                await crew.leads(min(50, TASKS - first), first)
            await killing
            await until(partial(_all_done, crew), "all to be done", 1800)
            for task in always:
                task.cancel()
        async with book.reading() as r:
            await check(r.session)
            await check_quiet(r.session, r.now)
            engaged = await r.session.rows(text(
                "select subject_id, count(*) from facts where kind = 'task.engaged' group by 1 having count(*) > 1"))
            assert not engaged, "given to two"
        assert (await crew.left()) == {"closed": TASKS}
        twice = {task: agents for task, agents in crew.yes.items() if len(agents) > 1}
        assert not twice, f"two were told that it is theirs: {twice}"


async def _all_done(crew: Crew) -> bool:
    await asyncio.sleep(0.2)
    left = await crew.left()
    return set(left) == {"closed"}


def is_frozen(house: House) -> bool:
    assert house.process is not None
    return Path(f"/proc/{house.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


async def queued(book: Book) -> int:
    async with book.reading() as r:
        return int((await r.session.rows(text("select count(*) from tasks where state = 'queued'")))[0][0])


async def rings(book: Book) -> list[Any]:
    async with book.reading() as r:
        return [tuple(row) for row in await r.session.rows(text(
            "select id, task_id, agent_id, state from reservations order by id"))]


async def beating(crew: Crew) -> None:
    with suppress(asyncio.CancelledError):
        await crew.beat()


async def test_a_replica_frozen_with_the_pool_in_its_hand_stops_the_other_for_seconds_and_changes_nothing_when_thawed(
    database_url: str,
) -> None:
    async with two_houses(database_url) as (book, frozen, other, session):
        await asyncio.gather(frozen.start(fail_at="round.made:1:freeze"), other.start())
        crew = Crew(book, (frozen, other), session, random.Random(7))  # noqa: S311  no secret
        await crew.hire(40, ring_seconds=600)
        heart = asyncio.create_task(beating(crew))
        try:
            count = 0
            while not is_frozen(frozen):
                assert count < 30, "it never had a round of its own"
                await crew.leads(1, count)
                count += 1
                await until(lambda: _stopped_or_given(book, frozen), "a round", 10)
            began = time.monotonic()
            await crew.leads(3, count)
            assert await queued(book) >= 1
            await until(lambda: _given(book), "the other to go on", 20)
            took = time.monotonic() - began
            before = await rings(book)
            assert frozen.process is not None
            frozen.process.send_signal(signal.SIGCONT)
            async with session.get(f"{frozen.url}/readyz") as answer:
                assert answer.status == 200
            assert await rings(book) == before, "its late commit changed something"
            async with book.reading() as r:
                await check(r.session)
            assert other.process is not None
            other.process.kill()
            await other.process.wait()
            await crew.leads(1, count + 3)
            await until(lambda: _given(book), "the thawed one to work again", 20)
            assert took < FROZEN_SECONDS + SLACK_SECONDS, f"the other stood still for {took:.1f} s"
            assert await frozen.stop() == 0
        finally:
            heart.cancel()


async def _given(book: Book) -> bool:
    return await queued(book) == 0


async def _stopped_or_given(book: Book, house: House) -> bool:
    return is_frozen(house) or await queued(book) == 0
