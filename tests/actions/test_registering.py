"""Registering: a register's file counts as a whole or not at all, and what it lists is not called."""

import hashlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from router.actions import guarding, publishing, registering
from router.actions.registering import Took
from router.book import Book
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.errors import Conflict, Invalid
from router.model.guard import Purpose, Verdict
from router.model.registers import read_line
from router.store import packs, registers
from tests import making
from tests.conftest import Clock

PHONE = "+34910000001"
STRICT = packs.of_program()["standard"].replace("version = 1", "version = 2", 1) + """
[[registers]]
id = "test-register"
words = "Who is listed is not called."
source = "the test"
verified = true
key = "robinson"
max_age_days = 30
"""


async def parts(*pieces: str) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece.encode()


async def take(book: Book, *pieces: str, as_of: datetime | None = None) -> Took:
    async with book.reading() as r:
        now = r.now
    return await registering.take(book, "robinson", as_of or now, parts(*pieces), country="ES")


@pytest.fixture
async def person(book: Book) -> None:
    async with book.writing() as w:
        await publishing.publish(w, STRICT)
        queue = await making.queue(w, await making.campaign(w, rule_pack="standard"))
        await making.lead(w, queue, PHONE)


async def asked(book: Book) -> Verdict:
    async with book.writing() as w:
        contact = vouched(await w.session.get(Contact, 1))
        campaign = vouched(await w.session.get(Campaign, 1))
        return await guarding.ask_guard(w, campaign, contact, Purpose.commercial)


@pytest.mark.usefixtures("person")
async def test_a_register_denies_before_it_is_there_when_it_lists_and_when_it_is_old(book: Book, clock: Clock) -> None:
    assert (await asked(book)).rules == ("register.robinson.missing",)
    await take(book, "600000001\n")
    assert (await asked(book)).allowed
    await take(book, "telefono;nombre\n910 00 00 01;x\n600000001\n")
    assert (await asked(book)).rules == ("register.robinson.listed",)
    await take(book, "600000001\n")
    assert (await asked(book)).allowed
    clock.forward(timedelta(days=31).total_seconds())
    assert (await asked(book)).rules == ("register.robinson.stale",)


async def test_numbers_come_plain_or_hashed_in_pieces_of_any_size(book: Book) -> None:
    hashed = hashlib.sha256(b"+34600000003").hexdigest().upper()
    whole = f"\ufeffnumber\r\n600 000 001\r\n+34600000002,x\n\n{hashed}\n+34600000002"
    for size in (1, 7, len(whole)):
        took = await take(book, *(whole[start : start + size] for start in range(0, len(whole), size)))
        assert (took.numbers, took.unread) == (3, 1)
        async with book.reading() as r:
            for last in (1, 2, 3):
                assert (await registers.ask(r.session, f"+3460000000{last}", ["robinson"]))[0].listed
            assert not (await registers.ask(r.session, "+34600000004", ["robinson"]))[0].listed


@pytest.mark.usefixtures("person")
async def test_a_file_that_breaks_off_or_is_none_leaves_the_old_one_in_force(book: Book) -> None:
    await take(book, "910000001\n")

    async def broken() -> AsyncIterator[bytes]:
        yield b"600000001\n"
        raise ConnectionError

    async with book.reading() as r:
        now = r.now
    with pytest.raises(ConnectionError):
        await registering.take(book, "robinson", now, broken(), country="ES")
    with pytest.raises(Invalid):
        await take(book, "")
    with pytest.raises(Invalid):
        await take(book, "600000001\n" + "not a number\n" * 5)
    with pytest.raises(Conflict):
        await take(book, "600000001\n", as_of=now - timedelta(days=1))
    assert (await asked(book)).rules == ("register.robinson.listed",)


async def test_what_counts_no_more_is_deleted_and_what_counts_is_not(book: Book) -> None:
    await take(book, "600000001\n600000002\n")
    await take(book, "600000003\n")
    assert await registering.forget(book) == 2
    async with book.reading() as r:
        assert (await r.session.rows(text("select count(*) from register_numbers")))[0][0] == 1


@pytest.mark.parametrize(("name", "days"), [
    ("Robinson", 0), ("", 0), ("x" * 50, 0), ("robinson", 3), ("robinson", -9000),
])
async def test_a_name_or_a_day_that_cannot_be_is_refused(book: Book, clock: Clock, name: str, days: int) -> None:
    with pytest.raises(Invalid):
        await registering.take(book, name, clock.now + timedelta(days=days), parts("600000001\n"), country="ES")


@pytest.mark.parametrize("line", ["", "name", ";", "\t", "x" * 900, "00000000", "+", "0" * 63])
def test_what_is_no_number_is_none(line: str) -> None:
    assert read_line(line, "ES") is None
