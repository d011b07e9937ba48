"""The desk of an agent whose offer's link did not arrive."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import update

from router.book import Book
from router.model.agents import Agent
from tests import closing
from tests.actions.test_resending import RIGHT, lost
from tests.web.desking import PASSWORD_HASH, House, browsing, working


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with working(book) as house:
        yield house


async def test_the_number_is_typed_on_the_desk_and_bad_ones_are_refused(house: House, book: Book) -> None:
    await closing.sent(book, campaign={"key": "sol"})
    async with book.writing() as w:
        await w.session.execute(update(Agent).values(password_hash=PASSWORD_HASH, locale="en"))
    await lost(book)
    async with browsing(house) as browser:
        await browser.sign_in()
        _, page = await browser.get("/desk")
        assert "Numbers to find" in page
        for phone, status in (("", 422), ("<b>", 422), ("+12025550101", 422), ("9" * 400, 422)):
            assert (await browser.post("/desk/numbers/1/found", {"phone": phone}))[0] == status, phone
        assert (await browser.post("/desk/numbers/9/found", {"phone": RIGHT}))[0] == 404
        status, page = await browser.post("/desk/numbers/1/found", {"phone": RIGHT})
        assert (status, "Numbers to find" in page) == (200, False)
        assert (await browser.post("/desk/numbers/1/drop"))[0] == 409
