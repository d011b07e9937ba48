"""Killed in the middle of a list of quotes: started again it goes on where it stood, and no row comes in twice."""

import asyncio
import signal

import pytest
from sqlalchemy import text

from router.actions import importing
from router.book import Book
from router.importer import Importer
from router.model.agents import Agent
from router.model.campaigns import Queue
from router.model.imports import Import, ImportKind, ImportState
from router.model.sheets import read_sheet
from router.store import imports
from tests.conftest import until
from tests.invariants import check
from tests.stories import staging
from tests.stories.staging import House
from tests.web.browsing import THOROUGH

ROWS = 200
HEAD = "number;phone;name;total;sent;consent;consent text;consent date\n"


async def _checked(book: Book) -> int:
    """A list that has been looked at and is started."""
    rows = [f"P-{n};+1202555{100 + n % 100:04d};Person {n};{n + 1},50;2026-05-03;yes;Sí;2026-05-01\n"
            for n in range(ROWS)]
    sheet = read_sheet((HEAD + "".join(rows)).encode())
    async with book.writing() as w:
        queue, agent = await w.session.get(Queue, 1), await w.session.get(Agent, 1)
        assert queue is not None
        assert agent is not None
        made = importing.begin(
            w, queue, agent.id, sheet, file_name="old.csv", sha256=b"x" * 32, kind=ImportKind.quotes
        )
        await w.session.flush()
        await imports.add_rows(w.session, made.id, 1, sheet.rows)
        await importing.received(w, made.id)
    async with book.writing() as w:
        await importing.check(w, made.id, made.mapping, {})
    await Importer(book).sweep()
    async with book.writing() as w:
        await importing.start(w, made.id)
    return made.id


async def _counted(book: Book) -> dict[str, int]:
    async with book.reading() as r:
        await check(r.session)
        counts = """
            select 'quotes', count(*) from quotes
            union all select 'numbers', count(distinct external_number) from quotes
            union all select 'leads', count(*) from leads union all select 'receipts', count(*) from receipts
            union all select 'watched', count(*) from alarms where kind = 'quote.check'
            union all select 'rows', count(*) from import_rows where outcome is not null
            union all select 'told', count(*) from facts where kind = 'quote.imported'"""
        return {row[0]: row[1] for row in await r.session.rows(text(counts))}


@pytest.mark.parametrize(
    "moments", [("import.written:2", "import.committed:1"), ("import.committed:2",)][not THOROUGH:], ids=" ".join
)
async def test_a_killed_import_goes_on_where_it_stood(moments: tuple[str, ...], database_url: str) -> None:
    async with staging.book_of(database_url) as book, staging.phonebox() as box:
        await staging.configure(book)
        number = await _checked(book)
        house = House(database_url, box.url)

        async def ended() -> bool:
            async with book.reading() as r:
                found = await r.session.get(Import, number)
                return found is not None and found.state is ImportState.done

        try:
            for moment in moments:
                await house.start(fail_at=moment)
                assert house.process is not None
                async with asyncio.timeout(60):
                    assert await house.process.wait() == -signal.SIGKILL
                counts = await _counted(book)
                assert 0 < counts["rows"] < ROWS
                assert set(counts.values()) == {counts["rows"]}
            await house.start()
            await until(ended, "the end of the list", 60)
            assert set((await _counted(book)).values()) == {ROWS}
            assert await house.stop() == 0
        finally:
            await house.close()
