"""The page of the plan: who may see it, what stands in it, its picture, and how it is used and judged."""

import re
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser as Chromium
from playwright.async_api import expect

from router.book import Book
from router.model.agents import Role
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.quotes import Quote
from router.model.suppressions import Suppression
from router.web import plan
from router.web.plan import PLANS
from router.wording import wording
from tests import making
from tests.conftest import Clock
from tests.stories.virtual_house import phone, quotes
from tests.web.browsing import CHROMIUM, LANGUAGES, PICTURES
from tests.web.desking import PASSWORD, PASSWORD_HASH, Browser, browsing
from tests.web.visiting import House, visiting

MANY = 6
PAGES = {locale: wording().say("Pages", locale) for locale in LANGUAGES}


@pytest.fixture
async def house(book: Book, clock: Clock) -> AsyncIterator[House]:
    """Six quiet quotes in Madrid; the first one's person is never to be called again."""
    async with visiting(book, rule_pack="standard", daily_spend_cap=1_000_000, stale_seconds=172_800) as house:
        async with book.writing() as w:
            brand = await w.session.get(Campaign, house.queue.campaign_id)
            assert brand is not None
            await quotes(w, brand, house.queue, MANY, spread=timedelta(days=4))
            for login, role in (("sup", Role.supervisor), ("bea", Role.agent)):
                agent = await making.agent(w, login, ready=False, role=role, locale="en")
                agent.password_hash = PASSWORD_HASH
            w.session.add(Suppression(phone=phone(0), reason="asked", created_at=w.now))
            barred = await w.session.get(Contact, 1)
            assert barred is not None
            barred.name = "Carmen <b>"
        house.app[PLANS].patience = 60
        yield house


@pytest.fixture
async def browser(house: House) -> AsyncIterator[Browser]:
    async with browsing(house) as browser:  # type: ignore[arg-type]
        yield browser


async def test_only_a_supervisor_sees_the_plan(browser: Browser) -> None:
    assert (await browser.get("/plan"))[0] == 303
    await browser.sign_in("bea")
    for path in ("/plan", "/plan.svg"):
        assert (await browser.get(path))[0] == 403


async def test_hours_agents_and_what_is_in_the_way_are_told_with_names(browser: Browser) -> None:
    await browser.sign_in("sup")
    status, page = await browser.get("/plan")
    assert status == 200
    assert len(re.findall(r'<th scope="row"><time', page)) > MANY
    way = page[page.index("What is in the way"):page.index("By the hour")]
    assert "this person must not be contacted" in way
    assert "Carmen &lt;b&gt;, Q-0" in way
    assert "<b>" not in page


async def test_the_picture_is_of_the_same_plan_and_speaks_his_language(house: House, browser: Browser) -> None:
    async with house.book.writing() as w:
        agent = await making.agent(w, "zoe", ready=False, role=Role.supervisor, locale="ru")
        agent.password_hash = PASSWORD_HASH
    await browser.sign_in("zoe")
    status, drawn = await browser.get("/plan.svg?of=&days=14")
    assert status == 200
    assert ET.fromstring(drawn).tag.endswith("svg")  # noqa: S314  our own
    assert "Звонки и сообщения по часам" in drawn
    figures = re.findall(r">(\d+[.,]\d)<", drawn)
    assert figures
    assert not [one for one in figures if "." in one]


async def test_days_and_a_campaign_are_chosen_and_a_campaign_without_quotes_has_no_plan(
    house: House, browser: Browser
) -> None:
    async with house.book.writing() as w:
        other = await making.campaign(w, "sol")
    await browser.sign_in("sup")
    page = (await browser.get(f"/plan?of={other.id}&days=7"))[1]
    assert re.search(rf'<option value="{other.id}" selected', page)
    assert "Nothing is planned for these days." in page


@pytest.mark.parametrize("query", ["days=0", "days=15", "days=x", "days=%00", "days=9999", "of=99", "of=x", "of=%27"])
async def test_what_is_none_of_the_choices_is_refused_by_name(browser: Browser, query: str) -> None:
    await browser.sign_in("sup")
    for path in ("/plan", "/plan.svg"):
        assert (await browser.get(f"{path}?{query}"))[0] == 422


async def test_who_looks_again_is_shown_the_plan_that_was_made_until_it_is_old(
    house: House, browser: Browser, clock: Clock
) -> None:
    await browser.sign_in("sup")
    before = (await browser.get("/plan"))[1]
    async with house.book.writing() as w:
        quote = await w.session.get(Quote, 2)
        assert quote is not None
        quote.snoozed_until = w.now + timedelta(days=5)
    assert (await browser.get("/plan"))[1] == before
    clock.forward(121)
    assert "an agent asked to leave this person alone for a while" in (await browser.get("/plan"))[1]


async def test_a_plan_that_takes_long_is_said_to_be_reckoned_and_is_made_once(house: House, browser: Browser) -> None:
    await browser.sign_in("sup")
    plans = house.app[PLANS]
    plans.patience = 0
    for _ in range(2):
        status, page = await browser.get("/plan")
        assert status == 200
        assert "The plan is being reckoned." in page
        assert "Nothing is planned" not in page
        assert 'hx-get="/plan?of=&amp;days=14"' in page
        (making,) = plans.making.values()
    await making
    assert len(plans.made) == 1
    _, page = await browser.get("/plan")
    assert "The plan is being reckoned." not in page
    assert "What is planned" in page


async def test_a_plan_that_failed_is_made_again(
    house: House, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    await browser.sign_in("sup")
    plans = house.app[PLANS]
    with monkeypatch.context() as broken:
        broken.setattr(plan, "forecast", None)
        assert (await browser.get("/plan"))[0] == 500
    assert not plans.making
    assert "What is planned" in (await browser.get("/plan"))[1]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
class TestInABrowser:
    @pytest.mark.parametrize("locale", LANGUAGES)
    async def test_it_fits_a_narrow_page_shows_its_picture_and_passes_axe(
        self, house: House, chromium: Chromium, locale: str
    ) -> None:
        async with house.book.writing() as w:
            agent = await making.agent(w, "zoe", ready=False, role=Role.supervisor, locale=locale)
            agent.password_hash = PASSWORD_HASH
        context = await chromium.new_context(viewport={"width": 320, "height": 800})
        page = await context.new_page()
        await page.goto(f"{house.url}/login?next=/wallboard")
        await page.fill("[name=login]", "zoe")
        await page.fill("[name=password]", PASSWORD)
        await page.press("[name=password]", "Enter")
        await page.get_by_role("button", name=PAGES[locale]).press("Enter")
        await page.locator("a[href='/plan']").press("Enter")
        await page.wait_for_url("**/plan")
        await expect(page.locator("table.halves")).to_be_visible()
        plans = house.app[PLANS]
        plans.patience = 0
        async with plans.lock:
            await page.goto(f"{house.url}/plan?days=28")
            waiting = page.locator("[role=status][hx-get]")
            await expect(waiting).to_be_visible()
            if PICTURES:
                await page.screenshot(path=Path(PICTURES) / f"plan-reckoned-{locale}.png")
            found = await Axe().run(page)
            assert found.violations_count == 0, found.generate_report()
        await expect(page.locator("table.halves")).to_be_visible()
        await expect(waiting).to_have_count(0)
        assert await page.evaluate("document.querySelector('img').decode().then(() => true)")
        for width in (320, 1280):
            await page.set_viewport_size({"width": width, "height": 900})
            if PICTURES:
                await page.screenshot(path=Path(PICTURES) / f"plan-{locale}-{width}.png", full_page=True)
            found = await Axe().run(page)
            assert found.violations_count == 0, found.generate_report()
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await context.close()
