"""What was published stays as it was: whoever began under a version goes on under that very version."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from router.book import Book
from router.store import packs
from tests import making


@pytest.mark.parametrize("change", [
    "update cadence_versions set body = '{}'", "delete from cadence_versions",
    "update packs set body = ''", "update packs set published_at = now()", "delete from packs",
    "update rulesets set widens = '{1}'", "delete from rulesets",
])
async def test_a_published_version_is_neither_changed_nor_taken_away(book: Book, change: str) -> None:
    async with book.writing() as w:
        queue = await making.queue(w, campaign := await making.campaign(w))
        await making.cadence(w, campaign, {"delay": 1, "unit": "bh"})
        await making.rules(w, queue, owner_seconds=30)
        await packs.publish(w.session, "demo", 2, "key = \"demo\"", w.now)
    with pytest.raises(DBAPIError, match="never changed"):
        async with book.writing() as w:
            await w.session.execute(text(change))


async def test_a_newer_version_stands_beside_the_old_one(book: Book) -> None:
    async with book.writing() as w:
        campaign = await making.campaign(w)
        first = await making.cadence(w, campaign, {"delay": 1, "unit": "bh"})
        second = await making.cadence(w, campaign, {"delay": 2, "unit": "bh"})
    assert (first.version, second.version) == (1, 2)
