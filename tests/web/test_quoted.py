"""Quotes at the desk and on the wallboard: looked at while written, refused in words, approved, revised, taken back."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import func, select

from router.book import Book
from router.model.agents import Agent, Role
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.quotes import Quote, QuoteState
from router.model.signings import Signing
from router.model.tasks import Task, TaskState
from tests import closing
from tests.web.customer import visiting
from tests.web.desking import Browser, House, browsing, ring, working
from tests.web.test_desk import HOSTILE

PRODUCTS = [
    {"key": "fibra", "label": "Fibra", "unit_minor": 3000, "tax_bp": 2100, "period": "month", "suggests": ["wifi"]},
    {"key": "wifi", "label": HOSTILE, "unit_minor": 500, "tax_bp": 2100, "period": "month"},
]


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with working(book) as house:
        async with book.writing() as w:
            campaign = vouched(await w.session.locked(Campaign, house.queue.campaign_id))
            campaign.products, campaign.discount_bp = PRODUCTS, 1000
        yield house


@pytest.fixture
async def browser(house: House) -> AsyncIterator[Browser]:
    await house.agent("ana", locale="en")
    async with browsing(house) as browser:
        await browser.sign_in()
        yield browser


@pytest.fixture
async def board(house: House) -> AsyncIterator[Browser]:
    await house.agent("sol", role=Role.supervisor, locale="en", ready=False)
    async with browsing(house) as browser:
        await browser.sign_in("sol")
        yield browser


async def talking(house: House) -> int:
    """The task of a person with whom ana talks."""
    async with house.book.reading() as r:
        ana = vouched(await r.session.scalar(select(Agent).where(Agent.login == "ana")))
    held = await ring(house, ana)
    async with house.book.writing() as w:
        for state in (TaskState.connecting, TaskState.engaged):
            await w.move(Task, held.task_id, state)
    return held.task_id


def line(price: str = "30", **more: str) -> dict[str, str]:
    return {"label.0": "Fibra", "product.0": "fibra", "quantity.0": "1", "unit_minor.0": price, "tax_bp.0": "21",
            "period.0": "month", **more}


async def quotes(house: House) -> list[Quote]:
    async with house.book.reading() as r:
        return list(await r.session.scalars(select(Quote).order_by(Quote.id)))


async def set_terms(house: House, **terms: Any) -> None:
    async with house.book.writing() as w:
        campaign = vouched(await w.session.locked(Campaign, house.queue.campaign_id))
        campaign.terms = {name: value for name, value in {**campaign.terms, **terms}.items() if value is not None}


async def test_what_an_offer_lacks_is_said_while_it_is_written_and_nothing_is_kept(
    house: House, browser: Browser
) -> None:
    task = await talking(house)
    await set_terms(house, return_cost=None, payment=None)
    status, answer = await browser.post(f"/desk/tasks/{task}/look", line("25"))
    assert status == 200
    assert 'data-pointer="/terms/return_cost">Say who pays for sending goods back.' in answer
    assert "An administrator has to add it." in answer
    assert "16.67\u00a0% below the catalogue; you may go to 10\u00a0%" in answer
    assert 'data-suggest="wifi"' in answer
    assert "<img" not in answer
    assert (await browser.post(f"/desk/tasks/{task}/look", line("no price"))) == (200, "")
    assert await quotes(house) == []


async def test_an_offer_that_lacks_something_is_refused_with_each_place_and_leaves_nothing_behind(
    house: House, browser: Browser
) -> None:
    task = await talking(house)
    await set_terms(house, return_cost=None, months=None)
    status, answer = await browser.post(f"/desk/tasks/{task}/quote", line())
    assert status == 422
    assert {one["pointer"] for one in json.loads(answer)["errors"]} == {"/terms/months", "/terms/return_cost"}
    assert await quotes(house) == []
    fields = line(months="12", starts_in_days="3", express="yes", return_cost="customer", customer="Carmen R.")
    assert (await browser.post(f"/desk/tasks/{task}/quote", fields))[0] == 200
    (sent,) = await quotes(house)
    assert (sent.state, sent.customer) == (QuoteState.sent, "Carmen R.")
    assert sent.terms == {"months": 12, "starts_in_days": 3, "express": True, "return_cost": "customer"}


@pytest.mark.parametrize(("field", "value"), [
    ("months", "-1"), ("months", "61"), ("months", "1e1"), ("months", "²"), ("starts_in_days", "99999"),
    ("return_cost", "nobody"), ("channel", "pigeon"),
])
async def test_terms_that_are_none_are_refused_by_their_field(
    house: House, browser: Browser, field: str, value: str
) -> None:
    task = await talking(house)
    status, answer = await browser.post(f"/desk/tasks/{task}/quote", line(**{field: value}))
    assert status == 422
    assert json.loads(answer)["errors"][0]["pointer"].endswith(f"/{field}")


async def test_a_supervisor_sees_what_is_asked_and_approving_sends_it(
    house: House, browser: Browser, board: Browser
) -> None:
    task = await talking(house)
    status, page = await browser.post(f"/desk/tasks/{task}/quote", line("25"))
    assert status == 200
    assert "Waits for a supervisor" in page
    (asked,) = await quotes(house)
    _, page = await board.get("/wallboard")
    assert "Ana asks for 16.67\u00a0% off" in page
    assert "Carmen" not in page
    assert (await browser.post(f"/wallboard/quotes/{asked.id}/approve"))[0] == 403
    status, page = await board.post(f"/wallboard/quotes/{asked.id}/approve")
    assert (status, "asks for" in page) == (200, False)
    assert (await quotes(house))[0].state is QuoteState.sent
    assert (await board.post(f"/wallboard/quotes/{asked.id}/approve"))[0] == 409
    assert (await board.post("/wallboard/quotes/99/refuse"))[0] == 409


async def test_a_refused_quote_is_told_to_its_agent(house: House, browser: Browser, board: Browser) -> None:
    task = await talking(house)
    await browser.post(f"/desk/tasks/{task}/quote", line("1"))
    (asked,) = await quotes(house)
    assert (await board.post(f"/wallboard/quotes/{asked.id}/refuse"))[0] == 200
    _, page = await browser.get("/desk")
    assert "The supervisor did not approve the quote" in page
    assert (await browser.post(f"/desk/quotes/{asked.id}/send"))[0] == 409


async def test_an_approved_quote_that_could_not_be_sent_waits_for_its_agent(
    house: House, browser: Browser, board: Browser
) -> None:
    task = await talking(house)
    await browser.post(f"/desk/tasks/{task}/quote", line("1"))
    (asked,) = await quotes(house)
    await set_terms(house, payment=None)
    assert (await board.post(f"/wallboard/quotes/{asked.id}/approve"))[0] == 200
    assert (await quotes(house))[0].state is QuoteState.approved
    _, page = await browser.get("/desk")
    assert f'id="send-{asked.id}"' in page
    assert (await browser.post(f"/desk/quotes/{asked.id}/send"))[0] == 422
    await set_terms(house, payment={"es": "Por domiciliación."})
    assert (await browser.post(f"/desk/quotes/{asked.id}/send"))[0] == 200
    assert (await quotes(house))[0].state is QuoteState.sent


async def test_a_quote_is_sent_again_revised_and_taken_back_with_a_button(house: House, browser: Browser) -> None:
    task = await talking(house)
    _, page = await browser.post(f"/desk/tasks/{task}/quote", line())
    (first,) = await quotes(house)
    for deed in ("again", "void", "revise"):
        assert f'id="{deed}-{first.id}"' in page
    old = await closing.token(house.book)
    assert (await browser.post(f"/desk/quotes/{first.id}/again"))[0] == 200
    assert await closing.token(house.book) != old
    latest = await closing.token(house.book)
    assert (await browser.post(f"/desk/tasks/{task}/quote", line(revises=str(first.id))))[0] == 200
    first, second = await quotes(house)
    assert (first.state, second.state, second.version) == (QuoteState.superseded, QuoteState.sent, 2)
    async with visiting(house.book) as customer:
        answer = await customer.get(f"/q/{latest}")
        assert (answer.status, "Hay una oferta más reciente" in customer.page) == (410, True)
        answer = await customer.get(f"/q/{latest[:-1]}x")
        assert (answer.status, "oferta más reciente" in customer.page) == (404, False)
    assert (await browser.post(f"/desk/quotes/{second.id}/void"))[0] == 200
    assert (await browser.post(f"/desk/quotes/{second.id}/void"))[0] == 409
    assert [one.state for one in await quotes(house)] == [QuoteState.superseded, QuoteState.void]


async def test_the_offer_is_shown_as_it_was_frozen_to_its_agent_alone(house: House, browser: Browser) -> None:
    task = await talking(house)
    await browser.post(f"/desk/tasks/{task}/quote", line())
    (sent,) = await quotes(house)
    async with browser._session.get(f"{house.url}/desk/quotes/{sent.id}/offer.pdf") as answer:
        assert (answer.status, (await answer.read())[:5]) == (200, b"%PDF-")
    await house.agent("eva", locale="en", ready=False)
    async with browsing(house) as stranger:
        await stranger.sign_in("eva")
        assert (await stranger.get(f"/desk/quotes/{sent.id}/offer.pdf", Accept="application/json"))[0] == 403
        for deed in ("send", "again", "mail", "void"):
            assert (await stranger.post(f"/desk/quotes/{sent.id}/{deed}"))[0] == 403
            assert (await browser.post(f"/desk/quotes/{'9' * 19}/{deed}"))[0] == 404
        assert (await stranger.post(f"/desk/tasks/{task}/look", line()))[0] == 409
    async with house.book.reading() as r:
        assert await r.session.scalar(select(func.count()).select_from(Signing)) == 1


async def test_a_quote_of_nobody_is_not_revised(house: House, browser: Browser) -> None:
    task = await talking(house)
    for wrong in ("99", "x", "9" * 30, "²"):
        assert (await browser.post(f"/desk/tasks/{task}/quote", line(revises=wrong)))[0] == 404
    assert await quotes(house) == []
