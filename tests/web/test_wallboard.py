import re
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import select

from router.actions import protecting, wrapping
from router.book import Book
from router.model.agents import Agent, Role
from router.model.budgets import Budget
from router.model.campaigns import Site
from router.model.protection import Asked, Why
from router.model.rates import STRICT
from router.model.tasks import Disposition, TaskState
from router.store import protection, screens
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


async def _watched(house: House) -> int:
    """A landing page of which something was refused, and a prefix where nobody answers; the page's number."""
    async with house.book.writing() as w:
        site = await making.site(w, house.queue, daily_spend_cap=500)
        site.name = f"Tarifa {HOSTILE}"
        await protecting.weigh(w, [Asked(site.id, STRICT, refused=why) for why in (
            Why.honeypot, Why.honeypot, Why.address, Why.proof)])
        await protection.note_silence(w.session, protection.Tried("+3460012", 9, 0), "ES", w.now)
        w.session.add(Budget(scope=f"site:{site.id}", day=w.now.date(), used=120, cap=500))
        return site.id


async def test_the_wallboard_tells_what_was_refused_what_it_cost_and_where_nobody_answers(house: House) -> None:
    await house.agent("sol", role=Role.supervisor, locale="en")
    await _watched(house)
    async with browsing(house) as supervisor:
        await supervisor.sign_in("sol")
        _, page = await supervisor.get("/wallboard")
    board = page[page.index('id="sites"'):]
    assert "<img" not in board
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", board))
    assert "hidden field filled 2" in text
    assert "busy network 1" in text
    assert "proof asked for 1" in text
    assert "4 not taken in 24 hours" in text
    assert "€1.20 of €5.00" in text
    assert "begin with +34 600 12 •• •• (ES): 0 of 9 calls" in text.replace("\u00a0", " ")


async def test_only_a_supervisor_closes_and_opens_a_page_and_it_works_at_once(
    house: House, browser: Browser
) -> None:
    await house.agent("sol", role=Role.supervisor, locale="en")
    site = await _watched(house)
    assert (await browser.post(f"/wallboard/sites/{site}/close"))[0] == 403
    async with browsing(house) as supervisor:
        await supervisor.sign_in("sol")
        status, parts = await supervisor.post(f"/wallboard/sites/{site}/close")
        assert status == 200
        assert 'hx-target="#sites"' in parts
        assert "closed: takes no requests" in parts
        async with house.book.reading() as r:
            (found,) = await r.session.scalars(select(Site))
            assert found.closed
        status, parts = await supervisor.post(f"/wallboard/sites/{site}/open")
        assert "closed: takes no requests" not in parts
        for number in (site + 1, 2**63, 10**18):
            assert (await supervisor.post(f"/wallboard/sites/{number}/close"))[0] == 404
        assert (await supervisor.get(f"/wallboard/sites/{site}/close"))[0] == 405


async def test_the_target_of_the_week_is_shown_with_words(house: House, ana: Agent) -> None:
    await house.agent("sol", role=Role.supervisor, locale="en")
    async with house.book.writing() as w:
        locked = await w.session.locked(Agent, ana.id)
        assert locked is not None
        locked.week_target = 3
        await w.session.flush()
        task = await making.task(
            w, house.queue, await making.lead(w, house.queue), state=TaskState.wrapping, agent_id=ana.id
        )
        await wrapping.close_task(w, task.id, Disposition.sold)
    async with browsing(house) as supervisor:
        await supervisor.sign_in("sol")
        _, page = await supervisor.get("/wallboard")
    assert '<progress max="3" value="1" aria-label="Ana, target of this week">' in page
    assert "1 of 3 this week" in page
    assert page.count("this week</span>") == 1, "nothing is said of whoever has no target"
