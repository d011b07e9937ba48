"""The desk of a line one of whose persons has another number."""

from collections.abc import AsyncIterator
from html import unescape

import pytest
from sqlalchemy import update

from router.book import Book
from router.model.agents import Agent
from router.model.base import vouched
from router.model.contacts import Contact
from router.model.number_searches import Lapse, NumberSearch, SearchState
from router.model.tasks import TaskState
from router.paths import TEMPLATES
from tests import making
from tests.actions.test_seeking import RIGHT, wrong
from tests.web.desking import PASSWORD_HASH, House, browsing, working

HOSTILE = "<b>ads</b>"


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    """Somebody else answered at +12025550101, and Ana says so."""
    async with working(book) as house:
        async with book.writing() as w:
            lead = await making.lead(w, house.queue, claims={"email": "carmen.ruiz@example.com"}, source={
                "utm_source": HOSTILE, "party": ["no", "word"]})
            agent = await making.agent(w, locale="en")
            await w.session.execute(update(Agent).values(password_hash=PASSWORD_HASH))
            task = await making.task(w, house.queue, lead)
        await wrong(book, task.id, agent.id)
        yield house


async def test_the_desk_shows_what_is_known_with_number_and_address_masked(house: House) -> None:
    async with browsing(house) as browser:
        await browser.sign_in()
        _, page = await browser.get("/desk")
    task = page[page.index('id="number-1"'):page.index("</ul>", page.index('id="number-1"'))]
    for words in ("Carmen Ruiz", "The number is somebody else's", "+12•••101", "c•••@example.com",
                  "wants a call now", "Luz Clara", "&lt;b&gt;ads&lt;/b&gt;", "This is the right number",
                  "There is no other number", "at the new number ask again"):
        assert words in task, words
    for words in ("carmen.ruiz", "5550101", HOSTILE):
        assert words not in task, words


async def test_the_right_number_is_typed_there_and_bad_ones_are_refused(house: House, book: Book) -> None:
    async with browsing(house) as browser:
        await browser.sign_in()
        for phone, status in (("", 422), ("<b>", 422), ("+12025550101", 422), ("9" * 400, 422), ("+33123456789", 429)):
            assert (await browser.post("/desk/numbers/1/found", {"phone": phone}))[0] == status, phone
        status, page = await browser.post("/desk/numbers/1/found", {"phone": RIGHT})
        assert (status, "Numbers to find" in page) == (200, False)
        assert (await browser.post("/desk/numbers/1/found", {"phone": RIGHT}))[0] == 409
        assert (await browser.post("/desk/numbers/1/drop"))[0] == 409
    async with book.reading() as r:
        assert vouched(await r.session.get(Contact, 1)).phone == RIGHT


async def test_what_happened_stands_in_the_timeline(house: House, book: Book) -> None:
    async with browsing(house) as browser:
        await browser.sign_in()
        await browser.post("/desk/numbers/1/drop")
        async with book.writing() as w:
            other = await making.lead(w, house.queue, "+12025550102")
            other.contact_id = 1
            await making.task(w, house.queue, other, agent_id=1, state=TaskState.engaged)
        _, page = await browser.get("/desk")
    assert "The number is somebody else's: the person's own is looked for" in page
    assert "No other number was found" in page


@pytest.mark.parametrize(("reason", "words"), [
    ("suppressed", "the person is not to be contacted"), ("renumbered", "another one was found"),
    ("merged", "the person is known by another one"), ("closed", "nothing of the person's is open"),
    ("too_long", "nobody has found one for too long"), ("resent", "the offer has arrived, or has another link"),
])
async def test_the_timeline_says_why_nobody_looks_any_more(
    house: House, book: Book, reason: str, words: str
) -> None:
    async with browsing(house) as browser:
        await browser.sign_in()
        async with book.writing() as w:
            await w.move(NumberSearch, 1, SearchState.lapsed, ended_at=w.now, data={"reason": reason})
            other = await making.lead(w, house.queue, "+12025550102")
            other.contact_id = 1
            await making.task(w, house.queue, other, agent_id=1, state=TaskState.engaged)
        _, page = await browser.get("/desk")
    assert f"No number is looked for any more: {words}" in unescape(page)
    assert "Numbers to find" not in page


async def test_every_reason_has_its_words() -> None:
    """Of who was forgotten there is no page."""
    words = (TEMPLATES / "desk" / "words.html").read_text()
    said = words[words.index("lapsed_words"):].partition("%}")[0]
    assert [one for one in Lapse if f'"{one}"' not in said] == [Lapse.erased]
