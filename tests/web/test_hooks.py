"""The carrier's door on a real socket: genuine or 403, stored before it is answered, each event once."""

import logging
from collections.abc import AsyncIterator

import aiohttp
import pytest
from sqlalchemy import func, select

from router.book import Book
from router.model.inbox import InboxRow
from tests.outside import RecordingCarrier
from tests.web.inside import inside


@pytest.fixture
def carrier() -> RecordingCarrier:
    return RecordingCarrier()


@pytest.fixture
async def http(book: Book, carrier: RecordingCarrier) -> AsyncIterator[aiohttp.ClientSession]:
    async with inside(book, carrier) as url, aiohttp.ClientSession(url) as session:
        yield session


async def rows(book: Book) -> int:
    async with book.reading() as r:
        return await r.session.scalar(select(func.count()).select_from(InboxRow)) or 0


async def test_a_genuine_webhook_is_stored_as_it_came_and_the_inbox_is_told(
    book: Book, http: aiohttp.ClientSession
) -> None:
    with book.hub.watch("inbox") as watcher:
        async with http.post("/hooks/carrier/call?ref=a%20b", data=b"leg:a&x=%00\xff"[:8]) as answer:
            assert answer.status == 204
        assert await watcher.changed() == {"inbox"}
    async with book.reading() as r:
        stored = await r.session.scalar(select(InboxRow))
    assert stored is not None
    assert (stored.path, stored.body, stored.source) == ("/hooks/carrier/call?ref=a%20b", b"leg:a&x=", "carrier")


async def test_the_same_event_again_is_answered_and_not_stored_again(book: Book, http: aiohttp.ClientSession) -> None:
    for _ in range(3):
        async with http.post("/hooks/carrier/call?ref=a", data=b"leg:a") as answer:
            assert answer.status == 204
    assert await rows(book) == 1


async def test_what_the_carrier_did_not_sign_is_refused_with_one_line_and_nothing_stored(
    book: Book, carrier: RecordingCarrier, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    carrier.signed = False
    async with http.post("/hooks/carrier/inbound", data=b"From=%2B12025550101&Body=hola") as answer:
        assert answer.status == 403
    refusals = [line for line in caplog.records if line.levelno >= logging.WARNING]
    assert len(refusals) == 1
    assert "2025550101" not in caplog.text
    assert await rows(book) == 0


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [("call", 256 * 1024 + 1, 413), ("elsewhere", 1, 404), ("call/", 1, 404)],
)
async def test_too_much_or_elsewhere_is_refused(
    book: Book, http: aiohttp.ClientSession, path: str, size: int, status: int
) -> None:
    async with http.post(f"/hooks/carrier/{path}", data=b"x" * size) as answer:
        assert answer.status == status
    assert await rows(book) == 0


async def test_a_get_changes_nothing(book: Book, http: aiohttp.ClientSession) -> None:
    async with http.get("/hooks/carrier/call") as answer:
        assert answer.status == 405
    assert await rows(book) == 0
