"""Every way to reach us that the widget offers, in Chromium: later, chat, WhatsApp, video, the telephone."""

import re
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Browser, Page, Route, expect
from sqlalchemy import select

from router.actions import replying
from router.book import Book
from router.model.conversations import Conversation
from router.model.facts import Fact
from router.model.leads import Intent
from router.model.rates import LENIENT, Limits
from router.model.tasks import Task, TaskKind, TaskState
from tests import making
from tests.conftest import until
from tests.web.browsing import CHROMIUM
from tests.web.visitor import EVERYTHING, Visit, on_the_page

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")

IBAN = "ES9121000418450200051332"
FIELDS = [
    {"key": "plan", "labels": {"es": "Tarifa", "en": "Plan"}, "kind": "choice", "required": True,
     "choices": {"fixed": {"es": "Fija"}, "solar": {"es": "Solar"}}},
    {"key": "iban", "labels": {"es": "Su IBAN"}, "kind": "iban", "secret": True},
]


@pytest.fixture
async def visit(book: Book, browser: Browser) -> AsyncIterator[Visit]:
    async with on_the_page(book, browser) as visit:
        yield visit


async def _nowhere(page: Page) -> None:
    """Addresses of others are not called in tests."""
    await page.context.route("https://wa.me/**", lambda route: route.fulfill(body="WhatsApp"))


async def test_a_time_is_chosen_held_and_promised(visit: Visit) -> None:
    await visit.page.get_by_role("link", name="Llámeme más tarde").click()
    times = visit.dialog.get_by_role("group", name="Hora").get_by_role("radio")
    await expect(visit.dialog.get_by_text("hora estándar de Europa central")).to_be_visible()
    await visit.press("Elegir esta hora")
    await expect(visit.dialog.get_by_role("alert")).to_contain_text(["Elija una hora"])
    await visit.dialog.get_by_role("group", name="Día").get_by_role("radio").nth(1).check()
    await times.first.check()
    await visit.press("Elegir esta hora")
    await expect(visit.dialog.get_by_text("Se la guardamos hasta las")).to_be_visible()
    await visit.dialog.get_by_label("Su número de teléfono").fill("600 00 00 01")
    await visit.dialog.get_by_role("checkbox").first.check()
    await visit.press("Llámeme entonces")
    await visit.sees("Le llamamos el")
    lead = await visit.lead()
    async with visit.house.book.reading() as r:
        task = await r.session.scalar(select(Task))
    assert (lead.intent, task and task.state) == (Intent.call_later, TaskState.scheduled)
    assert [name for name, _ in await visit.heard() if name in ("accepted", "scheduled")] == ["accepted", "scheduled"]
    assert visit.complaints == []


async def test_a_time_taken_meanwhile_is_said_and_others_are_offered(visit: Visit) -> None:
    async def gone(route: Route) -> None:
        await route.fulfill(
            status=409, content_type="application/problem+json", headers={"Access-Control-Allow-Origin": "*"},
            json={"status": 409, "code": "conflict", "detail": "Esta hora ya no está libre."},
        )

    await visit.page.route("**/holds", gone)
    await visit.page.get_by_role("link", name="Llámeme más tarde").click()
    await visit.dialog.get_by_role("group", name="Hora").get_by_role("radio").first.check()
    await visit.press("Elegir esta hora")
    await expect(visit.dialog.get_by_role("alert").filter(has_text="ya no está libre")).to_be_visible()
    await expect(visit.dialog.get_by_role("button", name="Elegir esta hora")).to_be_visible()


async def test_with_nobody_there_call_me_now_offers_times(book: Book, browser: Browser) -> None:
    async with on_the_page(book, browser, staffed=False) as visit:
        async with book.writing() as w:
            await making.agent(w, "eva", ready=False)
        await visit.page.get_by_role("button", name="Llámeme ahora").click()
        await expect(visit.page.get_by_role("dialog", name="¿Cuándo podemos llamarle?")).to_be_visible()
        await expect(visit.dialog.get_by_text("no hay nadie atendiendo")).to_be_visible()


async def test_when_all_are_busy_the_wait_is_estimated(book: Book, browser: Browser) -> None:
    async with on_the_page(book, browser, staffed=False, queue={"handle_seconds": 600}) as visit:
        async with book.writing() as w:
            await making.agent(w, "ana", call_load=1)
        await visit.page.get_by_role("button", name="Llámeme ahora").click()
        await expect(visit.dialog.get_by_text("Calculamos llamarle en unos 10 min.")).to_be_visible()


async def _write(visit: Visit, text: str) -> None:
    await visit.page.get_by_role("link", name="Escríbanos").click()
    await visit.dialog.get_by_label("Su mensaje").fill(text)
    await visit.press("Enviar")


async def test_a_chat_runs_both_ways_and_survives_a_reload(visit: Visit) -> None:
    await _write(visit, "¿Cuánto <b>cuesta</b>?")
    log = visit.dialog.get_by_role("log")
    await expect(log).to_be_visible()
    await visit.dialog.get_by_label("Su mensaje").fill("Dos líneas\nsin marcas <i>")
    await visit.press("Enviar")
    await expect(log.get_by_text("sin marcas <i>")).to_be_visible()
    await expect(log.get_by_text("¿Cuánto <b>cuesta</b>?")).to_be_visible()
    assert visit.agent
    for state in (TaskState.reserved, TaskState.connecting, TaskState.engaged):
        await visit.move(state, visit.agent)
    await visit.sees("Está escribiendo con")
    async with visit.house.book.writing() as w:
        thread = await w.session.scalar(select(Conversation))
        assert thread
        await replying.say(w, thread.id, visit.agent.id, "Véalo en https://luzclara.example/precios.")
    await expect(log.get_by_role("link", name="https://luzclara.example/precios")).to_be_visible()
    await visit.page.reload()
    await expect(log.get_by_text("sin marcas <i>")).to_be_visible()
    assert await visit.leads() == 1
    async with visit.house.book.reading() as r:
        kinds = list(await r.session.scalars(select(Task.kind)))
    assert kinds == [TaskKind.chat]
    assert visit.complaints == []


async def test_a_chat_goes_on_by_phone(visit: Visit) -> None:
    await _write(visit, "Mejor hablamos")
    await until(visit.leads, "the chat's lead")
    first = await visit.lead()
    await visit.press("Seguir por teléfono")
    await visit.dialog.get_by_label("Su número de teléfono").fill("600 00 00 01")
    await visit.dialog.get_by_role("checkbox").first.check()
    await visit.press()
    await visit.sees("Estamos pasando su solicitud")
    lead = await visit.lead()
    assert lead.id != first.id
    assert lead.intent is Intent.call_now


async def test_whatsapp_opens_with_a_reference_of_this_visit(visit: Visit) -> None:
    await _nowhere(visit.page)
    link = visit.dialog.get_by_role("link", name="Abrir WhatsApp")
    async with visit.page.context.expect_page() as opened:
        await visit.page.get_by_role("link", name="WhatsApp").first.click()
    text = parse_qs(urlsplit((await opened.value).url).query)["text"][0]
    lead = await visit.lead()
    assert lead.intent is Intent.whatsapp
    assert re.search(r"\[ref:(\w{8})\]$", text)
    assert f"[ref:{lead.source['reference']}]" in text
    await expect(link).to_have_attribute("href", re.compile(r"^https://wa\.me/34600000009\?text=.*ref"))
    assert visit.complaints == []


async def test_whatsapp_opens_without_a_reference_when_the_lead_is_refused(book: Book, browser: Browser) -> None:
    async with on_the_page(book, browser) as visit:
        await _nowhere(visit.page)
        await visit.page.route("**/v1/leads", lambda route: route.fulfill(
            status=422, json={"status": 422, "code": "invalid"}, headers={"Access-Control-Allow-Origin": "*"}))
        async with visit.page.context.expect_page() as opened:
            await visit.page.get_by_role("link", name="WhatsApp").first.click()
        assert "ref" not in (await opened.value).url


async def test_a_video_call_leads_to_its_room(visit: Visit) -> None:
    await visit.page.get_by_role("link", name="Videollamada").click()
    async with visit.page.context.expect_page() as opened:
        await visit.press("Pedir una videollamada")
    assert (await opened.value).url.endswith("/video")
    await expect(visit.dialog.get_by_role("link", name="Entrar en la sala de vídeo")).to_be_visible()
    assert (await visit.lead()).intent is Intent.video


async def test_a_click_on_the_number_is_recorded_and_still_calls(visit: Visit) -> None:
    link = visit.page.get_by_role("link", name="o llámenos:")
    await expect(link).to_have_attribute("href", "tel:+34910000000")
    # The browser is not let go to a telephone it does not have.
    await visit.page.evaluate("addEventListener('click', (event) => event.preventDefault())")
    await link.click()

    async def clicked() -> list[str]:
        async with visit.house.book.reading() as r:
            rows = await r.session.scalars(select(Fact).where(Fact.kind == "site.clicked"))
            return [fact.data["action"] for fact in rows]

    assert await until(clicked, "the click") == ["tel"]


async def test_the_campaigns_questions_are_asked_and_answered(book: Book, browser: Browser) -> None:
    async with on_the_page(book, browser, fields=FIELDS) as visit:
        await visit.fill()
        await visit.press()
        plan = visit.dialog.get_by_label("Tarifa")
        await expect(plan).to_be_focused()
        await plan.select_option("solar")
        await visit.dialog.get_by_label("Su IBAN").fill("ES00 0000")
        await visit.press()
        await expect(visit.dialog.get_by_label("Su IBAN")).to_be_focused()
        await expect(visit.dialog.get_by_label("Su IBAN")).to_have_attribute("aria-invalid", "true")
        await visit.dialog.get_by_label("Su IBAN").fill(IBAN)
        await visit.press()
        await visit.sees("Estamos pasando su solicitud")
        lead = await visit.lead()
        assert lead.fields == {"plan": "solar"}
        assert lead.sealed_fields
        assert IBAN.encode() not in lead.sealed_fields


CONSENTS = [
    {"purpose": "requested", "version": "7", "texts": {"es": "Llámenme, {company}."}},
    {"purpose": "commercial", "version": "7", "texts": {"es": "Ofertas también."}},
    {"purpose": "recording", "version": "7", "texts": {"es": "Pueden grabar la llamada."}, "required": False},
]


async def test_each_consent_is_a_box_of_its_own_and_none_is_ticked(book: Book, browser: Browser) -> None:
    async with on_the_page(book, browser, consents=CONSENTS) as visit:
        await visit.fill(agree=False)
        boxes = visit.dialog.get_by_role("checkbox")
        await expect(boxes).to_have_count(3)
        assert [await boxes.nth(n).is_checked() for n in range(3)] == [False] * 3
        await boxes.nth(0).check()
        await boxes.nth(2).check()
        await visit.press()
        await visit.sees("Estamos pasando su solicitud")


PROOF_EACH_TIME = Limits(**{**vars(LENIENT), "free_risk": -1, "first_bits": 12})


async def test_the_proof_that_is_asked_for_is_worked_out(book: Book, browser: Browser) -> None:
    async with on_the_page(book, browser, limits=PROOF_EACH_TIME) as visit:
        await visit.fill()
        await visit.press()
        await visit.sees("Estamos pasando su solicitud")
        assert await visit.leads() == 1


async def test_too_many_requests_are_said_in_words_with_the_number(book: Book, browser: Browser) -> None:
    limits = Limits(**{**vars(LENIENT), "address": LENIENT.address._replace(most=0)})
    async with on_the_page(book, browser, limits=limits) as visit:
        await visit.fill()
        await visit.press()
        await expect(visit.dialog.get_by_role("alert").filter(has_text="910 00 00 00")).to_be_visible()
        assert ("error", {"code": "too-many"}) in await visit.heard()
        assert await visit.leads() == 0


async def test_a_page_that_is_switched_off_shows_only_the_number(book: Book, browser: Browser) -> None:
    async with on_the_page(book, browser, site={"actions": EVERYTHING, "closed": True}) as visit:
        await visit.page.get_by_role("button", name="Llámeme ahora").click()
        await expect(visit.dialog.get_by_role("link")).to_have_attribute("href", "tel:+34910000000")
        await expect(visit.dialog.get_by_role("textbox")).to_have_count(0)
