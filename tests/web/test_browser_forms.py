"""The form without script and the status page in a browser: by eye of axe, at 320 pixels, without scripts."""

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from router.book import Book
from tests import making
from tests.conftest import Clock
from tests.web.browsing import CHROMIUM, LANGUAGES
from tests.web.visiting import House, visiting

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")

FIELDS = [
    {"key": "use", "kind": "choice", "required": True, "labels": {"es": "Tipo de consumo", "en": "Use"},
     "choices": {"home": {"es": "Vivienda", "en": "Home"}, "shop": {"es": "Negocio", "en": "Shop"}}},
    {"key": "cups", "kind": "supply_point", "labels": {"es": "CUPS", "en": "Supply point (CUPS)"}},
    {"key": "roof", "kind": "checkbox", "labels": {"es": "Tengo placas solares", "en": "I have solar panels"}},
]
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RULES = {"runOnly": {"type": "tag", "values": TAGS}}


@pytest.fixture
async def house(book: Book, clock: Clock) -> AsyncIterator[House]:
    clock.now = datetime(2026, 11, 26, 8, 0, tzinfo=UTC)
    async with visiting(book, fields=FIELDS, countries=["US", "ES"]) as house:
        async with book.writing() as w:
            await making.agent(w, "ana", shifts={day: [["09:30", "13:00"]] for day in ("thu", "fri", "mon")})
        yield house


async def judged(page: Page, name: str) -> None:
    """No violations, nothing wider than a narrow telephone; a picture where one was asked for."""
    for width in (320, 390, 1280):
        await page.set_viewport_size({"width": width, "height": 800})
        wide, room = await page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide <= room, f"{name} is {wide} wide where there is room for {room}"
        if folder := os.environ.get("HABLEMOS_PICTURES"):
            await page.screenshot(path=Path(folder) / f"{name}-{width}.png", full_page=True)
    found = await Axe().run(page, options=RULES)
    assert found.violations_count == 0, found.generate_report()


async def fill(page: Page, when: str) -> None:
    await page.fill("#phone", "+1 202 555 0107")
    await page.select_option("#slot", when)
    await page.select_option("[id='fields.use']", "home")
    await page.check("[id='consent.requested']")
    await page.click("form button")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_form_and_status_page_pass_axe_in_every_language(
    house: House, browser: Browser, language: str
) -> None:
    context = await browser.new_context(color_scheme="dark" if language == "it" else "light")
    page = await context.new_page()
    await page.goto(f"{house.url}/f/landing?lang={language}")
    await judged(page, f"form-{language}")
    await page.evaluate("document.querySelector('form').noValidate = true")
    await page.fill("#phone", "12")
    await page.click("form button")
    await expect(page.locator(".notice a")).to_have_count(3)
    await judged(page, f"faults-{language}")
    await fill(page, "2026-11-26T08:30:00Z")
    await expect(page).to_have_url(f"{house.url}/s/{page.url.rpartition('/')[2]}")
    await judged(page, f"status-{language}")


async def test_without_scripts_a_call_is_asked_for_moved_and_cancelled_by_keyboard(
    house: House, browser: Browser
) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{house.url}/f/landing?lang=en")
    await fill(page, "2026-11-26T08:30:00Z")
    await expect(page.get_by_role("status")).to_contain_text("We call you on Thursday, November 26, 2026, 09:30 CET.")
    await page.select_option("#slot", "2026-11-27T09:00:00Z")
    await page.get_by_role("button", name="Move the call").press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("We call you on Friday, November 27, 2026, 10:00 CET.")
    await page.get_by_role("button", name="Cancel the call").press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("This call is cancelled.")
    await page.get_by_role("button", name="Ask for a call now").press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("We are passing your request to an adviser.")


async def test_with_nobody_there_the_form_says_so_and_the_waiting_page_offers_times(
    house: House, browser: Browser, clock: Clock
) -> None:
    clock.forward(60)
    page = await browser.new_page()
    await page.goto(f"{house.url}/f/landing?lang=en")
    await judged(page, "nobody-en")
    await fill(page, "now")
    await expect(page.get_by_role("status")).to_contain_text("Nobody is at the desk at the moment.")
    await judged(page, "waiting-en")
    await page.get_by_role("link", name="Choose a time instead").click()
    await judged(page, "choosing-en")
    await page.select_option("#slot", "2026-11-27T09:00:00Z")
    await page.get_by_role("button", name="Choose this time").click()
    await expect(page.get_by_role("status")).to_contain_text("We call you on Friday, November 27, 2026, 10:00 CET.")
