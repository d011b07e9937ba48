"""A quote is left alone for a while, from the person's card, and woken again."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from router.book import Book
from router.model.agents import Agent
from router.model.campaigns import Campaign, Queue
from router.model.contacts import Contact
from router.model.facts import Fact
from router.model.leads import Lead
from router.model.quotes import Quote
from tests import making
from tests.actions.test_cadences import began, the_enrolment
from tests.conftest import Clock
from tests.web.desking import Browser, House, browsing, working
from tests.web.test_occasions import rings


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with working(book) as house:
        yield house


@pytest.fixture
async def ana(house: House) -> Agent:
    return await house.agent("ana", locale="en", ready=False)


@pytest.fixture
async def browser(house: House, ana: Agent) -> AsyncIterator[Browser]:
    async with browsing(house) as browser:
        await browser.sign_in()
        yield browser


async def until(house: House, quote_id: int) -> datetime | None:
    async with house.book.reading() as r:
        quote = await r.session.get(Quote, quote_id)
    assert quote is not None
    return quote.snoozed_until


async def test_a_quote_is_left_alone_for_business_days_and_woken(
    house: House, browser: Browser, ana: Agent, clock: Clock
) -> None:
    quote = await began(house.book, clock, {}, {"delay": 2}, key="sol")
    await rings(house, ana)
    async with house.book.writing() as w:
        campaign, contact = await w.session.get(Campaign, quote.campaign_id), await w.session.get(Contact, 1)
        assert campaign is not None
        assert contact is not None
        campaign.rule_pack, contact.country = "ES", "ES"
    _, page = await browser.get("/desk")
    assert f"/desk/quotes/{quote.id}/snooze" in page
    status, page = await browser.post(f"/desk/quotes/{quote.id}/snooze", {"days": "5", "reason": "thinks"})
    assert (status, "Left alone until Mon 30 Nov" in page) == (200, True), page[:400]
    assert "thinks it over" in page, "the timeline says why"
    granted = await until(house, quote.id)
    assert granted is not None
    assert timedelta(days=6) < granted - clock.now < timedelta(days=8), "five business days with a weekend between"
    status, page = await browser.post(f"/desk/quotes/{quote.id}/wake")
    assert (status, "Left alone until" in page) == (200, False)
    assert await until(house, quote.id) is None
    async with house.book.reading() as r:
        kinds = await r.session.scalars(
            select(Fact.kind).where(Fact.kind.in_(("quote.snoozed", "quote.woken"))).order_by(Fact.id)
        )
    assert list(kinds) == ["quote.snoozed", "quote.woken"]


async def test_what_was_woken_goes_on_at_once(house: House, browser: Browser, ana: Agent, clock: Clock) -> None:
    quote = await began(house.book, clock, {"delay": 3}, {"delay": 2}, key="sol")
    await rings_for(house, ana, quote)
    await browser.post(f"/desk/quotes/{quote.id}/snooze", {"days": "10", "reason": "away"})
    assert (await the_enrolment(house.book)).paused_reason == "snooze"
    await browser.post(f"/desk/quotes/{quote.id}/wake")
    assert (await the_enrolment(house.book)).state == "active"


async def rings_for(house: House, ana: Agent, quote: Quote) -> None:
    """The person of the quote calls, beside his cadence."""
    async with house.book.writing() as w:
        lead = await w.session.get(Lead, quote.lead_id)
        assert lead is not None
        queue = (await w.session.scalars(select(Queue).where(Queue.campaign_id == quote.campaign_id)))[0]
        await making.task(w, queue, lead)
    await rings(house, ana)


@pytest.mark.parametrize("wrong", [
    {}, {"days": "2", "reason": "away"}, {"days": "11", "reason": "away"}, {"days": "3", "reason": "bored"},
    {"days": "x", "reason": "away"},
])
async def test_only_what_can_be_chosen_is_taken(
    house: House, browser: Browser, ana: Agent, clock: Clock, wrong: dict[str, str]
) -> None:
    quote = await began(house.book, clock, {}, key="sol")
    await rings(house, ana)
    assert (await browser.post(f"/desk/quotes/{quote.id}/snooze", wrong))[0] == 422
    assert await until(house, quote.id) is None


async def test_nobody_snoozes_a_quote_of_whom_he_is_not_with(
    house: House, browser: Browser, ana: Agent, clock: Clock
) -> None:
    quote = await began(house.book, clock, {"delay": 3}, key="sol")
    for path in (f"{quote.id}/snooze", f"{quote.id}/wake", "999/snooze", "999/wake"):
        status, told = await browser.post(f"/desk/quotes/{path}", {"days": "3", "reason": "away"})
        assert (status, "You are not with this person." in told) == (403, True)
    assert await until(house, quote.id) is None
