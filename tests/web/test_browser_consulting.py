"""Asking a colleague first, at two desks in a browser: by keyboard, in each language, and how it looks."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect
from sqlalchemy import select

from router.actions import calling, consulting, dispatch
from router.book import Book
from router.model.agents import Agent
from router.model.base import vouched
from router.model.calls import Call, Leg
from router.model.contacts import Contact
from router.ports import LegMoved, LegOutcome, LegStage
from tests import making
from tests.web.browsing import CHROMIUM, LANGUAGES, PICTURES, THOROUGH
from tests.web.desking import House, working
from tests.web.test_browser_supervising import opened

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with working(book) as house:
        yield house


async def in_a_call(house: House, locale: str = "en") -> tuple[Agent, Agent, Call]:
    """Ana talks with Carmen; Eva is free."""
    ana = await house.agent("ana", name="Ana Sanz", locale=locale)
    async with house.book.writing() as w:
        lead = await making.lead(w, house.queue)
        lead.claims = {"message": "Two panels for the roof, if the community agrees"}
        await making.task(w, house.queue, lead)
        await dispatch.run_round(w, 1)
        call = vouched(await dispatch.accept(w, 1, ana.id))
    for role in ("agent", "customer"):
        await tells(house, role, LegStage.answered)
    eva = await house.agent("eva", name="Eva-Konstantinowna Woskressenskaja", locale=locale)
    return ana, eva, call


async def tells(house: House, role: str, stage: LegStage, outcome: LegOutcome = LegOutcome.none) -> None:
    """The carrier's word on this telephone."""
    async with house.book.writing() as w:
        leg = (await w.session.scalars(select(Leg).where(Leg.role == role).order_by(Leg.id.desc())))[0]
        await calling.on_event(w, LegMoved(leg.ref, f"id-{leg.id}", stage, outcome))


async def test_asked_handed_over_and_gone_on_by_keyboard(house: House, browser: Browser) -> None:
    _, eva, _ = await in_a_call(house)
    hers, evas = await opened(browser, house, "ana", "/desk"), await opened(browser, house, "eva", "/desk")
    await hers.locator("#ask-first summary").focus()
    await hers.keyboard.press("Enter")
    await hers.keyboard.press("Tab")
    await expect(hers.locator(f"#ask-{eva.id}")).to_be_focused()
    await hers.keyboard.press("Enter")
    await expect(hers.locator("#work")).to_contain_text("The telephone of Eva")
    await expect(hers.locator("#complete")).to_have_count(0)
    await expect(evas.locator("#work")).to_contain_text("Ana Sanz asks you")
    await expect(evas.locator("#person")).to_contain_text("Two panels for the roof")
    await expect(evas.locator("#offer")).to_be_empty()
    await tells(house, "colleague", LegStage.answered)
    await expect(evas.locator("#work")).to_contain_text("You advise Ana Sanz")
    await expect(hers.locator("#complete")).to_be_visible()
    await hers.keyboard.press("m")
    await expect(hers.locator("#work")).to_contain_text("All three hear each other")
    await expect(evas.locator("#work")).to_contain_text("All three hear each other")
    await hers.keyboard.press("m")
    await expect(hers.locator("#work")).to_contain_text("neither of you")
    await hers.keyboard.press("c")
    await expect(hers.locator("#work")).to_contain_text("Nothing to do")
    await expect(evas.locator("#work")).to_contain_text("In a call: Luz Clara")
    await expect(evas.locator("#person")).to_contain_text("Eva-Konstantinowna Woskressenskaja has taken over")


async def test_what_came_of_it_is_told_and_the_person_is_there_again(house: House, browser: Browser) -> None:
    ana, eva, call = await in_a_call(house)
    hers, evas = await opened(browser, house, "ana", "/desk"), await opened(browser, house, "eva", "/desk")
    for how, says in (("no", "cannot talk now"), ("silence", "did not answer"), ("back", "In a call")):
        async with house.book.writing() as w:
            await consulting.ask(w, call.id, ana.id, eva.id)
        await expect(evas.locator("#work")).to_contain_text("asks you")
        await expect(hers.locator("#takeback")).to_be_visible()
        if how == "no":
            await evas.keyboard.press("r")
        elif how == "silence":
            await tells(house, "colleague", LegStage.ended, LegOutcome.no_answer)
        else:
            await hers.keyboard.press("b")
        await expect(hers.locator("#work [role=status]" if how != "back" else "#work")).to_contain_text(says)
        await expect(hers.locator("#hangup")).to_be_visible()
        await expect(evas.locator("#work")).not_to_contain_text("asks you")
    await expect(hers.locator("#work [role=status]")).to_have_count(0)


@pytest.mark.parametrize(
    ("width", "dark"), [(390, False), *([(1280, True), (1280, False)] if THOROUGH or PICTURES else [])]
)
@pytest.mark.parametrize("locale", LANGUAGES)
async def test_axe_finds_nothing_while_somebody_is_asked(
    house: House, browser: Browser, locale: str, width: int, dark: bool
) -> None:
    ana, eva, call = await in_a_call(house, locale)
    async with house.book.writing() as w:
        vouched(await w.session.get(Contact, 1)).name = "María del Carmen Ruiz de la Prada y Fernández"
    pages = {
        login: await opened(browser, house, login, "/desk", width=width, dark=dark) for login in ("ana", "eva")}
    await pages["ana"].locator("#ask-first summary").click()
    await _looks(pages, f"{locale}-{width}-{dark}-0-choice")
    async with house.book.writing() as w:
        await consulting.ask(w, call.id, ana.id, eva.id)
    await expect(pages["ana"].locator("#takeback")).to_be_visible()
    await expect(pages["eva"].locator("#leave-consultation")).to_be_visible()
    await _looks(pages, f"{locale}-{width}-{dark}-1-ringing")
    await tells(house, "colleague", LegStage.answered)
    await expect(pages["ana"].locator("#complete")).to_be_visible()
    await expect(pages["eva"].locator("#work .call")).to_be_visible()
    await _looks(pages, f"{locale}-{width}-{dark}-2-joined")
    async with house.book.writing() as w:
        await consulting.leave(w, 1, eva.id)
    await expect(pages["ana"].locator("#hangup")).to_be_visible()
    await _looks({"ana": pages["ana"]}, f"{locale}-{width}-{dark}-3-left")


async def _looks(pages: dict[str, Page], what: str) -> None:
    for login, page in pages.items():
        if PICTURES:
            await page.screenshot(path=Path(PICTURES) / f"warm-{what}-{login}.png", full_page=True)
        found = await Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
