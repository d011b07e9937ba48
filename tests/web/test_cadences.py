"""The page of cadences: who may see it, who is inside at which step, and how they are moved."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import select

from router.book import Book
from router.model.agents import Role
from router.model.cadences import Enrolment
from router.model.campaigns import Campaign
from router.model.tasks import Disposition
from tests import making
from tests.actions.test_cadences import CALL, SMS, began, end_call
from tests.conftest import Clock
from tests.web.desking import PASSWORD_HASH, Browser, browsing
from tests.web.visiting import House, visiting


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with visiting(book) as house:
        async with book.writing() as w:
            for login, role in (("sup", Role.supervisor), ("eva", Role.agent)):
                agent = await making.agent(w, login, ready=False, role=role, locale="en")
                agent.password_hash = PASSWORD_HASH
        yield house


@pytest.fixture
async def browser(house: House) -> AsyncIterator[Browser]:
    async with browsing(house) as browser:  # type: ignore[arg-type]
        yield browser


async def test_only_a_supervisor_sees_and_moves(browser: Browser) -> None:
    assert (await browser.get("/cadences"))[0] == 303
    await browser.sign_in("eva")
    assert (await browser.get("/cadences"))[0] == 403
    for path in ("/cadences/versions/1/move", "/cadences/enrolments/1/go-on", "/cadences/enrolments/1/out"):
        assert (await browser.post(path))[0] == 403


async def test_nobody_is_inside_yet(browser: Browser) -> None:
    await browser.sign_in("sup")
    status, page = await browser.get("/cadences")
    assert (status, "No quote has gone quiet yet." in page) == (200, True)


async def test_the_page_says_that_a_call_is_announced(book: Book, clock: Clock, browser: Browser) -> None:
    await began(book, clock, SMS, {**CALL, "delay": 4, "announce_minutes": 60}, key="quiet")
    await browser.sign_in("sup")
    assert "announced by text 60 minutes before" in (await browser.get("/cadences"))[1]


async def test_who_is_inside_stands_at_his_step_and_is_moved_by_a_press(
    book: Book, clock: Clock, browser: Browser
) -> None:
    await began(book, clock, SMS, {**SMS, "delay": 1}, key="quiet")
    async with book.writing() as w:
        brand = await w.session.scalar(select(Campaign).where(Campaign.key == "quiet"))
        assert brand is not None
        await making.cadence(w, brand, SMS, {**SMS, "delay": 3})
    await browser.sign_in("sup")
    _, page = await browser.get("/cadences")
    assert "version 2" in page
    assert "Move 1 person to the newest version" in page
    status, _ = await browser.post("/cadences/versions/1/move")
    assert status == 303
    _, page = await browser.get("/cadences?moved=1&left=0")
    assert "1 person moved to the newest version." in page
    assert "Move 1 person" not in page
    assert (await browser.post("/cadences/versions/2/move"))[0] == 409
    assert (await browser.post("/cadences/versions/99/move"))[0] == 404


async def test_an_outcome_nobody_gave_is_decided_here(book: Book, clock: Clock, browser: Browser) -> None:
    await began(book, clock, CALL, {**SMS, "delay": 1}, key="quiet")
    await end_call(book, Disposition.unclassified)
    await browser.sign_in("sup")
    _, page = await browser.get("/cadences")
    assert "outcome not given" in page
    assert (await browser.post("/cadences/enrolments/1/out"))[0] == 303
    async with book.reading() as r:
        (enrolment,) = await r.session.scalars(select(Enrolment))
    assert enrolment.exit_reason == "dismissed"
    assert (await browser.post("/cadences/enrolments/1/go-on"))[0] == 409


@pytest.mark.parametrize("query", ["moved=x", "moved=-1", "moved=99999999999999", "left=%00", "moved=1&moved=2"])
async def test_bad_addresses_are_no_errors(browser: Browser, query: str) -> None:
    await browser.sign_in("sup")
    assert (await browser.get(f"/cadences?{query}"))[0] == 200
