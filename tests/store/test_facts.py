"""The journal: written with the change, read in commit order."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from router.book import Book
from router.store import facts
from tests import making


async def test_facts_of_a_lead_are_numbered_without_holes(book: Book) -> None:
    async with book.writing() as w:
        lead = await making.lead(w, await making.queue(w, await making.campaign(w)))
        w.fact("a", lead_id=lead.id)
        w.fact("b", lead_id=lead.id)
    async with book.writing() as w:
        w.fact("c", lead_id=lead.id)
    async with book.reading() as r:
        told = [(fact.seq, fact.kind) for fact in await facts.of_lead(r.session, lead.id)]
    assert told == [(1, "a"), (2, "b"), (3, "c")]


@pytest.mark.parametrize("change", ["update facts set kind = 'x'", "delete from facts"])
async def test_the_journal_refuses_to_be_rewritten(book: Book, change: str) -> None:
    async with book.writing() as w:
        w.fact("a")
    with pytest.raises(DBAPIError, match="never changed"):
        async with book.writing() as w:
            await w.session.execute(text(change))
