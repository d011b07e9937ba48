"""The desk when the house begins the call, in a real browser: by eye of axe, narrow and wide, in the longest words."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from router.book import Book
from router.model.agents import Agent
from router.model.base import vouched
from router.model.contacts import Contact
from router.model.tasks import TaskState
from tests import making
from tests.actions.test_cadences import began, ring
from tests.actions.test_seeking import wrong
from tests.conftest import Clock
from tests.web.browsing import CHROMIUM, LANGUAGES, PICTURES
from tests.web.desking import PASSWORD, House, working
from tests.web.test_occasions import rings, wrote

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with working(book) as house:
        yield house


async def judge(page: Page, state: str) -> None:
    """No violation of axe's rules, and nothing to be scrolled sideways, on either screen."""
    for width in (1280, 390):
        await page.set_viewport_size({"width": width, "height": 900})
        if PICTURES:
            await page.screenshot(path=Path(PICTURES) / f"{state}-{width}.png", full_page=True)
        results = await Axe().run(page)
        found = [(one["id"], [node["target"] for node in one["nodes"]]) for one in results.response["violations"]]
        assert found == [], (state, width)
        wide = await page.evaluate("document.documentElement.scrollWidth > innerWidth")
        assert not wide, f"{state} scrolls sideways at {width}"


@pytest.mark.parametrize("lang", LANGUAGES)
async def test_axe_finds_nothing_while_a_nurture_call_rings_and_is_wrapped_up(
    house: House, browser: Browser, clock: Clock, lang: str
) -> None:
    ana: Agent = await house.agent("ana", locale=lang, ready=False)
    quote = await began(house.book, clock, {"delay": 4, "announce_minutes": 60}, {"delay": 2}, key="sol")
    async with house.book.writing() as w:
        contact = vouched(await w.session.locked(Contact, quote.contact_id))
        contact.zone, contact.zone_source = "Atlantic/Canary", "stated"
    for seconds in (3 * 3600, 3600):
        clock.forward(seconds)
        await ring(house.book)
    task = await rings(house, ana)
    await wrote(house, task, "¿El precio incluye la instalación? Lo hablo con mi mujer y le digo algo el jueves.")
    page = await (await browser.new_context()).new_page()
    await page.goto(f"{house.url}/login")
    await page.fill("[name=login]", "ana")
    await page.fill("[name=password]", PASSWORD)
    await page.click("button.primary")
    await expect(page.locator(".because")).to_be_visible()
    await judge(page, f"{lang}-ring")
    async with house.book.writing() as w:
        for state in (TaskState.connecting, TaskState.engaged, TaskState.wrapping):
            await w.move(type(task), task.id, state)
    await page.reload()
    await expect(page.locator("#outcome-do_not_call")).to_be_visible()
    await page.click(f"#rest-{quote.id} summary")
    await judge(page, f"{lang}-wrap")


@pytest.mark.parametrize("lang", LANGUAGES)
async def test_axe_finds_nothing_where_a_number_is_to_be_found(house: House, browser: Browser, lang: str) -> None:
    ana: Agent = await house.agent("ana", locale=lang, ready=False)
    async with house.book.writing() as w:
        lead = await making.lead(
            w, house.queue, claims={"email": "carmen.ruiz@ejemplo-de-nombre-largo.example"},
            source={"page": "https://luz.example/tarifas/solar/cambio-de-compania", "utm_source": "google"},
        )
        task = await making.task(w, house.queue, lead)
    await wrong(house.book, task.id, ana.id)
    page = await (await browser.new_context()).new_page()
    await page.goto(f"{house.url}/login")
    await page.fill("[name=login]", "ana")
    await page.fill("[name=password]", PASSWORD)
    await page.click("button.primary")
    await page.click("#number-1 summary")
    await expect(page.locator("#number-1-found")).to_be_visible()
    await judge(page, f"{lang}-number")
