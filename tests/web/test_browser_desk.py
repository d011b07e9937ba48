"""The desk in a real browser, where one is installed."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect
from sqlalchemy import select

from router.actions import dispatch
from router.book import Book
from router.model.agents import Agent
from router.model.campaigns import Campaign
from router.model.suppressions import Suppression
from router.model.tasks import Disposition, Reservation, ReservationState, Task, TaskState
from router.web import streams
from tests import making
from tests.conftest import until
from tests.web.browsing import CHROMIUM
from tests.web.desking import PASSWORD, House, ring, working

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with working(book) as house:
        yield house


@pytest.fixture
async def ana(house: House) -> Agent:
    return await house.agent("ana", locale="en")


@pytest.fixture
async def page(browser: Browser, house: House, ana: Agent) -> Page:
    """The desk, signed in and connected. A fault in a script fails the test."""
    context = await browser.new_context()
    page = await context.new_page()
    page.on("pageerror", _fail)
    await page.goto(f"{house.url}/login")
    await page.fill("[name=login]", "ana")
    await page.fill("[name=password]", PASSWORD)
    await page.click("button.primary")
    await expect(page.locator("#link.live")).to_be_visible()
    return page


def _fail(error: object) -> None:
    raise AssertionError(error)


async def _talking(house: House, ana: Agent) -> Reservation:
    held = await ring(house, ana)
    async with house.book.writing() as w:
        campaign = await w.session.locked(Campaign, house.queue.campaign_id)
        assert campaign is not None
        campaign.products = [{"label": "Panel 450 W", "unit_minor": 18990, "tax_bp": 2100, "period": "once"}]
        await w.move(Reservation, held.id, ReservationState.accepted, ended_at=w.now)
        await w.move(Task, held.task_id, TaskState.connecting)
        await w.move(Task, held.task_id, TaskState.engaged)
        w.hint(f"agent:{ana.id}")
    return held


async def test_a_ring_reaches_a_hidden_tab(house: House, page: Page, ana: Agent) -> None:
    front = await page.context.new_page()
    await front.goto(f"{house.url}/login")
    await front.bring_to_front()
    # Headless browsers call every tab visible; a hidden one says so and is throttled the same way as far as we rely on.
    await page.evaluate("""() => {
        Object.defineProperty(document, "hidden", { get: () => true });
        Object.defineProperty(document, "visibilityState", { get: () => "hidden" });
        document.dispatchEvent(new Event("visibilitychange"));
    }""")
    await ring(house, ana)
    await expect(page.locator("#work h1")).to_have_text("Carmen Ruiz")
    await expect(page).to_have_title("(1) Ringing · Desk · hablemos")


async def test_the_browser_answers_the_ping(house: House, page: Page, ana: Agent) -> None:
    beats = house.app[streams.BEATS]

    async def heard() -> bool:
        return ana.id in beats._waiting

    await until(heard, "the answer to the ping")


async def test_accepting_by_key_changes_the_work_and_leaves_the_rest_in_place(
    house: House, page: Page, ana: Agent
) -> None:
    await ring(house, ana)
    await expect(page.locator("#accept")).to_be_visible()
    before = await page.locator("#me").bounding_box()
    await page.keyboard.press("a")
    await expect(page.locator("#work")).to_contain_text("Your telephone rings")
    assert await page.locator("#me").bounding_box() == before
    assert await page.evaluate("document.activeElement.tagName") != "INPUT"


async def test_a_ring_taken_back_meanwhile_is_told_beside_the_button(house: House, page: Page, ana: Agent) -> None:
    held = await ring(house, ana)
    await expect(page.locator("#accept")).to_be_visible()
    async with house.book.writing() as w:  # no hint: this browser does not know yet
        await w.move(Reservation, held.id, ReservationState.rescinded, ended_at=w.now)
    await page.click("#accept")
    await expect(page.locator("#work .trouble")).to_contain_text("already answered, missed or taken back")


async def test_live_changes_do_not_touch_what_is_being_typed(house: House, page: Page, ana: Agent) -> None:
    held = await _talking(house, ana)
    label = page.locator("[name='label.0']")
    await label.click()
    await page.keyboard.type("Pan")
    async with house.book.writing() as w:
        await w.move(Task, held.task_id, TaskState.wrapping)
        w.hint(f"agent:{ana.id}")
    await expect(page.locator("#work")).to_contain_text("How did it go?")
    await page.keyboard.type("els")
    await expect(label).to_have_value("Panels")
    await expect(label).to_be_focused()


async def test_a_form_whose_conversation_ended_keeps_its_words_and_cannot_be_sent(
    house: House, page: Page, ana: Agent
) -> None:
    held = await _talking(house, ana)
    await page.fill("[name='label.0']", "Panels")
    async with house.book.writing() as w:
        await w.move(Task, held.task_id, TaskState.wrapping)
        await w.move(Task, held.task_id, TaskState.closed, ended_at=w.now)
        w.hint(f"agent:{ana.id}")
    await expect(page.locator("#offer .trouble")).to_contain_text("This conversation is over")
    await expect(page.locator("[name='label.0']")).to_have_value("Panels")
    await expect(page.locator("#offer .send")).to_be_disabled()
    await page.click("[data-discard]")
    await expect(page.locator("#offer")).to_be_empty()


async def test_a_product_fills_a_line_and_the_total_is_counted(house: House, page: Page, ana: Agent) -> None:
    await _talking(house, ana)
    await page.select_option("#product", index=1)
    await page.fill("[name='quantity.0']", "3")
    await expect(page.locator("[data-total]")).to_have_text("€689.34")
    await page.fill("[name='unit_minor.0']", "a lot")
    await page.click("#offer .send")
    await expect(page.locator("#offer .trouble")).to_contain_text("Write a number")
    await expect(page.locator("[name='unit_minor.0']")).to_be_focused()


async def test_a_second_tab_shares_the_stream_and_takes_over_when_the_first_closes(
    house: House, page: Page, ana: Agent
) -> None:
    second = await page.context.new_page()
    await second.goto(f"{house.url}/desk")
    await ring(house, ana, "Carmen Ruiz")
    for tab in (page, second):
        await expect(tab.locator("#work h1")).to_have_text("Carmen Ruiz")
    assert house.book.hub.watched == 1
    await page.close()
    async with house.book.writing() as w:
        await w.move(Reservation, 1, ReservationState.accepted, ended_at=w.now)
        await w.move(Task, 1, TaskState.connecting)
        w.hint(f"agent:{ana.id}")
    await expect(second.locator("#work")).to_contain_text("Your telephone rings", timeout=15_000)


async def test_a_lost_connection_is_said_and_comes_back(house: House, page: Page, ana: Agent) -> None:
    await page.route("**/desk/stream", lambda route: route.abort())
    house.book.hub.close()
    await expect(page.locator("#link")).to_contain_text("Not connected")
    house.book.hub.closing = False
    await page.unroute("**/desk/stream")
    await expect(page.locator("#link")).to_contain_text("Connected", timeout=20_000)
    await ring(house, ana)
    await expect(page.locator("#work h1")).to_have_text("Carmen Ruiz")


async def test_nothing_on_the_desk_is_refused_by_its_own_policy(house: House, page: Page, ana: Agent) -> None:
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text) if "Content Security" in message.text else None)
    await page.reload()
    await expect(page.locator("#link.live")).to_be_visible()
    await _talking(house, ana)
    await expect(page.locator("#quote-form")).to_be_visible()
    assert refused == []


async def test_why_it_rings_here_is_fetched_when_somebody_wants_to_know(house: House, page: Page, ana: Agent) -> None:
    async with house.book.writing() as w:
        await making.task(w, house.queue, await making.lead(w, house.queue))
        await dispatch.run_round(w, 1)
    await page.get_by_text("Why me?").click()
    await expect(page.get_by_text("First in its class (waits to be called now)")).to_be_visible()


async def _wrapping(house: House, page: Page, ana: Agent) -> Reservation:
    held = await _talking(house, ana)
    async with house.book.writing() as w:
        await w.move(Task, held.task_id, TaskState.wrapping)
        w.hint(f"agent:{ana.id}")
    await expect(page.locator("#work")).to_contain_text("How did it go?")
    return held


async def _outcome(house: House) -> Disposition | None:
    async with house.book.reading() as r:
        task = await r.session.get(Task, 1)
    assert task is not None
    return task.disposition


async def test_an_outcome_is_given_by_its_key_but_not_while_somebody_writes(
    house: House, page: Page, ana: Agent
) -> None:
    await _wrapping(house, page, ana)
    await page.click("[name='label.0']")
    await page.keyboard.press("5")
    await expect(page.locator("[name='label.0']")).to_have_value("5")
    await page.locator("#work").focus()
    await page.click("#keys")
    await expect(page.locator("#keys")).to_have_attribute("aria-pressed", "false")
    await page.locator("#work").focus()
    await page.keyboard.press("5")
    await expect(page.locator("#outcome-not_interested kbd")).to_be_hidden()
    await page.reload()
    await expect(page.locator("#keys")).to_have_attribute("aria-pressed", "false")
    await page.keyboard.press("5")
    assert await _outcome(house) is None, "single keys are off, also after the page is loaded anew"
    await page.click("#keys")
    await page.locator("#work").focus()
    await page.keyboard.press("5")
    await expect(page.locator("#work")).not_to_contain_text("How did it go?")
    assert await _outcome(house) is Disposition.not_interested


async def test_call_again_opens_the_form_of_the_promise(house: House, page: Page, ana: Agent) -> None:
    await _wrapping(house, page, ana)
    await page.locator("#work").focus()
    await page.keyboard.press("3")
    await expect(page.locator("#callback-day")).to_be_focused()
    assert await _outcome(house) is None
    await page.click("#outcome-no-time")
    await expect(page.locator("#work")).not_to_contain_text("How did it go?")
    assert await _outcome(house) is Disposition.callback


async def test_never_again_is_one_press_whatever_alphabet_the_keyboard_writes(
    house: House, page: Page, ana: Agent
) -> None:
    await ring(house, ana)
    await expect(page.locator("#never")).to_be_visible()
    await page.evaluate('''() => document.body.dispatchEvent(new KeyboardEvent("keydown", {
        key: "\u0447", code: "KeyX", bubbles: true, cancelable: true }))''')
    await expect(page.locator("#work")).not_to_contain_text("Carmen Ruiz")
    async with house.book.reading() as r:
        assert await r.session.scalar(select(Suppression.reason).where(Suppression.phone != "")) == "asked"
