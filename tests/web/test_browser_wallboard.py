"""The wallboard in a browser: the switch of a landing page works from the keyboard, and its troubles are said."""

from collections.abc import AsyncIterator

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from router.actions import protecting
from router.book import Book
from router.model.agents import Role
from router.model.protection import Asked, Why
from router.model.rates import STRICT
from tests import making
from tests.web.browsing import CHROMIUM, LANGUAGES
from tests.web.desking import PASSWORD, House, working

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with working(book) as house:
        yield house


@pytest.fixture
async def page(browser: Browser, house: House) -> Page:
    await house.agent("sol", role=Role.supervisor, locale="en")
    async with house.book.writing() as w:
        site = await making.site(w, house.queue)
        await protecting.weigh(w, [Asked(site.id, STRICT, refused=Why.honeypot)])
    page = await (await browser.new_context()).new_page()
    await page.goto(f"{house.url}/login?next=/wallboard")
    await page.fill("[name=login]", "sol")
    await page.fill("[name=password]", PASSWORD)
    await page.press("[name=password]", "Enter")
    await page.wait_for_selector("#link.live")
    return page


async def test_a_page_is_closed_from_the_keyboard_after_asking_and_opened_again(house: House, page: Page) -> None:
    asked: list[str] = []

    async def agree(dialog: object) -> None:
        asked.append(dialog.message)  # type: ignore[attr-defined]
        await dialog.accept()  # type: ignore[attr-defined]

    page.on("dialog", agree)
    await page.focus("#sites button")
    await page.keyboard.press("Enter")
    await expect(page.locator("#sites")).to_contain_text("closed: takes no requests")
    assert len(asked) == 1
    assert "until it is opened again" in asked[0]
    await page.focus("#sites button")
    await page.keyboard.press("Enter")
    await expect(page.locator("#sites button")).to_have_text("Close this page")
    assert len(asked) == 1


@pytest.mark.parametrize("locale", LANGUAGES)
async def test_the_landing_pages_region_passes_axe(house: House, page: Page, browser: Browser, locale: str) -> None:
    await house.agent("zoe", role=Role.supervisor, locale=locale)
    board = await (await browser.new_context(viewport={"width": 320, "height": 800})).new_page()
    await board.goto(f"{house.url}/login?next=/wallboard")
    await board.fill("[name=login]", "zoe")
    await board.fill("[name=password]", PASSWORD)
    await board.press("[name=password]", "Enter")
    await expect(board.locator("#sites button")).to_be_visible()
    found = await Axe().run(board)
    assert found.violations_count == 0, found.generate_report()
    assert await board.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_refusals_appear_by_themselves(house: House, page: Page) -> None:
    await expect(page.locator("#sites")).to_contain_text("hidden field filled 1")
    async with house.book.writing() as w:
        await protecting.weigh(w, [Asked(1, STRICT, refused=Why.address)])
    await expect(page.locator("#sites")).to_contain_text("busy network 1")


async def test_a_switch_that_does_not_reach_us_says_so(house: House, page: Page) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    await page.route("**/wallboard/sites/**", lambda route: route.abort())
    await page.click("#sites button")
    await expect(page.locator("#sites .trouble")).to_have_text("This did not reach the service. Try again.")
