"""Staying on the line, at the desk in a browser: by keyboard, in each language, in two tabs, and how it looks."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect
from sqlalchemy import select

from router.actions import calling, dispatch, presence, stationing
from router.book import Book
from router.model.agents import Agent, Wish
from router.model.base import vouched
from router.model.deliveries import Delivery
from router.model.stations import Station
from router.model.tasks import TIER_LIST, Reservation, Task
from router.ports import LegMoved, LegOutcome, LegStage
from tests import making
from tests.conftest import Clock
from tests.web.browsing import CHROMIUM, LANGUAGES, PICTURES, THOROUGH
from tests.web.desking import House, browsing, working
from tests.web.test_browser_supervising import opened

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with working(book) as house:
        yield house


async def tells(house: House, stage: LegStage, outcome: LegOutcome = LegOutcome.none) -> None:
    """The carrier's word on Ana's own telephone."""
    async with house.book.writing() as w:
        station = (await w.session.scalars(select(Station).order_by(Station.id.desc())))[0]
        await calling.on_event(w, LegMoved(station.ref, f"id-{station.id}", stage, outcome))


async def shown(house: House, phone: str = "+12025550101") -> Task:
    """Somebody of a list is shown to Ana."""
    async with house.book.writing() as w:
        task = await making.task(w, house.queue, await making.lead(w, house.queue, phone), tier=TIER_LIST)
        await dispatch.run_round(w, 1)
    return task


async def test_on_the_line_let_pass_called_now_and_left_by_keyboard(
    house: House, browser: Browser, clock: Clock
) -> None:
    await house.agent("ana", name="Ana", locale="en")
    page, other = [await opened(browser, house, "ana", "/desk") for _ in range(2)]
    await page.keyboard.press("s")
    for tab in (page, other):
        await expect(tab.locator("#me")).to_contain_text("Your telephone rings: pick it up")
    await tells(house, LegStage.answered)
    for tab in (page, other):
        await expect(tab.locator("#me")).to_contain_text("You stay on the line")
    await shown(house)
    await expect(page.locator("#work")).to_contain_text("Next call: Luz Clara")
    await expect(page.locator("#work [data-ring]")).to_have_count(0)
    await expect(page.locator("#person")).to_contain_text("Carmen Ruiz")
    await page.keyboard.press("r")
    await expect(page.locator("#work")).not_to_contain_text("Next call")
    clock.forward(10)
    async with house.book.writing() as w:
        await presence.beat(w, [1])
    await shown(house, "+12025550102")
    await expect(other.locator("#work")).to_contain_text("Next call: Luz Clara")
    await other.keyboard.press("a")
    for tab in (page, other):
        await expect(tab.locator("#work")).to_contain_text("You are in the call")
    async with house.book.writing() as w:
        await calling.station_dials(w, 1)
    await expect(page.locator("#work")).to_contain_text("The person's telephone rings")
    await page.keyboard.press("h")
    await expect(page.locator("#work")).to_contain_text("You stay on the line")
    await page.keyboard.press("s")
    await expect(page.locator("#stay")).to_contain_text("Stay on the line")
    async with house.book.reading() as r:
        assert (await r.session.scalars(select(Delivery.order["to"].astext).where(Delivery.dedupe_key == "station:1"))
                )[0] == "client:ana"


async def test_a_line_that_dropped_says_so(house: House, browser: Browser) -> None:
    await house.agent("ana", name="Ana", locale="en")
    page = await opened(browser, house, "ana", "/desk")
    async with house.book.writing() as w:
        await stationing.open_line(w, 1)
    await tells(house, LegStage.answered)
    await expect(page.locator("#me")).to_contain_text("You stay on the line")
    await tells(house, LegStage.ended, LegOutcome.completed)
    await expect(page.locator("#me [role=status]")).to_contain_text("Your telephone was hung up")
    async with house.book.writing() as w:
        await presence.set_wish(w, 1, Wish.paused)
    await expect(page.locator("#stay")).to_have_count(0)


async def test_bad_input_is_refused_by_name(house: House) -> None:
    await house.agent("ana", name="Ana", locale="en")
    async with browsing(house) as desk:
        await desk.sign_in()
        for sent in ({}, {"on": "2"}, {"on": "'"}):
            assert (await desk.post("/desk/line", sent))[0] == 422
        status, said = await desk.post("/desk/line", {"on": "0"})
        assert (status, "You do not stay on the line any more." in said) == (409, True)
        assert (await desk.post("/desk/line", {"on": "1"}, **{"X-CSRF": "x"}))[0] == 403


@pytest.mark.parametrize(
    ("width", "dark"), [(390, False), *([(1280, True), (1280, False)] if THOROUGH or PICTURES else [])]
)
@pytest.mark.parametrize("locale", LANGUAGES)
async def test_axe_finds_nothing_on_the_line(
    house: House, browser: Browser, locale: str, width: int, dark: bool
) -> None:
    await house.agent("ana", name="Ana Sanz", locale=locale)
    page = await opened(browser, house, "ana", "/desk", width=width, dark=dark)
    await expect(page.locator("#stay")).to_be_visible()
    await _looks(page, f"{locale}-{width}-{dark}-0-off")
    async with house.book.writing() as w:
        await stationing.open_line(w, 1)
    await tells(house, LegStage.answered)
    await expect(page.locator("#me [role=status]")).to_be_visible()
    await shown(house)
    await expect(page.locator("#reject")).to_be_visible()
    await _looks(page, f"{locale}-{width}-{dark}-1-shown")
    async with house.book.writing() as w:
        vouched(await w.session.locked(Agent, 1))
        held = (await w.session.scalars(select(Reservation)))[0]
        held.expires_at = w.now + timedelta(seconds=5)
        await dispatch.accept(w, held.id, 1)
        await calling.station_dials(w, 1)
    await expect(page.locator("#hangup")).to_be_visible()
    await _looks(page, f"{locale}-{width}-{dark}-2-called")
    await tells(house, LegStage.ended, LegOutcome.completed)
    async with house.book.writing() as w:
        await calling.connect_timeout(w, 1)
    await expect(page.locator("#me .waiting")).to_be_visible()
    await _looks(page, f"{locale}-{width}-{dark}-3-dropped")


async def _looks(page: Page, what: str) -> None:
    if PICTURES:
        await page.screenshot(path=Path(PICTURES) / f"station-{what}.png", full_page=True)
    found = await Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
