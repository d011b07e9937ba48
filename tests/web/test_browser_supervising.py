"""The supervisor's hands in a browser: by keyboard, on the narrowest screen, while the board changes under them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from router.actions import dispatch, presence, supervising, wrapping
from router.book import Book
from router.model.agents import Agent, Role, Wish
from router.model.base import vouched
from router.model.campaigns import Queue, WrapMode
from router.model.tasks import Task, TaskKind
from tests import making
from tests.conftest import Clock
from tests.web.browsing import CHROMIUM, LANGUAGES, PICTURES, THOROUGH
from tests.web.desking import PASSWORD, House, ring, working

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with working(book) as house:
        yield house


@pytest.fixture
async def page(browser: Browser, house: House) -> Page:
    """The wallboard of a supervisor, with Ana free and one task that waits."""
    await house.agent("ana", name="Ana")
    await house.agent("sol", role=Role.supervisor, locale="en", ready=False)
    await waiting(house)
    return await opened(browser, house, "sol")


async def opened(
    browser: Browser, house: House, login: str, path: str = "/wallboard", *, width: int = 1280, dark: bool = False
) -> Page:
    page = await (await browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light")).new_page()
    page.on("pageerror", _fail)
    await page.goto(f"{house.url}/login?next={path}")
    await page.fill("[name=login]", login)
    await page.fill("[name=password]", PASSWORD)
    await page.press("[name=password]", "Enter")
    await page.wait_for_selector("#link.live")
    return page


def _fail(error: object) -> None:
    raise AssertionError(error)


async def waiting(house: House, phone: str = "+12025550102", **values: object) -> Task:
    async with house.book.writing() as w:
        made = await making.task(w, house.queue, await making.lead(w, house.queue, phone), **values)
        w.hint("wallboard")
        return made


async def changes(house: House, page: Page, name: str) -> None:
    """Something else changes on the board; returns when this page shows it."""
    async with house.book.writing() as w:
        await making.agent(w, name)
        w.hint("wallboard")
    await expect(page.locator("#team")).to_contain_text(name.title())


async def everything(house: House, clock: Clock) -> None:
    """A board on which all is to be seen: help, a stuck wrap-up, pauses, rings, tasks that wait and what is off."""
    busy = await house.agent("eva", name="Eva-Konstantinowna Woskressenskaja", skills=["it", "it:2", "solar"])
    for n, reason in enumerate(("missed", "wrap", "once")):
        async with house.book.writing() as w:
            one = await making.agent(w, f"paused{n}")
            await presence.set_wish(w, one.id, Wish.paused, reason=reason)
    task = await waiting(house, "+12025550110", kind=TaskKind.chat)
    stuck = await house.agent("iva", name="Iva")
    async with house.book.writing() as w:
        vouched(await w.session.locked(Queue, house.queue.id)).wrap_mode = WrapMode.until_done
        await supervising.give(w, task.id, stuck.id, stuck.id)
    async with house.book.writing() as w:
        await dispatch.accept(w, 1, stuck.id)
        await wrapping.begin_task(w, vouched(await w.session.locked(Task, task.id)))
        vouched(await w.session.locked(Task, task.id)).held_until = w.now
    await ring(house, busy, phone="+12025550111")
    async with house.book.writing() as w:
        await supervising.ask_for_help(w, busy.id)
    for n in range(6):
        kind = TaskKind.nurture if n == 3 else TaskKind.call
        skills = [[], ["it", "it:2"], ["solar"], []][n % 4]
        await waiting(house, f"+1202555020{n}", tier=[0, 1, 2, 6, 3, 4][n], kind=kind, skills=skills)
    async with house.book.writing() as w:
        await supervising.set_nurture(w, False, busy.id)
        w.hint("wallboard")


@pytest.mark.parametrize(("width", "dark"), [(320, False), (1280, True), (2560, False)] if THOROUGH or PICTURES
                         else [(320, False)])
@pytest.mark.parametrize("locale", LANGUAGES)
async def test_axe_finds_nothing_on_a_board_full_of_trouble_with_a_menu_open(
    house: House, page: Page, browser: Browser, clock: Clock, locale: str, width: int, dark: bool
) -> None:
    await everything(house, clock)
    await house.agent("zoe", role=Role.supervisor, locale=locale, ready=False)
    board = await opened(browser, house, "zoe", width=width, dark=dark)
    await expect(board.locator("#attention .asking li")).to_be_visible()
    for state in ("closed", "ringing", "wrapping"):
        if state != "closed":
            await board.locator(f"#team li.{state} summary").click()
            await expect(board.locator(f"#team li.{state} form").first).to_be_visible()
        if PICTURES:
            await board.screenshot(path=Path(PICTURES) / f"board-{locale}-{width}-{state}.png", full_page=True)
        found = await Axe().run(board)
        assert found.violations_count == 0, found.generate_report()
        assert await board.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{state} scrolls sideways"
    small = """() => [...document.querySelectorAll("main button, main summary, main select")]
        .filter((one) => one.offsetParent && one.getBoundingClientRect().height < 32).map((one) => one.outerHTML)"""
    assert await board.evaluate(small) == []


async def test_a_menu_is_opened_used_and_closed_by_keyboard_alone(house: House, page: Page) -> None:
    summary = page.locator("#team li", has_text="Ana").locator("summary")
    await summary.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Pause", exact=True)).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#team li", has_text="Ana")).to_contain_text("Paused")
    await expect(page.get_by_role("button", name="Pause", exact=True)).to_have_count(0)
    await expect(summary).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Make ready")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#team li", has_text="Ana")).to_contain_text("Free")
    await page.keyboard.press("Escape")
    await expect(page.locator("#team details[open]")).to_have_count(0)
    await expect(summary).to_be_focused()


async def test_what_changes_meanwhile_neither_closes_a_menu_nor_moves_the_focus(house: House, page: Page) -> None:
    menu = page.locator("#team li", has_text="Ana").locator("details")
    await menu.locator("summary").click()
    button = menu.get_by_role("button", name="Pause", exact=True)
    await button.focus()
    await changes(house, page, "aaa")
    await changes(house, page, "zzz")
    await expect(menu).to_have_attribute("open", "")
    await expect(button).to_be_focused()
    await page.locator("h2", has_text="Waiting longest").click()
    await changes(house, page, "bbb")
    assert await page.evaluate("document.activeElement.closest('details')") is None, "the focus is not brought back"


async def test_one_menu_is_open_at_a_time(house: House, page: Page) -> None:
    for name in ("Ana", "Sol"):
        await page.locator("#team li", has_text=name).locator("summary").click()
        await expect(page.locator("#team details[open]")).to_have_count(1)
    await expect(page.locator("#team details[open]")).to_contain_text("Sol")


async def test_a_task_is_given_by_keyboard_and_the_choice_stays_while_the_board_changes(
    house: House, page: Page
) -> None:
    choice = page.get_by_label("Give to")
    await choice.focus()
    await page.keyboard.press("A")
    await expect(choice).to_have_value("1")
    await changes(house, page, "aaa")
    await waiting(house, "+12025550103")
    await expect(page.locator("#waiting li")).to_have_count(2)
    await expect(page.get_by_label("Give to").first).to_have_value("1")
    await expect(page.get_by_label("Give to").first).to_be_focused()
    await page.keyboard.press("Tab")
    await changes(house, page, "bbb")
    await expect(page.get_by_label("Give to").first).to_have_value("1")
    await page.keyboard.press("Enter")
    await expect(page.locator("#team .agents li.ringing")).to_contain_text("Ana")
    await expect(page.locator("#waiting li")).to_have_count(1)
    await expect(page.locator("#waiting")).to_be_focused()


async def test_who_cannot_take_it_any_more_is_told_beside_the_choice_and_it_stays_to_be_read(
    house: House, page: Page
) -> None:
    choice = page.get_by_label("Give to")
    await choice.select_option("Ana")
    async with house.book.writing() as w:  # no hint: this browser does not know yet
        vouched(await w.session.locked(Agent, 1)).wish = Wish.paused
    await page.get_by_role("button", name="Give").click()
    await expect(page.locator("#waiting .trouble")).to_have_text("Ana is not ready.")
    await changes(house, page, "aaa")
    await expect(page.locator("#waiting .trouble")).to_have_text("Ana is not ready.")


async def test_nurture_and_a_campaign_are_paused_after_asking_and_go_on_without(house: House, page: Page) -> None:
    asked: list[str] = []

    async def agree(dialog: object) -> None:
        asked.append(dialog.message)  # type: ignore[attr-defined]
        await dialog.accept()  # type: ignore[attr-defined]

    page.on("dialog", agree)
    for place in ("#nurture", "#campaign-1"):
        await page.focus(place)
        await page.keyboard.press("Enter")
        await expect(page.locator(place)).to_have_text("Let it go on")
        await expect(page.locator(place)).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator(place)).to_have_text("Pause it")
    assert len(asked) == 2
    assert "Pause Luz Clara?" in asked[1]


async def test_help_goes_from_the_desk_to_the_wall_and_back(
    house: House, page: Page, browser: Browser
) -> None:
    eva = await house.agent("eva", name="Eva", locale="en")
    desk = await opened(browser, house, "eva", "/desk")
    await expect(desk.locator("#help")).to_have_count(0)
    mine = await desk.locator("#me").bounding_box()
    await ring(house, eva)
    await expect(desk.locator("#help")).to_have_text("Ask for help")
    assert await desk.locator("#me").bounding_box() == mine, "what stands below does not jump"
    await desk.locator("#help").focus()
    await desk.keyboard.press("Enter")
    await expect(desk.locator("#me")).to_contain_text("You have asked for help")
    await expect(page.locator("#attention")).to_contain_text("Eva asks for help")
    assert "Carmen" not in await page.content()
    await page.locator("#attention").get_by_role("button", name="I am coming").click()
    await expect(page.locator("#attention")).to_contain_text("Nobody needs you")
    await expect(desk.locator("#me")).to_contain_text("Sol is coming")


@pytest.mark.parametrize("locale", LANGUAGES)
async def test_the_desk_says_why_it_is_paused_and_one_key_brings_it_back(
    house: House, browser: Browser, locale: str
) -> None:
    eva = await house.agent("eva", locale=locale)
    for width in (320, 1280):
        async with house.book.writing() as w:
            await presence.set_wish(w, eva.id, Wish.paused, reason="missed")
        desk = await opened(browser, house, "eva", "/desk", width=width)
        await expect(desk.locator("#me .cause .state")).to_be_visible()
        if PICTURES:
            await desk.screenshot(path=Path(PICTURES) / f"desk-{locale}-{width}-paused.png")
        found = await Axe().run(desk)
        assert found.violations_count == 0, found.generate_report()
        assert await desk.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await desk.focus("#back-to-ready")
        await desk.keyboard.press("Enter")
        await expect(desk.locator("#me .cause .state")).to_have_count(0)
        await expect(desk.locator("#wish-ready")).to_have_attribute("aria-pressed", "true")
