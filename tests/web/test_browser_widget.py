"""The widget in Chromium, on a landing page of another origin under a strict content policy."""

import json
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Route, expect
from sqlalchemy import select

from router.book import Book
from router.model.consent import Receipt
from router.model.tasks import TaskState
from tests.web.browsing import CHROMIUM
from tests.web.visiting import visiting
from tests.web.visitor import Visit, on_the_page

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")


@pytest.fixture
async def visit(book: Book, browser: Browser) -> AsyncIterator[Visit]:
    async with on_the_page(book, browser, query="&utm_source=boletin&gclid=abc", site={}) as visit:
        yield visit


async def test_a_visitor_asks_for_a_call_and_follows_it_live(visit: Visit) -> None:
    assert visit.agent
    await visit.fill(later=True)
    await visit.press()
    await visit.sees("Estamos pasando su solicitud a un asesor.")
    await visit.move(TaskState.reserved, visit.agent)
    await visit.sees("Suena el teléfono de Ana.")
    await visit.move(TaskState.connecting)
    await visit.sees("Ana ha aceptado su llamada.")
    await visit.move(TaskState.engaged)
    await visit.sees("Está hablando con Ana.")
    await visit.move(TaskState.wrapping)
    await visit.sees("Su llamada ha terminado.")
    async with visit.house.book.reading() as r:
        receipts = (await r.session.scalars(select(Receipt).order_by(Receipt.id)))
    lead = await visit.lead()
    assert (lead.source["utm_source"], lead.source["gclid"]) == ("boletin", "abc")
    assert lead.source["first"]["landing"] == visit.page.url
    agreed = {tuple(receipt.purposes): receipt.text for receipt in receipts}
    assert set(agreed) == {("requested",), ("commercial",)}
    assert agreed["requested",].startswith("Quiero que Luz Clara SL me llame")
    assert visit.complaints == []


async def test_what_is_missing_is_said_beside_its_field_and_nothing_is_sent(visit: Visit) -> None:
    await visit.fill(" ", agree=False)
    assert not await visit.page.get_by_role("checkbox").first.is_checked()
    await visit.press()
    phone = visit.page.get_by_label("Su número de teléfono")
    await expect(phone).to_be_focused()
    await expect(phone).to_have_attribute("aria-invalid", "true")
    await expect(phone).to_have_accessible_description("Escriba el número al que debemos llamar.")
    assert await visit.leads() == 0


async def test_what_is_being_mended_is_not_complained_about_any_more(visit: Visit) -> None:
    await visit.fill(" ", agree=False)
    await visit.press()
    phone, box = visit.page.get_by_label("Su número de teléfono"), visit.page.get_by_role("checkbox").first
    await expect(box).to_have_attribute("aria-invalid", "true")
    await phone.fill("6")
    await expect(phone).not_to_have_attribute("aria-invalid", "true")
    await expect(phone).to_have_accessible_description("")
    await expect(box).to_have_attribute("aria-invalid", "true")
    await box.check()
    await expect(box).not_to_have_attribute("aria-invalid", "true")


async def test_the_houses_refusal_is_shown_beside_the_number(visit: Visit) -> None:
    await visit.fill("123")
    await visit.press()
    phone = visit.page.get_by_label("Su número de teléfono")
    await expect(phone).to_have_attribute("aria-invalid", "true")
    assert await visit.leads() == 0


async def test_a_lost_answer_is_asked_for_again_and_makes_one_lead(visit: Visit) -> None:
    keys: list[str] = []

    async def lose_the_first(route: Route) -> None:
        if route.request.method != "POST":
            await route.continue_()
            return
        keys.append(json.loads(route.request.post_data or "")["client_request_id"])
        if len(keys) == 1:
            await route.fetch()
            await route.abort()
        else:
            await route.continue_()

    await visit.page.route("**/v1/leads", lose_the_first)
    await visit.fill()
    await visit.press()
    await visit.sees("Estamos pasando su solicitud a un asesor.")
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert await visit.leads() == 1


async def test_when_the_house_is_down_the_visitor_sees_the_number(visit: Visit) -> None:
    await visit.page.route(f"{visit.house.url}/**", lambda route: route.abort())
    await visit.page.get_by_role("button", name="Llámeme ahora").click()
    alert = visit.page.get_by_role("alert").filter(has_text="Ahora mismo no podemos")
    await expect(alert.get_by_role("link")).to_have_attribute("href", "tel:+34910000000")
    await visit.page.unroute(f"{visit.house.url}/**")
    await visit.page.get_by_role("button", name="Llámeme ahora").click()
    await expect(visit.page.get_by_role("dialog")).to_be_visible()


async def test_without_the_house_the_pages_links_still_call(book: Book, browser: Browser) -> None:
    async with visiting(book) as house:
        page = await browser.new_page()
        await page.route(f"{house.url}/**", lambda route: route.abort())
        await page.goto(f"{house.page}/?lang=en")
        link = page.get_by_role("link", name="Call me now").first
        await expect(link).to_have_attribute("href", "tel:+34910000000")
        await page.close()


async def test_a_link_of_the_page_opens_the_panel(visit: Visit) -> None:
    await visit.page.get_by_role("link", name="Llámeme ahora").first.click()
    await expect(visit.page.get_by_role("dialog", name="Le llamamos ahora")).to_be_visible()


async def test_escape_closes_the_panel_and_gives_the_focus_back(visit: Visit) -> None:
    button = visit.page.get_by_role("button", name="Llámeme ahora")
    await button.focus()
    await visit.page.keyboard.press("Enter")
    await expect(visit.page.get_by_label("Su número de teléfono")).to_be_focused()
    await visit.page.keyboard.press("Escape")
    await expect(visit.page.get_by_role("dialog")).to_be_hidden()
    await expect(button).to_be_focused()


async def test_nothing_is_stored_and_the_panel_not_loaded_before_the_visitor_acts(visit: Visit) -> None:
    kept = await visit.page.evaluate("[document.cookie, localStorage.length, sessionStorage.length]")
    loaded = await visit.page.evaluate("performance.getEntriesByType('resource').map((one) => one.name)")
    assert kept == ["", 0, 0]
    assert [name for name in loaded if name.startswith(visit.house.url)] == [f"{visit.house.url}/w.js"]


async def test_included_twice_it_is_there_once(visit: Visit) -> None:
    again = """(src) => new Promise((done) => {
        const tag = Object.assign(document.createElement('script'), {src, onload: done});
        tag.dataset.key = 'other';
        document.head.append(tag);
    })"""
    # Set by the visitor's own tools, outside the page's trusted types.
    await visit.page.evaluate("trustedTypes.createPolicy('default', {createScriptURL: (address) => address})")
    await visit.page.evaluate(again, f"{visit.house.url}/w.js")
    assert await visit.page.evaluate("document.querySelectorAll('hablemos-widget').length") == 1


async def test_a_page_that_replaces_its_body_keeps_the_button(visit: Visit) -> None:
    await visit.page.evaluate("document.body = document.createElement('body')")
    await expect(visit.page.get_by_role("button", name="Llámeme ahora")).to_be_visible()


async def test_the_status_page_follows_live_too(visit: Visit) -> None:
    await visit.fill()
    await visit.press()
    async with visit.page.context.expect_page() as opened:
        await visit.page.get_by_role("link", name="Seguir su solicitud").click()
    page = await opened.value
    await expect(page.get_by_role("status")).to_contain_text("Estamos pasando su solicitud")
    await visit.move(TaskState.reserved, visit.agent)
    await expect(page.get_by_role("status")).to_contain_text("Suena el teléfono de Ana.")


async def test_with_nobody_there_the_panel_promises_no_call_now(book: Book, browser: Browser) -> None:
    async with visiting(book) as house:
        page = await browser.new_page()
        await page.goto(f"{house.page}/?lang=en")
        await page.get_by_role("link", name="Call me now").first.click()
        dialog = page.get_by_role("dialog", name="Leave your number")
        await expect(dialog.get_by_text("Nobody is at the desk at the moment.")).to_be_visible()
        await expect(dialog.get_by_role("button", name="Ask for a call")).to_be_visible()
        await expect(dialog.get_by_role("link", name="+34 910 00 00 00")).to_be_visible()
        await page.close()
