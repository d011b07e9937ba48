"""The page that leads to a third party, on a telephone 390 px wide, where a browser is installed."""

from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser

from router.actions import inviting
from router.book import Book
from router.model.quotes import Quote
from router.model.signings import Signing
from tests.conftest import Clock
from tests.entrusting import There, there
from tests.web.browsing import CHROMIUM, LANGUAGES, PICTURES

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


async def link(house: There, locale: str) -> str:
    """The path of the newest link, the offer being in this language."""
    async with house.book.writing() as w:
        quote = await w.session.get(Quote, house.sale.quote_id)
        held = await w.session.locked(Signing, house.signing_id)
        assert quote is not None
        assert held is not None
        quote.locale = locale
        if house.provider != "docuseal":
            await inviting.text_link(w, held)
    await house.courier.sweep()
    text = house.carrier.of("send_message")[-1].text
    return str(text[text.index("/q/"):].split()[0])


@pytest.mark.parametrize("provider", ["docuseal", "docusign"])
@pytest.mark.parametrize("locale", LANGUAGES)
async def test_the_way_to_a_third_party_is_readable_on_a_small_telephone(
    book: Book, clock: Clock, browser: Browser, provider: str, locale: str
) -> None:
    async with there(book, clock, provider, house_sends=provider == "docuseal") as house:
        await house.handed()
        path = await link(house, locale)
        clock.forward(300)
        context = await browser.new_context(viewport={"width": 390, "height": 844}, java_script_enabled=True)
        page = await context.new_page()
        await page.goto(house.url + path)
        await page.get_by_role("button").first.click()
        await page.wait_for_load_state()
        if PICTURES:
            await page.screenshot(path=Path(PICTURES) / f"elsewhere-{provider}-{locale}.png", full_page=True)
        found = await Axe().run(page)
        width = await page.evaluate("document.documentElement.scrollWidth")
        links = await page.locator(f'a[href^="{house.box.url}"]').count()
        await context.close()
    assert (found.violations_count, width) == (0, 390), found.generate_report()
    assert links == (provider == "docuseal")
