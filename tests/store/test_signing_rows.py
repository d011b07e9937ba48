"""What the database itself forbids in a signing."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from router.book import Book
from router.store import blobs, signings
from tests import closing


@pytest.mark.parametrize("change", ["update evidence set kind = 'x'", "delete from evidence"])
async def test_evidence_refuses_to_be_rewritten(book: Book, change: str) -> None:
    await closing.sent(book)
    with pytest.raises(DBAPIError, match="never changed"):
        async with book.writing() as w:
            await w.session.execute(text(change))


async def test_a_quote_has_one_live_signing(book: Book) -> None:
    await closing.sent(book)
    copy = """
        insert into signings (
            quote_id, campaign_id, contact_id, lead_id, state, phone, link_hash, expires_at, created_at,
            code_tries, tries, codes_sent, consents, name_typed, level, time_source, chain_length)
        select quote_id, campaign_id, contact_id, lead_id, state, phone, '\\x01', expires_at, created_at,
            0, 0, 0, '[]', '', '', '', 0 from signings
    """
    with pytest.raises(DBAPIError, match="one_live_signing_per_quote"):
        async with book.writing() as w:
            await w.session.execute(text(copy))


async def test_a_document_kept_twice_is_one_row(book: Book) -> None:
    async with book.writing() as w:
        first = await blobs.keep(w.session, b"%PDF", "application/pdf", w.now)
        assert await blobs.keep(w.session, b"%PDF", "application/pdf", w.now) == first
        assert await blobs.content(w.session, first) == b"%PDF"
        assert await blobs.content(w.session, None) is None


async def test_timestamps_are_numbered_from_a_sequence(book: Book) -> None:
    async with book.writing() as w:
        assert await signings.next_serial(w.session) < await signings.next_serial(w.session)
