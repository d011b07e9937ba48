"""Documents sent in a talk, in a real browser, where one is installed: kept, sent from the desk, opened on a telephone.

Each page is judged by axe, 390 px wide.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect
from sqlalchemy import select, update

from router.actions import opening
from router.book import Book
from router.model.agents import Role
from router.model.base import vouched
from router.model.brochures import Brochure
from router.model.contacts import Contact
from router.model.handouts import Handout
from router.model.tasks import Task, TaskState
from router.wording import LOCALES
from tests import handing
from tests.conftest import Clock, until
from tests.web.browsing import CHROMIUM, LANGUAGES, PICTURES
from tests.web.desking import PASSWORD, House, ring, working
from tests.web.visiting import visiting

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

TELEPHONE = {"width": 390, "height": 844}
LONG = "Condiciones particulares de la tarifa plana solar de veinticuatro horas para comunidades de propietarios"


async def judge(page: Page, state: str) -> None:
    """No violation of axe's rules, and nothing to be scrolled sideways."""
    if PICTURES:
        await page.screenshot(path=Path(PICTURES) / f"{state}.png", full_page=True)
    results = await Axe().run(page)
    found = [(one["id"], [node["target"] for node in one["nodes"]]) for one in results.response["violations"]]
    assert found == [], state
    assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth"), f"{state} scrolls sideways"


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
@pytest.mark.parametrize("lang", LOCALES if PICTURES else LANGUAGES)
async def test_a_person_opens_what_he_was_sent_on_a_small_telephone(
    book: Book, browser: Browser, clock: Clock, lang: str, scripts: bool
) -> None:
    context = await browser.new_context(viewport=TELEPHONE, java_script_enabled=scripts, accept_downloads=True)
    phone, state = await context.new_page(), f"handout-{lang}"
    async with visiting(book) as house:
        talk = await handing.talking(book, "Tarifas 2027", LONG[:100], queue=house.queue)
        async with book.writing() as w:
            await w.session.execute(update(Contact).values(locale=lang))
        both = house.url + await _sent(book, talk, talk.brochures)
        one = house.url + await _sent(book, talk, talk.brochures[:1], after=1)
        for address, name in ((both, "several"), (one, "one")):
            await phone.goto(address)
            await expect(phone.locator("button.main").first).to_be_visible()
            if scripts:
                await judge(phone, f"{state}-{name}")
        clock.forward(30)
        await phone.locator("button.main").click()

        async def opened() -> bool:
            return await handing.opens(book) == [0, 0, 1]

        await until(opened, "the opening to be counted")
        await phone.goto(f"{house.url}/d/nobody")
        if scripts:
            await judge(phone, f"{state}-gone")


async def _sent(book: Book, talk: handing.Talk, chosen: list[int], after: int = 0) -> str:
    await handing.hand(book, talk, chosen=chosen, after=after)
    return await handing.link(book)


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with working(book) as house:
        yield house


async def sign_in(browser: Browser, house: House, login: str, **context: object) -> Page:
    page = await (await browser.new_context(**context)).new_page()  # type: ignore[arg-type]
    page.on("pageerror", _fail)
    await page.goto(f"{house.url}/login")
    await page.fill("[name=login]", login)
    await page.fill("[name=password]", PASSWORD)
    await page.click("button.primary")
    return page


def _fail(error: object) -> None:
    raise AssertionError(error)


@pytest.mark.parametrize("lang", LANGUAGES)
async def test_a_supervisor_keeps_the_library(book: Book, browser: Browser, house: House, lang: str) -> None:
    await house.agent("sol", role=Role.supervisor, locale=lang, ready=False)
    page = await sign_in(browser, house, "sol", viewport=TELEPHONE)
    await page.goto(f"{house.url}/brochures")
    await judge(page, f"library-{lang}-empty")
    for content, name in ((b"no document", "Tarifas"), (handing.pdf(), LONG[:100])):
        await page.fill("[name=name]", name)
        await page.set_input_files("[name=file]", {
            "name": "tarifas.pdf", "mimeType": "application/pdf", "buffer": content,
        })
        await page.locator("#upload button").click()
        if content == b"no document":
            await expect(page.locator("#wrong-file")).to_be_visible()
            await expect(page.locator("[name=name]")).to_have_value(name)
            await judge(page, f"library-{lang}-refused")
    await expect(page.locator(".rows li")).to_have_count(1)
    await judge(page, f"library-{lang}")
    if PICTURES:
        await page.set_viewport_size({"width": 1280, "height": 900})
        await judge(page, f"library-{lang}-1280")
    await page.locator(".rows button").click()
    await expect(page.locator(".rows .state")).to_be_visible()
    async with book.reading() as r:
        assert vouched(await r.session.scalar(select(Brochure))).retired_at is not None


@pytest.mark.parametrize("width", [1280, 390])
async def test_an_agent_sends_documents_and_sees_them_opened(
    book: Book, browser: Browser, clock: Clock, house: House, width: int
) -> None:
    ana = await house.agent("ana", locale="ru")
    async with book.writing() as w:
        await handing.stocked(w, house.queue.campaign_id, "Tarifas 2027", LONG[:100])
    held = await ring(house, ana)
    async with book.writing() as w:
        for state in (TaskState.connecting, TaskState.engaged):
            await w.move(Task, held.task_id, state)
    page = await sign_in(browser, house, "ana", viewport={"width": width, "height": 900}, locale="ru-RU")
    await expect(page.locator("#link.live")).to_be_visible()
    await page.locator("#handing summary").click()
    await expect(page.locator("#hand-sms")).to_be_visible()
    await page.locator("#hand-sms").click()
    await expect(page.locator("#handing .trouble")).to_contain_text("Выбери")
    for box in await page.locator("#handing").get_by_role("checkbox").all():
        await box.check()
    await judge(page, f"desk-handing-{width}")
    await page.locator("#hand-sms").click()
    await expect(page.locator("#progress .handed li")).to_have_count(2)
    await expect(page.locator("#hand-sms")).to_have_count(0)
    clock.forward(30)
    async with book.writing() as w:
        await opening.opened(w, vouched(await w.session.get(Handout, 1)), 1, "Telephone/1")
    await expect(page.locator("#progress .handed")).to_contain_text("открыт 1 раз")
    await expect(page.locator("#person .timeline")).to_contain_text("Открыт документ")
    await judge(page, f"desk-handed-{width}")
    await page.locator("#handing summary").click()
    await expect(page.locator("#handing input[type=checkbox]").first).not_to_be_checked()
    assert await handing.opens(book) == [1, 0]
