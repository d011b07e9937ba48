"""Writing a quote in a real browser, where one is installed: what fits, what is missing, who is asked, a revision."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect

from router.book import Book
from router.model.agents import Agent
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.tasks import Task, TaskState
from tests.web.browsing import CHROMIUM, PICTURES
from tests.web.desking import PASSWORD, House, ring, working

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

PRODUCTS = [
    {"key": "fibra", "label": "Fibra", "unit_minor": 3000, "tax_bp": 2100, "period": "month", "suggests": ["wifi"],
     "instead": ["giga"]},
    {"key": "giga", "label": "Giga", "unit_minor": 4050, "tax_bp": 1050, "period": "month"},
    {"key": "wifi", "label": "Wifi", "unit_minor": 500, "tax_bp": 2100, "period": "month"},
]


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with working(book) as house:
        async with book.writing() as w:
            campaign = vouched(await w.session.locked(Campaign, house.queue.campaign_id))
            campaign.products, campaign.discount_bp = PRODUCTS, 1000
            campaign.terms = {name: value for name, value in campaign.terms.items() if name != "return_cost"}
        yield house


@pytest.fixture
async def ana(house: House) -> Agent:
    return await house.agent("ana", locale="en")


@pytest.fixture
async def page(browser: Browser, house: House, ana: Agent) -> Page:
    """The desk of an agent who talks with somebody. A fault in a script fails the test."""
    held = await ring(house, ana)
    async with house.book.writing() as w:
        await w.move(Task, held.task_id, TaskState.connecting)
        await w.move(Task, held.task_id, TaskState.engaged)
    page = await (await browser.new_context()).new_page()
    page.on("pageerror", _fail)
    await page.goto(f"{house.url}/login")
    await page.fill("[name=login]", "ana")
    await page.fill("[name=password]", PASSWORD)
    await page.click("button.primary")
    await expect(page.locator("#link.live")).to_be_visible()
    return page


def _fail(error: object) -> None:
    raise AssertionError(error)


async def test_what_fits_is_suggested_and_what_is_missing_is_said_where_it_is_mended(page: Page) -> None:
    await page.select_option("#product", index=1)
    look = page.locator("#quote-look")
    await expect(look).to_contain_text("Say who pays for sending goods back.")
    await look.get_by_text("Giga instead of Fibra").click()
    await expect(page.locator("[name='label.0']")).to_have_value("Giga")
    await expect(page.locator("[name='tax_bp.0']")).to_have_value("10.5")
    await page.click("#quote-form .send")
    field = page.locator("[name=return_cost]")
    await expect(field).to_be_visible()
    await expect(field).to_be_focused()
    await expect(field).to_have_attribute("aria-invalid", "true")
    await field.select_option("nothing")
    await page.fill("[name='unit_minor.0']", "20")
    await page.locator("[name='quantity.0']").focus()
    await expect(look).to_contain_text("A supervisor is asked first.")
    if PICTURES:
        await page.screenshot(path=f"{PICTURES}/quote.png", full_page=True)
    await page.click("#quote-form .send")
    await expect(page.locator("#progress")).to_contain_text("Waits for a supervisor")


async def test_a_revision_is_the_form_filled_with_what_the_version_before_says(page: Page) -> None:
    await page.select_option("#product", index=1)
    await expect(page.locator("#quote-look")).to_contain_text("Wifi besides")
    await page.get_by_text("Wifi besides").click()
    await page.locator("#quote-terms summary").click()
    await page.select_option("[name=return_cost]", "customer")
    await page.click("#quote-form .send")
    revise = page.locator("[data-revise]")
    await expect(revise).to_be_visible()
    await revise.click()
    await expect(page.locator("[name='label.0']")).to_have_value("Fibra")
    await expect(page.locator("[name='label.1']")).to_have_value("Wifi")
    await expect(page.locator("[name='unit_minor.1']")).to_have_value("5.00")
    await expect(page.locator("[name=return_cost]")).to_have_value("customer")
    await expect(page.locator("[data-revising]")).to_contain_text("A new version of 2026-")
    if PICTURES:
        await page.screenshot(path=f"{PICTURES}/revising.png", full_page=True)
    await page.click("#quote-form .send")
    await expect(page.locator("#person .quotes")).to_contain_text("Replaced")
