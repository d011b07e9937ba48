"""The whole ceremony on a small telephone: judged by axe in each state, drawn on, held, withdrawn from."""

from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect
from sqlalchemy import text

from router.actions import revoking
from router.book import Book
from router.model.base import vouched
from router.model.signings import Signing, SigningState
from router.ports import Sealed
from router.store import blobs
from tests import closing
from tests.web.browsing import CHROMIUM, LANGUAGES, PICTURES, THOROUGH
from tests.web.customer import visiting

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


async def judge(page: Page, state: str) -> None:
    """No violation of axe's rules, and nothing to be scrolled sideways."""
    await page.wait_for_load_state()
    if PICTURES:
        await page.screenshot(path=Path(PICTURES) / f"{state}.png", full_page=True)
    results = await Axe().run(page)
    found = [(one["id"], [node["target"] for node in one["nodes"]]) for one in results.response["violations"]]
    assert found == [], state
    assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth"), f"{state} scrolls sideways"


async def comes(page: Page, what: str) -> None:
    """The page that waits for a seal looks by itself, and loads again when there is one: going anywhere at that moment
    would be aborted."""
    await expect(page.locator(what)).to_be_visible(timeout=20_000)


async def draw(page: Page) -> None:
    """A stroke over the canvas."""
    canvas = page.locator("canvas")
    await canvas.scroll_into_view_if_needed()
    box = vouched(await canvas.bounding_box())
    await page.mouse.move(box["x"] + 30, box["y"] + 60)
    await page.mouse.down()
    for step in range(1, 8):
        await page.mouse.move(box["x"] + 30 + 35 * step, box["y"] + 60 + (25 if step % 2 else -25), steps=4)
    await page.mouse.up()


@pytest.mark.parametrize("dark", [False, True] if THOROUGH else [False], ids=lambda dark: "dark" if dark else "light")
@pytest.mark.parametrize("lang", LANGUAGES)
async def test_axe_finds_nothing_from_the_link_to_the_withdrawal(
    book: Book, browser: Browser, lang: str, dark: bool
) -> None:
    if dark and lang != LANGUAGES[-1]:
        pytest.skip("one language is enough in the dark")
    _, held = await closing.sent(book, locale=lang)
    context = await browser.new_context(
        viewport={"width": 390, "height": 844}, color_scheme="dark" if dark else "light", has_touch=True
    )
    page, shot = await context.new_page(), f"{lang}-390{'-dark' if dark else ''}"
    main = page.locator("button.main")
    async with visiting(book) as house:
        await page.goto(f"{house.url}/q/{await closing.token(book)}")
        await judge(page, f"{shot}-1-landing")
        await main.click()
        await judge(page, f"{shot}-2-offer")
        await page.locator("form[action='/q/-/call'] button").click()
        await judge(page, f"{shot}-3-called")
        await main.click()
        await page.locator("#code").fill(await closing.code(book))
        await judge(page, f"{shot}-4-code")
        await main.click()
        await draw(page)
        await page.locator("#name").fill("Carmen Ruiz")
        await main.click()
        await judge(page, f"{shot}-5-missing")
        await page.locator("#name").fill("Carmen Ruiz")
        for box in await page.get_by_role("checkbox").all():
            await box.check()
        await draw(page)
        await judge(page, f"{shot}-6-name")
        await main.click()
        await judge(page, f"{shot}-7-sealing")
        async with book.writing() as w:
            sealed = await blobs.keep(w.session, b"%PDF sealed", "application/pdf", w.now)
            await w.move(Signing, held.id, SigningState.sealed, sealed_sha256=sealed)
        await comes(page, "a[href='/q/-/signed.pdf']")
        await judge(page, f"{shot}-8-done")
        await page.goto(f"{house.url}/withdraw/-")
        await judge(page, f"{shot}-9-withdraw")
        await main.click()
        await judge(page, f"{shot}-10-confirm")
        await main.click()
        await judge(page, f"{shot}-11-withdrawn")
        async with book.writing() as w:
            await revoking.acknowledged(w, held.id, Sealed(b"%PDF", "PAdES B-T", "internal"))
        await comes(page, "form[action$='/acknowledgement'] button")
        await judge(page, f"{shot}-12-acknowledged")
    now = await closing.now(book, held)
    async with book.reading() as r:
        drawn = vouched(await blobs.content(r.session, now.drawing_sha256))
    assert drawn.startswith(b"\x89PNG")
    assert len(drawn) > 500, "there is a stroke on it"
    await context.close()


async def test_a_held_offer_says_so_with_scripts_off(book: Book, browser: Browser) -> None:
    await closing.sent(book, campaign={"office_networks": ["127.0.0.1"]})
    context = await browser.new_context(viewport={"width": 390, "height": 844}, java_script_enabled=False)
    page = await context.new_page()
    async with visiting(book) as house:
        await page.goto(f"{house.url}/q/{await closing.token(book)}")
        await page.locator("button.main").click()
        await expect(page.get_by_role("status")).to_contain_text("revisa esta oferta")
        if PICTURES:
            await page.screenshot(path=Path(PICTURES) / "held.png", full_page=True)
        async with book.writing() as w:
            await w.session.execute(text("update holds set ended_at = created_at"))
        await page.reload()
        await page.locator("button.main").click()
        await page.locator("#code").fill(await closing.code(book))
        await page.locator("button.main").click()
        await expect(page.locator("canvas")).to_be_hidden()
        await expect(page.locator("[data-draw]")).to_be_hidden()
    await context.close()
