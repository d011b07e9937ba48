"""The agent asks the person he talks with for consent to offers, and notes it."""

import re
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import select, update

from router.actions.withdrawing import withdraw
from router.book import Book
from router.model.agents import Agent
from router.model.consent import Receipt
from router.model.tasks import TaskKind, TaskState
from tests import making
from tests.web.desking import Browser, House, browsing, working


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with working(book) as house:
        yield house


@pytest.fixture
async def browser(house: House) -> AsyncIterator[Browser]:
    await house.agent("ana", locale="en", ready=False)
    async with browsing(house) as browser:
        await browser.sign_in()
        yield browser


async def test_the_words_are_read_and_the_yes_is_a_receipt(house: House, browser: Browser) -> None:
    async with house.book.writing() as w:
        lead = await making.lead(w, house.queue)
        task = await making.task(w, house.queue, lead, kind=TaskKind.chat, state=TaskState.engaged, agent_id=1)
        await w.session.execute(update(Agent).values(chat_load=1))
        assert "Ask for consent to offers" not in (await browser.get("/desk"))[1], "he has agreed already"
    async with house.book.writing() as w:
        await withdraw(w, lead.id, "commercial", method="link")
    _, page = await browser.get("/desk")
    (digest,) = re.findall(r'name="text" value="(\w{64})"', page)
    assert (await browser.post(f"/desk/tasks/{task.id}/consent", {"text": "0" * 64}))[0] == 409
    status, page = await browser.post(f"/desk/tasks/{task.id}/consent", {"text": digest})
    assert (status, "Ask for consent to offers" in page, "Agreed to offers" in page) == (200, False, True)
    async with house.book.reading() as r:
        receipt = (await r.session.scalars(select(Receipt).order_by(Receipt.id.desc())))[0]
    assert (receipt.purposes, receipt.method, receipt.locale, receipt.text_sha256) == (
        ["commercial"], "voice", "es", digest)
    assert (await browser.post("/desk/tasks/999/consent", {"text": digest}))[0] == 404
