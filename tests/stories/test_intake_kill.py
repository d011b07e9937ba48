"""Killed while 200 leads a second come in: every 201 is in the database once, and asking again makes nothing new."""

import asyncio
import itertools
import os
import random
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from sqlalchemy import text

from router.book import Book
from tests.invariants import check
from tests.stories import staging
from tests.stories.staging import House

RATE = 200
RANDOM_KILLS = int(os.environ.get("HABLEMOS_TEST_KILLS", "0"))
"""How often it is killed at a moment nobody chose. Fifty take a few minutes."""

LOST = (aiohttp.ClientError, OSError, TimeoutError)


@dataclass
class Crowd:
    """Many visitors, each with a key of his own. `told` is what each was answered, by key."""

    house: House
    session: aiohttp.ClientSession
    told: dict[str, int] = field(default_factory=dict)
    asked: dict[str, dict[str, Any]] = field(default_factory=dict)
    numbers: Any = field(default_factory=itertools.count)
    answered: asyncio.Event = field(default_factory=asyncio.Event)

    def _body(self) -> dict[str, Any]:
        n = next(self.numbers)
        return {
            "site": "luz", "phone": f"+346{n * 7_654_321 % 10**8:08d}", "name": f"Person {n}",
            "consent": {"purposes": ["requested"], "text": "Yes", "version": "1"},
            "client_request_id": f"visitor-{n:06}",
        }

    async def ask(self, key: str) -> None:
        async with self.session.post(f"{self.house.url}/v1/leads", json=self.asked[key]) as answer:
            said = await answer.json()
            assert answer.status == 201, said
            self.answered.set()
            assert self.told.setdefault(key, said["lead"]) == said["lead"], "another answer to the same key"

    async def come(self) -> None:
        """New visitors at RATE until the house is dead; what they were not told they do not know."""
        asking: set[asyncio.Task[None]] = set()
        loop = asyncio.get_running_loop()
        began, count = loop.time(), 0
        while not self.house.dead:
            body = self._body()
            self.asked[body["client_request_id"]] = body
            asking.add(asyncio.create_task(self.ask(body["client_request_id"])))
            count += 1
            await asyncio.sleep(max(0.0, began + count / RATE - loop.time()))
        for ended in await asyncio.gather(*asking, return_exceptions=True):
            assert ended is None or isinstance(ended, LOST), ended

    async def all_again(self) -> None:
        """Everybody presses once more, many at a time."""
        keys = iter(list(self.asked))

        async def some() -> None:
            for key in keys:
                await self.ask(key)

        await asyncio.gather(*(some() for _ in range(32)))


async def leads_of(book: Book) -> list[int]:
    async with book.reading() as r:
        await check(r.session)
        return [row[0] for row in await r.session.rows(text("select id from leads order by id"))]


async def die(crowd: Crowd, after: float) -> None:
    """Kills the house so many seconds after its first answer."""
    process = crowd.house.process
    assert process is not None
    await crowd.answered.wait()
    await asyncio.sleep(after)
    process.kill()
    await process.wait()


@pytest.mark.parametrize("moment", ["intake.written:9", "intake.committed:9", *["any"] * RANDOM_KILLS])
async def test_every_answered_lead_is_there_once_and_asking_again_makes_nothing_new(
    moment: str, database_url: str
) -> None:
    async with staging.book_of(database_url) as book, staging.phonebox() as box, aiohttp.ClientSession() as session:
        await staging.configure(book)
        house = House(database_url, box.url)
        crowd = Crowd(house, session)
        try:
            await house.start(fail_at="" if moment == "any" else moment)
            async with asyncio.timeout(60):
                after = random.uniform(0.0, 1.0)  # noqa: S311  any moment will do
                killing = asyncio.create_task(die(crowd, after)) if moment == "any" else None
                await crowd.come()
                if killing is not None:
                    await killing
            told = dict(crowd.told)
            assert told, "it died before it answered anybody"
            assert len(set(told.values())) == len(told)
            assert set(told.values()) <= set(await leads_of(book))
            await house.start()
            await crowd.all_again()
            assert {key: crowd.told[key] for key in told} == told
            there = await leads_of(book)
            assert sorted(there) == sorted(crowd.told.values())
            await crowd.all_again()
            assert await leads_of(book) == there
            assert await house.stop() == 0
        finally:
            await house.close()
