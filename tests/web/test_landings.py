"""Landing pages are remembered for a moment, and nobody waits for what is remembered."""

import asyncio

import pytest
from sqlalchemy import update

from router.book import Book
from router.model.campaigns import Site
from router.store.sites import Landing
from router.web.landings import REMEMBERED_SECONDS, Landings
from tests import making


class Stopwatch:
    """Seconds, and they pass when told."""

    seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


class Asking(Landings):
    """Counts how often the database is asked."""

    asked = 0

    async def _ask(self, key: str) -> Landing | None:
        self.asked += 1
        return await super()._ask(key)


@pytest.fixture
async def key(book: Book) -> str:
    async with book.writing() as w:
        return (await making.site(w, await making.queue(w, await making.campaign(w)))).key


async def closed(landings: Landings, key: str) -> bool:
    landing = await landings.by_key(key)
    assert landing is not None
    return landing.doorway.closed


async def test_however_many_ask_at_once_the_database_is_asked_once(book: Book, key: str) -> None:
    landings = Asking(book)
    found = await asyncio.gather(*(landings.by_key(key) for _ in range(50)))
    assert landings.asked == 1
    assert all(one is found[0] for one in found)


async def test_while_requests_keep_coming_nobody_waits_and_a_change_is_seen_in_time(book: Book, key: str) -> None:
    stopwatch = Stopwatch()
    landings = Asking(book, stopwatch)
    assert not await closed(landings, key)
    async with book.writing() as w:
        await w.session.execute(update(Site).values(closed=True))
    assert not await closed(landings, key)
    assert landings.asked == 1
    stopwatch.seconds += REMEMBERED_SECONDS * 0.6
    assert not await closed(landings, key), "what is remembered is given at once"
    await asyncio.gather(*landings._asked.values())
    assert landings.asked == 2
    assert await closed(landings, key)


async def test_what_nobody_asked_for_in_between_is_asked_for_anew(book: Book, key: str) -> None:
    stopwatch = Stopwatch()
    landings = Asking(book, stopwatch)
    assert not await closed(landings, key)
    async with book.writing() as w:
        await w.session.execute(update(Site).values(closed=True))
    stopwatch.seconds += REMEMBERED_SECONDS
    assert await closed(landings, key)


async def test_a_key_nobody_knows_is_not_remembered(book: Book, key: str) -> None:
    landings = Asking(book)
    assert [await landings.by_key("unknown") for _ in range(2)] == [None, None]
    assert landings.asked == 2
