"""Links, counters, purchases and receipts in a real browser: readable by everybody, forgetful where they should be."""

import re
from collections.abc import AsyncIterator

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from router.book import Book
from router.model.agents import Role
from router.model.vault import new_token
from tests import making
from tests.web.browsing import CHROMIUM, LANGUAGES
from tests.web.desking import PASSWORD, PASSWORD_HASH
from tests.web.offline import make_link
from tests.web.test_receipts import agreed
from tests.web.visiting import House, visiting

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

WIDTHS = (320, 1280)
QUESTIONS = [
    {"key": "size", "labels": {"en": "Size"}, "kind": "choice",
     "choices": {"s": {"en": "Small"}, "l": {"en": "Large"}}},
]


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with visiting(book, fields=QUESTIONS, countries=["US", "ES"]) as house:
        yield house


async def looked_at(page: Page, where: str) -> None:
    """No violation that axe knows on the narrow page, nothing wider than the window at any width."""
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 800})
        if width == WIDTHS[0]:
            found = await Axe().run(page)
            assert found.violations_count == 0, f"{where}: {found.generate_report()}"
        wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{where} at {width}: {wide} px too wide"


@pytest.mark.parametrize("locale", LANGUAGES)
async def test_customers_pages_are_readable_by_everybody(house: House, browser: Browser, locale: str) -> None:
    token = new_token()
    lead = await agreed(house, token)
    async with house.book.writing() as w:
        held = await w.session.get(type(lead), lead.id)
        assert held is not None
        held.locale = locale
    page = await (await browser.new_context(locale=locale)).new_page()
    for path in ("/kiosk/landing", "/kiosk/landing/done", "/register/landing", f"/register/landing/done?t={token}",
                 f"/s/{token}/consent", "/r/000000000"):
        await page.goto(f"{house.url}{path}{'&' if '?' in path else '?'}lang={locale}")
        await looked_at(page, f"{path} in {locale}")
    await page.goto(f"{house.url}/kiosk/landing?lang={locale}")
    await page.locator("form").evaluate("form => { form.noValidate = true; }")
    await page.locator("button.main").click()
    await expect(page.locator("#trouble")).to_be_focused()
    await looked_at(page, f"the form with an error in {locale}")


@pytest.mark.parametrize("locale", LANGUAGES)
async def test_supervisors_pages_are_readable_by_everybody(house: House, browser: Browser, locale: str) -> None:
    lead = await agreed(house, new_token(), "Otro texto")
    await make_link(house, "promoter-with-a-very-long-name-" + "x" * 25, name="Öffentlicher Aushang " * 4)
    link = await make_link(house, target=f"{house.page}/solar/{'long-' * 20}")
    async with house.book.writing() as w:
        agent = await making.agent(w, "sol", role=Role.supervisor, locale=locale)
        agent.password_hash = PASSWORD_HASH
    page = await (await browser.new_context(locale=locale)).new_page()
    await page.goto(f"{house.url}/login")
    await page.locator("input[name=login]").fill("sol")
    await page.locator("input[name=password]").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile("/desk"))
    for path in ("/links", f"/links/{link.id}/sheet?lang={locale}", f"/receipts/{lead.id}"):
        await page.goto(house.url + path)
        await looked_at(page, f"{path} in {locale}")


async def test_a_counters_form_clears_itself_when_nobody_touches_it_and_says_so_before(
    house: House, browser: Browser
) -> None:
    page = await (await browser.new_context(locale="en")).new_page()
    await page.clock.install()
    await page.goto(f"{house.url}/kiosk/landing?lang=en")
    await page.locator("#name").fill("Ana")
    await page.clock.run_for(44_000)
    await expect(page.locator("#clearing")).to_be_hidden()
    await page.clock.run_for(4_000)
    await expect(page.locator("#clearing")).to_contain_text("Nobody has touched this page")
    await page.locator("#name").press("n")
    await expect(page.locator("#clearing")).to_be_hidden()
    await page.clock.run_for(62_000)
    await expect(page.locator("#name")).to_have_value("")


async def test_an_empty_form_at_a_counter_waits_in_peace(house: House, browser: Browser) -> None:
    page = await (await browser.new_context(locale="en")).new_page()
    await page.clock.install()
    await page.goto(f"{house.url}/kiosk/landing?lang=en")
    await page.evaluate("window.same = true")
    await page.clock.run_for(300_000)
    await expect(page.locator("#clearing")).to_be_hidden()
    assert await page.evaluate("window.same")


async def test_a_person_fills_the_form_by_keyboard_and_is_thanked(house: House, browser: Browser) -> None:
    page = await (await browser.new_context(locale="en")).new_page()
    await page.goto(f"{house.url}/kiosk/landing?lang=en")
    await page.locator("#phone").fill("+12025550101")
    await page.locator("input[value=requested]").focus()
    await page.keyboard.press("Space")
    await page.locator("button.main").focus()
    # A form that is sent within its first moment is no person's.
    await page.wait_for_timeout(house.doors.limits.form_youngest * 1000 + 200)
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("Thank you")


async def test_consent_is_taken_back_without_script(house: House, browser: Browser) -> None:
    token = new_token()
    await agreed(house, token)
    page = await (await browser.new_context(java_script_enabled=False)).new_page()
    await page.goto(f"{house.url}/s/{token}/consent")
    await page.get_by_role("button", name="Retirar: Ofertas más adelante").click()
    await expect(page.locator("main")).to_contain_text("Lo retiró el")
    await expect(page.get_by_role("button", name="Retirar: ")).to_have_count(2)
