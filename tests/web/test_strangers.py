"""A stranger who knows my e-mail address: what he posts with it reaches neither my history nor my offers."""

from collections.abc import AsyncIterator
from datetime import timedelta

import aiohttp
import pytest
from sqlalchemy import select

from router.book import Book
from router.model.campaigns import Site
from router.model.leads import Lead
from router.model.merges import Merge, MergeState
from router.model.quotes import Quote, QuoteState
from router.model.tasks import Task, TaskState
from router.store import screens
from tests import making
from tests.journal import read_on
from tests.web.visiting import House, visiting

MINE, HIS, EMAIL = "+12025550101", "+12025550199", "carmen@example.org"


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with visiting(book) as house:
        yield house


async def posts(house: House, phone: str, name: str) -> str:
    """The lead as the widget posts it; its status address."""
    body = {
        "site": "landing", "phone": phone, "name": name, "email": EMAIL,
        "consent": {"purposes": ["requested"], "text": "Sí", "version": "1"},
    }
    headers = {"Origin": house.page}
    async with aiohttp.ClientSession() as session, session.post(
        f"{house.url}/v1/leads", json=body, headers=headers
    ) as answer:
        assert answer.status == 201, await answer.text()
        told = await answer.json()
    assert set(told) <= {"lead", "status_url", "stream_url", "eta_s", "promise"}
    return str(told["status_url"])


async def my_offer(house: House) -> None:
    """An open offer of mine, 49.90 a month."""
    async with house.book.writing() as w:
        agent = await making.agent(w)
        lead = await w.session.get(Lead, 1)
        assert lead is not None
        w.session.add(Quote(
            campaign_id=lead.campaign_id, contact_id=lead.contact_id, lead_id=lead.id, agent_id=agent.id, number="Q-1",
            state=QuoteState.sent, locale="es", currency="EUR", lines=[], total_once=0, total_month=4990,
            customer="Carmen Ruiz", created_at=w.now, valid_until=w.now + timedelta(days=14),
            sent_at=w.now, idle_base=w.now,
        ))
        await w.move(Task, 1, TaskState.withdrawn, ended_at=w.now)


async def read(url: str, accept: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(url, headers={"Accept": accept}) as answer:
        return await answer.text()


async def test_he_gets_a_contact_of_his_own_and_sees_nothing_of_mine(house: House) -> None:
    assert isinstance(house.site, Site)
    await posts(house, MINE, "Carmen Ruiz")
    await my_offer(house)
    status_url = await posts(house, HIS, "Mallory")
    await read_on(house.book)
    for accept in ("text/html", "application/json"):
        shown = await read(status_url, accept)
        assert not [word for word in ("Carmen", "Q-1", "49,90", "49.90", MINE[-4:], "/q/") if word in shown]
    async with house.book.reading() as r:
        mine, his = await r.session.scalars(select(Lead).order_by(Lead.id))
        (proposed,) = await r.session.scalars(select(Merge))
        (quote,) = await r.session.scalars(select(Quote))
    assert mine.contact_id != his.contact_id
    assert (proposed.state, quote.contact_id) == (MergeState.proposed, mine.contact_id)


async def test_the_agent_he_talks_with_does_not_see_mine_either_until_somebody_merges(house: House) -> None:
    await posts(house, MINE, "Carmen Ruiz")
    await my_offer(house)
    await posts(house, HIS, "Mallory")
    await read_on(house.book)
    async with house.book.writing() as w:
        await w.move(Task, 2, TaskState.reserved, agent_id=1)
    async with house.book.reading() as r:
        view = await screens.desk(r.session, 1, r.now)
    assert view.work is not None
    assert view.work.quotes == []
    assert {told.fact.lead_id for told in view.work.timeline} == {2}


async def test_the_answer_is_the_same_whether_the_address_is_known_or_not(house: House) -> None:
    await posts(house, MINE, "Carmen Ruiz")
    known = await read(await posts(house, HIS, "Mallory"), "application/json")
    async with house.book.writing() as w:
        await w.move(Task, 2, TaskState.withdrawn, ended_at=w.now)
    fresh = await read(await posts(house, "+12025550198", "Mallory"), "application/json")
    assert known == fresh
