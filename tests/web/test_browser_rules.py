"""The calling rules, a person's page and the wallboard with targets, in a browser: by eye of axe, narrow and wide, by
day and by night, in the longest words; and pictures to look at."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page

from router.actions import calling, guarding, presence, registering, stationing, suppressing
from router.book import Book
from router.model.agents import Agent, Role, Wish
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.guard import Purpose
from router.model.stations import Station
from router.model.zones import ZoneSource
from router.ports import LegMoved, LegOutcome, LegStage
from tests import making
from tests.conftest import Clock
from tests.web.browsing import CHROMIUM, LANGUAGES, PICTURES
from tests.web.desking import PASSWORD, PASSWORD_HASH
from tests.web.visiting import House, visiting

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

PERSON, STRANGER = 1, 2
TEAM = ("Ana", "Bruno", "Chloé-Marguerite de la Fontaine")


@pytest.fixture
async def house(book: Book, clock: Clock) -> AsyncIterator[House]:
    """A person in Madrid of whom much is written down, one of whose clock nobody knows; a team of three with targets,
    of whom one stays on the line and another is being called to; registers, one of them too old."""
    async with visiting(book, rule_pack="by_country") as house:
        async with book.writing() as w:
            queue = house.queue
            for phone in ("+34600000001", "+18002255288"):
                await making.lead(w, queue, phone)
            person, campaign = [vouched(await w.session.get(Contact, PERSON)), vouched(
                await w.session.get(Campaign, queue.campaign_id))]
            await guarding.lives_by(w, person, "Europe/Madrid", ZoneSource.stated)
            for name in TEAM:
                agent = await making.agent(w, name[:5].lower(), week_target=3)
                agent.name = name
            for _ in range(3):
                await guarding.permit(
                    w, campaign, person, channel="call", purpose=Purpose.commercial, lead_id=1
                )
            await suppressing.suppress(w, person, "complaint")
            await suppressing.suppress(w, person, "dropped_call")
            for agent_id in (1, 2):
                await presence.set_wish(w, agent_id, Wish.ready)
                await stationing.open_line(w, agent_id)
            station = vouched(await w.session.get(Station, 1))
            await calling.on_event(w, LegMoved(station.ref, "CA1", LegStage.answered, LegOutcome.none))

        async def file(text: bytes) -> AsyncIterator[bytes]:
            yield text

        for register, days in (("robinson", 60), ("tps", 1)):
            as_of = clock.now - timedelta(days=days)
            await registering.take(book, register, as_of, file(b"+34600000009\n"), country="ES")
        yield house


async def opened(browser: Browser, house: House, path: str, locale: str, *, dark: bool) -> Page:
    """A supervisor's page; the same one again in this test."""
    async with house.book.writing() as w:
        agent = await making.agent(w, f"sup{locale}{dark}", ready=False, role=Role.supervisor, locale=locale)
        vouched(await w.session.get(Agent, agent.id)).password_hash = PASSWORD_HASH
    context = await browser.new_context(
        viewport={"width": 390, "height": 844}, color_scheme="dark" if dark else "light"
    )
    page = await context.new_page()
    await page.goto(f"{house.url}/login?next={path}")
    await page.fill("[name=login]", f"sup{locale}{dark}")
    await page.fill("[name=password]", PASSWORD)
    await page.press("[name=password]", "Enter")
    await page.wait_for_selector("h1, .board")
    return page


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("locale", [*LANGUAGES, *(["en"] if PICTURES else [])])
@pytest.mark.parametrize(("name", "path"), [
    ("rules", "/rules"), ("person", f"/contacts/{PERSON}"), ("stranger", f"/contacts/{STRANGER}"),
    ("wallboard", "/wallboard"),
])
async def test_axe_finds_nothing_and_nothing_is_too_wide(
    house: House, browser: Browser, name: str, path: str, locale: str, dark: bool
) -> None:
    page = await opened(browser, house, path, locale, dark=dark)
    for width in (390, 1280):
        await page.set_viewport_size({"width": width, "height": 900})
        if PICTURES:
            shade = "dark" if dark else "light"
            await page.screenshot(path=Path(PICTURES) / f"{name}-{locale}-{width}-{shade}.png", full_page=True)
        found = await Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await page.context.close()
