"""What a page's own scripts may do with the widget, and what it tells them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from playwright.async_api import Browser, Page, expect

from router.book import Book
from router.web.server import Server
from tests.web.browsing import CHROMIUM
from tests.web.visiting import KEY, visiting
from tests.web.visitor import Visit, on_the_page

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")

STUB = "window.hablemos = window.hablemos || function () { (hablemos.q = hablemos.q || []).push(arguments); };"


@pytest.fixture
async def visit(book: Book, browser: Browser) -> AsyncIterator[Visit]:
    async with on_the_page(book, browser, query="&utm_source=radio") as visit:
        yield visit


@asynccontextmanager
async def plain_page(
    book: Book, browser: Browser, browsers: str, *, lang: str = "", attributes: str = "", script: str = ""
) -> AsyncIterator[Page]:
    """A page of the site that nobody at the house wrote, in a browser of another language."""
    server = Server("127.0.0.1", 0)
    async with visiting(book, site={"actions": ["call", "chat"], "origins": [server.url]}) as house:
        body = (
            f"<!doctype html><html lang='{lang}'><title>x</title><script>{script}</script>"
            f"<script async src='{house.url}/w.js' data-key='{KEY}' {attributes}></script><body><p>x</p></body></html>"
        )

        async def answer(_: web.Request) -> web.Response:
            return web.Response(text=body, content_type="text/html")

        application = web.Application()
        application.router.add_get("/", answer)
        await server.start(application)
        page = await browser.new_page(locale=browsers)
        await page.goto(server.url)
        yield page
        await page.close()
        await server.stop()


async def test_the_page_hears_what_happens_and_nothing_personal(visit: Visit) -> None:
    await visit.fill()
    await visit.press()
    await visit.sees("Estamos pasando su solicitud")
    await visit.page.keyboard.press("Escape")
    heard = await visit.heard()
    assert [name for name, _ in heard] == ["ready", "open", "step", "submit", "accepted", "step", "close"]
    assert dict(heard)["accepted"]["lead"] == (await visit.lead()).id
    assert "600" not in str(heard)
    assert "Carmen" not in str(heard)


async def test_commands_given_before_it_is_loaded_are_carried_out(book: Book, browser: Browser) -> None:
    script = STUB + "hablemos('update', {name: 'Bo'}); hablemos('open', 'chat');"
    async with plain_page(book, browser, "en-GB", script=script) as page:
        await expect(page.get_by_role("dialog", name="Write to us")).to_be_visible()
        await expect(page.get_by_label("Your name")).to_have_value("Bo")


@pytest.mark.parametrize(
    ("attributes", "lang", "browsers", "says"),
    [
        ("data-locale='it'", "es", "ru-RU", "Chiamatemi ora"),
        ("", "es-AR", "ru-RU", "Llámeme ahora"),
        ("", "fr", "ru-RU", "Позвоните мне сейчас"),
        ("", "", "fr-FR", "Call me now"),
    ],
)
async def test_the_language_is_the_tags_the_pages_the_browsers(
    book: Book, browser: Browser, attributes: str, lang: str, browsers: str, says: str
) -> None:
    async with plain_page(book, browser, browsers, lang=lang, attributes=attributes) as page:
        button = page.locator("hablemos-widget button").first
        await expect(button).to_have_text(says)
        if browsers == "fr-FR":
            await button.click()
            await expect(page.get_by_role("dialog")).to_have_attribute("lang", "es")


async def test_a_page_that_changes_its_language_changes_the_buttons(visit: Visit) -> None:
    await visit.page.evaluate("hablemos('update', {locale: 'it'})")
    await expect(visit.page.locator("hablemos-widget button").first).to_have_text("Chiamatemi ora")


async def test_the_first_and_the_last_campaign_of_a_visit_are_told(visit: Visit) -> None:
    await visit.page.evaluate("history.pushState(0, '', '/otra?utm_source=boletin&gclid=zz')")
    await visit.page.evaluate("history.pushState(0, '', '/fin')")
    await visit.fill()
    await visit.press()
    await visit.sees("Estamos pasando su solicitud")
    source = (await visit.lead()).source
    assert (source["first"]["utm_source"], source["last"]["utm_source"]) == ("radio", "boletin")
    assert (source["utm_source"], source["gclid"]) == ("boletin", "zz")
    assert source["page"].endswith("/fin")


async def test_where_he_came_from_is_kept_only_when_he_agreed(visit: Visit) -> None:
    page = visit.page
    assert await page.evaluate("localStorage.length") == 0
    await page.evaluate("hablemos('consent', {analytics: true})")
    await page.goto(f"{visit.house.page}/?lang=es")
    await page.evaluate("hablemos('consent', {analytics: true})")
    await visit.fill()
    await visit.press()
    await visit.sees("Estamos pasando su solicitud")
    source = (await visit.lead()).source
    assert (source["first"]["utm_source"], source["last"]["utm_source"]) == ("radio", "radio")
    await page.evaluate("hablemos('consent', {analytics: false})")
    assert await page.evaluate("localStorage.length") == 0


async def test_shut_down_it_is_gone_and_its_links_lead_where_they_did(visit: Visit) -> None:
    await visit.page.evaluate("hablemos('shutdown')")
    assert await visit.page.evaluate("document.querySelectorAll('hablemos-widget').length") == 0
    assert await visit.page.evaluate("typeof hablemos") == "undefined"
    link = visit.page.get_by_role("link", name="Escríbanos")
    await visit.page.route("**/f/**", lambda route: route.fulfill(body="the form"))
    await link.click()
    await expect(visit.page).to_have_url(f"{visit.house.url}/f/{KEY}")


async def test_a_page_keeps_what_it_hears_of(visit: Visit) -> None:
    await visit.page.evaluate("hablemos('on', 'open', (detail) => { window.opened = detail; })")
    await visit.page.evaluate("hablemos('open', 'later')")
    await expect(visit.dialog).to_be_visible()
    assert await visit.page.evaluate("opened") == {"action": "later"}
    await visit.page.evaluate("hablemos('close'); hablemos('nothing', 1); hablemos('constructor')")
    await expect(visit.dialog).to_be_hidden()


async def test_the_look_is_the_pages_own_where_it_wants(visit: Visit) -> None:
    await visit.page.evaluate("document.documentElement.style.setProperty('--hablemos-accent', 'rgb(80, 0, 120)')")
    await visit.page.get_by_role("button", name="Llámeme ahora").click()
    button = visit.dialog.get_by_role("button", name="Llámeme ahora")
    await expect(button).to_have_css("background-color", "rgb(80, 0, 120)")


async def test_offline_is_said_and_it_is_sent_when_the_connection_is_back(visit: Visit) -> None:
    await visit.fill()
    await visit.page.context.set_offline(True)
    await visit.press()
    await expect(visit.dialog.get_by_role("alert").filter(has_text="No tiene conexión")).to_be_visible()
    await visit.page.context.set_offline(False)
    await visit.sees("Estamos pasando su solicitud")
    assert await visit.leads() == 1


async def test_what_is_typed_goes_along_to_another_way(visit: Visit) -> None:
    await visit.fill("600 00 00 09")
    await visit.press("Escríbanos")
    await expect(visit.dialog.get_by_label("Nombre (opcional)")).to_have_value("Carmen")
    await visit.press("Llámeme ahora")
    await expect(visit.dialog.get_by_label("Su número de teléfono")).to_have_value("600 00 00 09")


async def test_the_page_beside_the_open_panel_can_be_used(visit: Visit) -> None:
    await visit.page.set_viewport_size({"width": 1280, "height": 800})
    await visit.page.get_by_role("button", name="Llámeme ahora").click()
    await expect(visit.dialog).to_be_visible()
    await visit.page.get_by_text("¿Me van a llamar una y otra vez?").click()
    await expect(visit.page.get_by_text("Llamamos por lo que usted pidió.")).to_be_visible()
