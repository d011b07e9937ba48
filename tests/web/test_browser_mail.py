"""Mails and the page that ends them, in a browser: nothing scrolls sideways, axe finds nothing, pictures to look at."""

from pathlib import Path
from urllib.parse import quote

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from integrations.phonebox import Phonebox
from router.book import Book
from router.paths import TEMPLATES
from router.wording import wording
from tests.integrations.phoning import ACCOUNT, QUICK, TOKEN
from tests.mailing import SmtpMail, order
from tests.web.browsing import CHROMIUM, LANGUAGES, PICTURES
from tests.web.test_unsubscribing import taken_back, written_to
from tests.web.visiting import visiting

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")

COMPANY = {
    "name": "Compañía Eléctrica de la Luz Clara y del Mediterráneo SL", "brand": "Luz Clara", "phone": "+34910000000",
    "address": "Calle Mayor 1, 28013 Madrid", "phone_shown": "+34 910 00 00 00", "privacy_url": "https://luz.example/p",
}
SIZES = [(390, False), (800, True)]


async def judge(page: Page, state: str) -> None:
    if PICTURES:
        await page.screenshot(path=Path(PICTURES) / f"{state}.png", full_page=True)
    results = await Axe().run(page)
    found = [(one["id"], [node["target"] for node in one["nodes"]]) for one in results.response["violations"]]
    # A mail has no landmarks: it stands inside the page of a mail program, which has them.
    assert [one for one in found if not (state.startswith("mail-") and one[0] in ("region", "landmark-one-main",
                                                                                 "page-has-heading-one"))] == [], state
    assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth"), f"{state} scrolls sideways"


async def opened(browser: Browser, width: int, dark: bool) -> Page:
    return await browser.new_page(
        viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light"
    )


@pytest.mark.parametrize(("width", "dark"), SIZES)
@pytest.mark.parametrize("lang", LANGUAGES)
async def test_a_letter_is_read_on_a_telephone_and_on_a_desk(
    browser: Browser, lang: str, width: int, dark: bool
) -> None:
    _, _, html = wording().mail(
        "letter", lang, company=COMPANY, subject="Su oferta", label="Ver su oferta", action="https://luz.example/q/x",
        paragraphs=["Hola, Carmen:", "Su oferta sigue aquí. " * 8, "x" * 200],
        unsubscribe=f"https://luz.example/u/{'t' * 22}",
    )
    page = await opened(browser, width, dark)
    await page.set_content(html)
    await judge(page, f"mail-{lang}-{width}")
    await page.close()


@pytest.mark.parametrize(("width", "dark"), SIZES)
@pytest.mark.parametrize("lang", LANGUAGES)
async def test_the_page_that_ends_offers_is_for_everybody(
    book: Book, browser: Browser, lang: str, width: int, dark: bool
) -> None:
    book.can_mail = True
    async with visiting(book, mail_from="hola@luz.example") as house:
        page = await opened(browser, width, dark)
        await page.goto(house.url + await written_to(house, lang))
        await judge(page, f"unsubscribe-{lang}-{width}")
        await page.get_by_role("button").press("Enter")
        await expect(page.get_by_role("status")).to_be_visible()
        await judge(page, f"unsubscribed-{lang}-{width}")
        await page.close()
        assert await taken_back(house) == 1


async def test_the_phonebox_shows_a_mail_whose_links_open_and_whose_script_does_not_run(browser: Browser) -> None:
    box = Phonebox(account=ACCOUNT, token=TOKEN, templates=TEMPLATES, **QUICK)
    await box.start()
    mail = SmtpMail(box.smtp_url)
    script = '<script>document.body.textContent = "it ran"</script>'
    link = f"{box.url}/phones/{quote('+12025550142')}"
    await mail.send(order(text=f"Ver {link}", html=f'{script}<p>Hola</p><a href="{link}">Ver</a>'))
    await mail.close()
    page = await opened(browser, 390, False)
    await page.goto(f"{box.url}/mails")
    await judge(page, "mails")
    await page.locator(".mails a").click()
    await expect(page.frame_locator("iframe").get_by_text("Hola")).to_be_visible()
    await judge(page, "caught")
    async with page.context.expect_page() as other:
        await page.frame_locator("iframe").get_by_role("link").click()
    assert (await other.value).url == link
    await page.context.close()
    await box.stop()
