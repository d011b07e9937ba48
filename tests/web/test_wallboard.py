import re
from collections.abc import AsyncIterator

import pytest

from router.book import Book
from router.model.agents import Agent, Role
from router.store import screens
from tests import making
from tests.web.desking import Browser, House, browsing, ring, working
from tests.web.test_desk import HOSTILE


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with working(book) as house:
        yield house


@pytest.fixture
async def ana(house: House) -> Agent:
    return await house.agent("ana", locale="en")


@pytest.fixture
async def browser(house: House, ana: Agent) -> AsyncIterator[Browser]:
    async with browsing(house) as browser:
        await browser.sign_in()
        yield browser


async def test_an_agent_does_not_see_the_wallboard(house: House, browser: Browser) -> None:
    assert (await browser.get("/wallboard"))[0] == 403


async def test_the_wallboard_tells_the_line_and_the_team(house: House, ana: Agent) -> None:
    await house.agent("sol", role=Role.supervisor, name=HOSTILE, locale="en")
    await ring(house, ana)
    async with house.book.writing() as w:
        await making.task(w, house.queue, await making.lead(w, house.queue, "+12025550102"))
    async with browsing(house) as supervisor:
        await supervisor.sign_in("sol")
        status, page = await supervisor.get("/wallboard")
    assert status == 200
    assert 'data-since="2026-11-23T12:00:00+00:00"' in page
    assert "<img" not in page
    team = page[page.index('id="team"'):]
    assert re.search(r"Ana</span>.*?Ringing", team, re.DOTALL)
    async with house.book.reading() as r:
        board = await screens.board(r.session, r.now)
    assert (board.waiting, board.calls, board.answered, board.abandoned) == (1, 0, 0, 0)
