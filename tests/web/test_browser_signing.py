"""The customer's telephone, 390 px wide, in a real browser, where one is installed."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect

from router.book import Book
from router.model.signings import SigningState
from tests import closing
from tests.web.browsing import CHROMIUM
from tests.web.customer import visiting

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


@pytest.fixture(params=[True, False], ids=["with scripts", "without scripts"])
async def phone(request: pytest.FixtureRequest, browser: Browser) -> AsyncIterator[Page]:
    """A small telephone; a complaint of the browser, e.g. about the content policy, fails the test."""
    complaints: list[str] = []
    context = await browser.new_context(
        viewport={"width": 390, "height": 844}, locale="es-ES", java_script_enabled=request.param
    )
    page = await context.new_page()
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield page
    assert complaints == []


async def _fits(page: Page) -> bool:
    """Nothing has to be scrolled sideways."""
    box = await page.locator("body").bounding_box()
    return box is not None and box["width"] <= 390


async def test_an_offer_is_read_and_signed_on_a_small_telephone(book: Book, phone: Page) -> None:
    _, held = await closing.sent(book)
    async with visiting(book) as house:
        await phone.goto(f"{house.url}/q/{await closing.token(book)}")
        await phone.get_by_role("button", name="Abrir mi oferta").click()
        await expect(phone).to_have_url(f"{house.url}/q/-")
        await expect(phone.get_by_text("Paso 1 de 3")).to_be_visible()
        assert await _fits(phone)
        await phone.get_by_role("button", name="Enviarme el código").click()
        await phone.get_by_label("Código de seis cifras").fill(await closing.code(book))
        assert await _fits(phone)
        await phone.get_by_role("button", name="Continuar").click()
        await phone.get_by_label("Su nombre completo").fill("Carmen Ruiz")
        for box in await phone.get_by_role("checkbox").all():
            await box.check()
        assert await _fits(phone)
        await phone.get_by_role("button", name="Firmar y contratar con obligación de pago").click()
        await expect(phone.get_by_role("heading", name="Ha firmado")).to_be_visible()
        assert await _fits(phone)
    assert (await closing.now(book, held)).state is SigningState.signed
