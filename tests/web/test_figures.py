"""The page of service figures: who may see it, what stands in it and in its file, and how it is used and judged."""

import csv
import io
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser as Chromium
from playwright.async_api import expect

from router.actions import dispatch
from router.book import Book
from router.model.agents import Role
from router.model.figures import FIGURES, SHOWN
from router.model.tasks import Task, TaskKind, TaskState
from router.store import figures as store
from router.web import figures
from router.wording import wording
from tests import making
from tests.conftest import Clock
from tests.web.browsing import CHROMIUM, LANGUAGES, PICTURES
from tests.web.desking import PASSWORD, PASSWORD_HASH, Browser, browsing
from tests.web.visiting import House, visiting


@pytest.fixture
async def house(book: Book, clock: Clock) -> AsyncIterator[House]:
    """At noon a chat was answered after 10 s; another had been left after 70 s, an hour before."""
    async with visiting(book) as house:
        async with book.writing() as w:
            for login, role in (("sup", Role.supervisor), ("ana", Role.agent)):
                agent = await making.agent(w, login, ready=False, role=role, locale="en")
                agent.password_hash = PASSWORD_HASH
        await _chat(house, "+12025550101", waited=70, ago=3600, answered=False)
        await _chat(house, "+12025550102", waited=10, ago=0, answered=True)
        yield house


async def _chat(house: House, phone: str, *, waited: int, ago: int, answered: bool) -> None:
    async with house.book.writing() as w:
        w.now -= timedelta(seconds=ago)
        lead = await making.lead(w, house.queue, phone)
        task = await making.task(w, house.queue, lead, kind=TaskKind.chat)
        task.rank -= waited * 1000
        await w.session.flush()
        if answered:
            for state in (TaskState.reserved, TaskState.connecting, TaskState.engaged):
                await w.move(Task, task.id, state, agent_id=2)
        else:
            await dispatch.abandon(w, task.id)


@pytest.fixture
async def browser(house: House) -> AsyncIterator[Browser]:
    async with browsing(house) as browser:  # type: ignore[arg-type]
        yield browser


def _rows(page: str, caption: str) -> dict[str, list[str]]:
    """The rows of a table by their headings, as somebody reads them."""
    body = page[page.index(caption):]
    return {
        _read(head): [_read(cell) for cell in re.findall(r"<td.*?>(.*?)</td>", row, re.DOTALL)]
        for row in re.findall(r"<tr>(.*?)</tr>", body[: body.index("</table>")], re.DOTALL)
        for head in re.findall(r'<th scope="row">(.*?)</th>', row, re.DOTALL)
    }


def _read(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).strip()


async def test_only_a_supervisor_sees_the_figures(browser: Browser) -> None:
    assert (await browser.get("/figures"))[0] == 303
    await browser.sign_in("ana")
    for path in ("/figures", "/figures/live", "/figures.csv"):
        assert (await browser.get(path))[0] == 403


async def test_the_figures_are_live_and_by_the_half_hour_with_their_definitions(browser: Browser) -> None:
    await browser.sign_in("sup")
    status, page = await browser.get("/figures")
    assert status == 200
    live = _rows(page, 'id="live"')
    assert len(live) == len(SHOWN)
    for figure in SHOWN:
        assert any(head == f"{figure.name} {figure.definition}" for head in live), figure.key
    shown = {figure.key: live[f"{figure.name} {figure.definition}"] for figure in SHOWN}
    assert "Backlog: what waits now" in page
    assert shown["answered"] == ["1", "1"]
    assert shown["left"] == ["0", "1"]
    assert (shown["sl4"], shown["sl3"]) == (["100 %", "50 %"], ["100 %", "50 %"])
    assert shown["asa"] == ["10 s", "10 s"]
    assert shown["conversion"] == 2 * ["– nothing yet"]  # noqa: RUF001
    halves = _rows(page, 'id="halves"')
    assert list(halves)[:2] == ["00:00", "00:30"]
    assert list(halves)[-2:] == ["13:00", "Whole day"]  # it is one o'clock in Madrid
    places = {figure.key: n for n, figure in enumerate(SHOWN)}
    assert halves["12:00"][places["left"]] == "1"
    assert halves["13:00"][places["answered"]] == "1"
    assert halves["Whole day"][places["offered"]] == "2"


async def test_the_file_has_every_figure_of_the_same_half_hours(browser: Browser) -> None:
    await browser.sign_in("sup")
    status, text = await browser.get("/figures.csv?day=2026-11-23&of=c1")
    assert status == 200
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    assert list(rows[0]) == ["from", "to", *(figure.key for figure in FIGURES)]
    assert len(rows) == 27
    left, answered = rows[24], rows[26]
    assert (left["from"], left["left"], left["sl4"], left["wait"]) == ("2026-11-23T12:00:00+01:00", "1", "0", "70")
    assert (answered["to"], answered["sl1"], answered["asa"], answered["aht"]) == (
        "2026-11-23T13:30:00+01:00", "1", "10", "")


async def test_a_day_on_which_the_clock_changes_has_its_hour_twice(browser: Browser) -> None:
    await browser.sign_in("sup")
    _, page = await browser.get("/figures?day=2026-10-25")
    halves = list(_rows(page, 'id="halves"'))
    assert len(halves) == 51
    assert halves[4:8] == ["02:00 CEST", "02:30 CEST", "02:00 CET", "02:30 CET"]
    _, text = await browser.get("/figures.csv?day=2026-10-25")
    assert text.count("\n") == 51
    assert "This day has not begun." in (await browser.get("/figures?day=2027-01-01"))[1]


async def test_a_campaign_and_each_of_several_queues_can_be_chosen(house: House, browser: Browser) -> None:
    async with house.book.writing() as w:
        campaign = await making.campaign(w, "sol", timezone="Atlantic/Canary")
        campaign.name = "Sol <b>"
        await making.queue(w, campaign, pool=2)
        second = await making.queue(w, campaign, "dos", pool=2)
    await browser.sign_in("sup")
    _, page = await browser.get("/figures")
    assert re.findall(r'<option value="(\w*)"', page) == ["", "c1", "c2", "q2", f"q{second.id}"]
    assert "<b>" not in page
    _, page = await browser.get("/figures?of=c2")
    assert re.search(r'<option value="c2" selected', page)
    assert list(_rows(page, 'id="halves"'))[-2] == "12:00"  # it is noon on the islands
    assert _rows(page, 'id="halves"')["Whole day"][0] == "0"


@pytest.mark.parametrize("query", [
    "day=2026-13-01", "day=2026-02-30", "day=x", "day=0001-01-01", "day=9999-12-31", "day=2026-1-1", "day=%00",
    "of=c99", "of=x", "of=q99999999999999999999", "of=%27",
])
async def test_what_is_no_day_and_nobody_s_figures_is_refused_by_name(browser: Browser, query: str) -> None:
    await browser.sign_in("sup")
    for path in ("/figures", "/figures/live", "/figures.csv"):
        if path == "/figures/live" and query.startswith("day"):
            continue
        assert (await browser.get(f"{path}?{query}"))[0] == 422


async def test_a_house_without_campaigns_has_choices_too(book: Book) -> None:
    async with book.reading() as r:
        assert await store.places(r.session) == []
    assert [one.zone for one in figures._choices([])] == ["UTC"]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
class TestInABrowser:
    @pytest.mark.parametrize("locale", LANGUAGES)
    async def test_it_is_used_by_keyboard_fits_a_narrow_page_and_passes_axe(
        self, house: House, chromium: Chromium, locale: str
    ) -> None:
        async with house.book.writing() as w:
            agent = await making.agent(w, "zoe", ready=False, role=Role.supervisor, locale=locale)
            agent.password_hash = PASSWORD_HASH
        context = await chromium.new_context(viewport={"width": 320, "height": 800})
        page = await context.new_page()
        await page.goto(f"{house.url}/login?next=/figures")
        await page.fill("[name=login]", "zoe")
        await page.fill("[name=password]", PASSWORD)
        await page.press("[name=password]", "Enter")
        await expect(page.locator("#live tbody tr")).to_have_count(len(SHOWN))
        await page.fill("[name=day]", "2026-11-22")
        await page.press("[name=of]", "ArrowDown")
        await page.get_by_role("button", name=_said("Show", locale)).press("Enter")
        await page.wait_for_url("**/figures?day=2026-11-22&of=c1")
        await expect(page.locator(".halves tbody tr")).to_have_count(48)
        for width in (320, 1280):
            await page.set_viewport_size({"width": width, "height": 900})
            if PICTURES:
                await page.screenshot(path=Path(PICTURES) / f"figures-{locale}-{width}.png", full_page=True)
            found = await Axe().run(page)
            assert found.violations_count == 0, found.generate_report()
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await context.close()


def _said(word: str, locale: str) -> str:
    return wording()._translations[locale].pgettext("figures", word)
