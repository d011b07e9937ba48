"""The widget for everybody: judged by axe in every state and language, by keyboard alone, on the narrowest screen."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from router.book import Book
from router.wording import wording
from tests.web.browsing import CHROMIUM, LANGUAGES, PICTURES, THOROUGH
from tests.web.visitor import EVERYTHING, Visit, on_the_page

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")

FIELDS = [{"key": "plan", "labels": {"es": "Tarifa", "en": "Plan"}, "kind": "choice", "choices": {"a": {"es": "Fija"}}}]


_STILL = """Promise.all(
  document.querySelector("hablemos-widget").shadowRoot.getAnimations({ subtree: true }).map((one) => one.finished))"""


@pytest.fixture
async def visit(book: Book, browser: Browser) -> AsyncIterator[Visit]:
    async with on_the_page(book, browser) as visit:
        yield visit


async def judge(page: Page, state: str) -> None:
    """No violation of axe's rules, shadow roots included, and nothing to be scrolled sideways. axe is brought in by the
    browser's driver and stands outside the page's content policy."""
    await page.evaluate(_STILL)
    if PICTURES:
        await page.screenshot(path=Path(PICTURES) / f"{state}.png")
    results = await Axe().run(page)
    found = [(one["id"], [node["target"] for node in one["nodes"]]) for one in results.response["violations"]]
    assert found == [], state
    wide = await page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not wide, f"{state} scrolls sideways"


async def _way(visit: Visit, lang: str, name: str) -> None:
    await visit.dialog.get_by_role("button", name=wording().say(name, lang)).click()


@pytest.mark.parametrize(("width", "dark"), [(320, False), (1280, True)] if THOROUGH else [(320, False)])
@pytest.mark.parametrize("lang", LANGUAGES)
async def test_axe_finds_nothing_in_any_state(book: Book, browser: Browser, lang: str, width: int, dark: bool) -> None:
    async with on_the_page(book, browser, lang=lang, width=width, dark=dark, fields=FIELDS) as visit:
        shot = f"{lang}-{width}"
        await judge(visit.page, f"{shot}-page")
        await visit.page.evaluate("hablemos('open', 'call')")
        await expect(visit.dialog.get_by_role("textbox").first).to_be_focused()
        await judge(visit.page, f"{shot}-call")
        await visit.dialog.locator(".press").click()
        await expect(visit.dialog.get_by_role("textbox").first).to_have_attribute("aria-invalid", "true")
        await judge(visit.page, f"{shot}-missing")
        await _way(visit, lang, "Call me later")
        await judge(visit.page, f"{shot}-slots")
        await visit.dialog.get_by_role("radio").last.check()
        await visit.dialog.locator(".press").click()
        await expect(visit.dialog.locator(".chosen")).to_be_visible()
        await judge(visit.page, f"{shot}-later")
        for name in ("Video call", "Write to us"):
            await _way(visit, lang, name)
            await judge(visit.page, f"{shot}-{name.split()[0].lower()}")
        await visit.dialog.get_by_role("textbox").last.fill("😀 " * 20)
        await visit.dialog.locator(".press").click()
        await expect(visit.dialog.get_by_role("log")).to_be_visible()
        await judge(visit.page, f"{shot}-chat")


@pytest.mark.parametrize("lang", LANGUAGES)
async def test_axe_finds_nothing_while_a_call_is_awaited(book: Book, browser: Browser, lang: str) -> None:
    async with on_the_page(book, browser, lang=lang) as visit:
        await visit.page.evaluate("hablemos('open', 'call')")
        await visit.dialog.get_by_role("textbox").first.fill("600 00 00 01")
        await visit.dialog.get_by_role("checkbox").first.check()
        await visit.dialog.locator(".press").click()
        await expect(visit.dialog.locator("[data-state=waiting]")).to_be_visible()
        await judge(visit.page, f"{lang}-progress")
        assert visit.complaints == []


@pytest.mark.parametrize("lang", LANGUAGES)
async def test_axe_finds_nothing_once_whatsapp_or_a_room_is_open(book: Book, browser: Browser, lang: str) -> None:
    async with on_the_page(book, browser, lang=lang, width=320) as visit:
        await visit.page.context.route("https://wa.me/**", lambda route: route.fulfill(body="elsewhere"))
        async with visit.page.context.expect_page():
            await visit.page.evaluate("hablemos('open', 'whatsapp')")
        await expect(visit.dialog.get_by_role("link").first).to_have_attribute("href", re.compile("^https://wa.me/"))
        await judge(visit.page, f"{lang}-whatsapp")
        await visit.page.evaluate("hablemos('open', 'video')")
        async with visit.page.context.expect_page():
            await visit.dialog.locator(".press").click()
        await expect(visit.dialog.get_by_role("link", name=re.compile("."))).not_to_have_count(0)
        await judge(visit.page, f"{lang}-room")


@pytest.mark.parametrize("lang", LANGUAGES)
async def test_axe_finds_nothing_where_no_time_is_free(book: Book, browser: Browser, lang: str) -> None:
    async with on_the_page(book, browser, lang=lang, staffed=False, width=320) as visit:
        await visit.page.evaluate("hablemos('open', 'later')")
        await expect(visit.dialog.locator(".nobody")).to_be_visible()
        await judge(visit.page, f"{lang}-no-slots")


@pytest.mark.parametrize("lang", LANGUAGES)
async def test_axe_finds_nothing_on_a_page_that_is_switched_off(book: Book, browser: Browser, lang: str) -> None:
    closed = {"actions": EVERYTHING, "closed": True}
    async with on_the_page(book, browser, lang=lang, site=closed, width=320) as visit:
        await visit.page.evaluate("hablemos('open', 'call')")
        await expect(visit.dialog.get_by_role("link").first).to_have_attribute("href", re.compile("^tel:"))
        await judge(visit.page, f"{lang}-closed")


async def test_a_call_is_asked_for_by_keyboard_alone(visit: Visit) -> None:
    page, press = visit.page, visit.page.keyboard.press
    await page.get_by_role("button", name="Llámeme ahora").focus()
    await press("Enter")
    await expect(visit.dialog.get_by_label("Su número de teléfono")).to_be_focused()
    await page.keyboard.type("600 00 00 01")
    await press("Tab")
    await press("Tab")
    await press("Space")
    await press("Tab")
    await press("Tab")
    await expect(visit.dialog.get_by_role("button", name="Llámeme ahora")).to_be_focused()
    await press("Enter")
    await visit.sees("Estamos pasando su solicitud")
    await press("Escape")
    await expect(visit.dialog).to_be_hidden()
    await expect(page.get_by_role("button", name="Llámeme ahora")).to_be_focused()


async def test_a_time_is_chosen_by_keyboard_alone(visit: Visit) -> None:
    press = visit.page.keyboard.press
    await visit.page.get_by_role("link", name="Llámeme más tarde").focus()
    await press("Enter")
    await expect(visit.page.get_by_role("dialog", name="¿Cuándo podemos llamarle?")).to_be_visible()
    await press("Tab")
    for key in ("Tab", "ArrowRight", "Tab", "Space", "ArrowDown", "Enter"):
        await press(key)
    await expect(visit.dialog.get_by_text("Se la guardamos hasta las")).to_be_visible()
    await expect(visit.page.get_by_role("heading", name="Le llamamos entonces")).to_be_focused()


async def test_every_target_is_large_enough_for_a_thumb(visit: Visit) -> None:
    # The widget grows while it opens: it is measured when it has come to rest.
    small = """async () => {
        const inside = document.querySelector("hablemos-widget").shadowRoot
        const ending = inside.getAnimations().filter((one) => one.effect.getComputedTiming().iterations !== Infinity)
        await Promise.all(ending.map((one) => one.finished))
        return [...inside.querySelectorAll("section button, .tick")]
            .filter((one) => one.offsetParent && one.getBoundingClientRect().height < 44).map((one) => one.outerHTML)
    }"""
    for action in ("call", "later", "chat"):
        await visit.page.evaluate(f"hablemos('open', '{action}')")
        await expect(visit.dialog).to_have_attribute("data-step", "slots" if action == "later" else action)
        assert await visit.page.evaluate(small) == []


async def test_who_wants_less_motion_gets_none(book: Book, browser: Browser) -> None:
    async with on_the_page(book, browser) as visit:
        await visit.page.emulate_media(reduced_motion="reduce")
        await visit.page.get_by_role("button", name="Llámeme ahora").click()
        await expect(visit.dialog).to_have_css("animation-name", "none")
