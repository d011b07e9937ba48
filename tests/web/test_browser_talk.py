"""Chat and video in real browsers, where one is installed: two people write to and see each other."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page, Playwright, expect
from sqlalchemy import select

from router.actions import conversing, dispatch, presence, replying
from router.actions.conversing import Heard
from router.book import Book
from router.model.agents import Agent
from router.model.campaigns import Queue, Site
from router.model.conversations import Channel, Message, Room
from router.model.leads import Intent, Lead
from router.model.tasks import TaskKind
from router.model.vault import hash_token
from tests import making
from tests.conftest import until
from tests.web.browsing import CHROMIUM, FLAGS
from tests.web.desking import PASSWORD, PASSWORD_HASH
from tests.web.visiting import House, visiting

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

HOSTILE = "<img src=x onerror=alert(1)> \u202egnp.exe \u200b{{7*7}} שלום"
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--mute-audio")


@dataclass
class Stage:
    house: House
    lead: Lead
    token: str
    ana: Agent

    @property
    def link(self) -> str:
        return f"{self.house.url}/s/{self.token}"

    async def all(self, noun: Any) -> list[Any]:
        async with self.house.book.reading() as r:
            return list(await r.session.scalars(select(noun).order_by(noun.id)))

    async def ring(self) -> None:
        async with self.house.book.writing() as w:
            await presence.beat(w, [self.ana.id])
            assert await dispatch.run_round(w, 1)

    async def say(self, text: str) -> None:
        async with self.house.book.writing() as w:
            lead = await w.session.get(Lead, self.lead.id)
            queue = await w.session.get(Queue, self.house.queue.id)
            assert lead is not None
            assert queue is not None
            await conversing.heard(w, Heard(
                channel=Channel.web_chat, campaign_id=queue.campaign_id, queue=queue, contact_id=lead.contact_id,
                lead_id=lead.id, text=text,
            ))


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with visiting(book) as house:
        yield house


async def staged(house: House, intent: Intent, *, task: TaskKind | None = None) -> Stage:
    token = secrets.token_hex(11)
    async with house.book.writing() as w:
        site = (await w.session.scalars(select(Site)))[0]
        lead = await making.lead(w, house.queue, intent=intent)
        lead.site_id, lead.locale, lead.status_hash = site.id, "en", hash_token(token)
        if task is not None:
            await making.task(w, house.queue, lead, kind=task)
        ana = await making.agent(w, "ana", locale="en")
        ana.password_hash, ana.name = PASSWORD_HASH, "Ana Sanz"
    return Stage(house, lead, token, ana)


@pytest.fixture
async def chat(house: House) -> Stage:
    return await staged(house, Intent.chat)


@pytest.fixture
async def video(house: House) -> Stage:
    return await staged(house, Intent.video, task=TaskKind.video)


def _fail(error: object) -> None:
    raise AssertionError(error)


async def desk_of(stage: Stage, context: BrowserContext) -> Page:
    page = await context.new_page()
    page.on("pageerror", _fail)
    await page.goto(f"{stage.house.url}/login")
    await page.fill("[name=login]", "ana")
    await page.fill("[name=password]", PASSWORD)
    await page.click("button.primary")
    await expect(page.locator("#link.live")).to_be_visible()
    return page


async def accepted(stage: Stage, desk: Page) -> None:
    await stage.ring()
    await expect(desk.locator("#accept")).to_be_visible()
    await desk.press("body", "a")


async def sound(page: Page) -> None:
    """Nothing on the page keeps anybody out."""
    found = await Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


async def visitor_of(stage: Stage, context: BrowserContext, path: str = "/chat") -> Page:
    page = await context.new_page()
    page.on("pageerror", _fail)
    await page.goto(stage.link + path)
    return page


async def test_two_people_write_to_each_other(browser: Browser, chat: Stage) -> None:
    desk = await desk_of(chat, await browser.new_context())
    visitor = await visitor_of(chat, await browser.new_context(viewport={"width": 390, "height": 844}))
    await visitor.fill("#text", HOSTILE)
    await visitor.press("#text", "Enter")
    await expect(visitor.locator("#log .mine .text")).to_have_text(HOSTILE)
    await expect(visitor.locator("#text")).to_have_value("")
    await accepted(chat, desk)
    await expect(desk.locator("#conversation .theirs .text")).to_have_text(HOSTILE)
    await expect(desk.locator("#conversation .thread h2")).to_contain_text("one unread")
    await expect(visitor.locator("#now")).to_have_text("You are writing with Ana.")
    await desk.focus("#reply-text")
    await expect(desk.locator("#conversation .thread h2")).not_to_contain_text("unread")
    await desk.keyboard.type("Good day,")
    await desk.keyboard.press("Shift+Enter")
    await desk.keyboard.type("how can I help?")
    await desk.keyboard.press("Enter")
    await expect(visitor.locator("#log .theirs .text")).to_have_text("Good day,\nhow can I help?")
    await expect(desk.locator("#reply-text")).to_have_value("")
    await sound(desk)
    await sound(visitor)
    await visitor.reload()
    await expect(visitor.locator("#log > div")).to_have_count(2)
    await desk.click("#finish")
    await expect(desk.locator("#work")).to_contain_text("How did it go?")
    await expect(visitor.locator("#now")).to_contain_text("This conversation is over")


async def test_what_the_agent_types_survives_messages_and_the_end(browser: Browser, chat: Stage) -> None:
    desk = await desk_of(chat, await browser.new_context())
    await chat.say("Hello")
    await accepted(chat, desk)
    await desk.focus("#reply-text")
    await desk.keyboard.type("I was just")
    await chat.say("Are you there?")
    await expect(desk.locator("#conversation .theirs")).to_have_count(2)
    await desk.keyboard.type(" looking")
    await expect(desk.locator("#reply-text")).to_have_value("I was just looking")
    await expect(desk.locator("#reply-text")).to_be_focused()
    async with chat.house.book.writing() as w:
        await replying.leave(w, 1)
    await expect(desk.locator("#reply .trouble")).to_contain_text("This conversation is over")
    await expect(desk.locator("#reply-text")).to_have_value("I was just looking")
    await desk.click("[data-discard-reply]")
    await expect(desk.locator("#reply")).to_be_empty()


async def test_a_message_to_a_hidden_desk_stands_in_its_title(browser: Browser, chat: Stage) -> None:
    desk = await desk_of(chat, await browser.new_context())
    await chat.say("Hello")
    await accepted(chat, desk)
    await expect(desk).to_have_title("(1) New message · Desk · hablemos")


async def test_a_chat_without_script_works_by_forms(browser: Browser, chat: Stage) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await visitor_of(chat, context)
    await page.fill("#text", "Hello")
    await page.click("#write button")
    await expect(page.locator("#log .mine .text")).to_have_text("Hello")
    assert "/chat" in page.url
    await page.click("#leave button")
    await expect(page.locator("#now")).to_contain_text("You have left the queue")


async def test_the_same_link_goes_on_on_another_device(browser: Browser, chat: Stage) -> None:
    first = await visitor_of(chat, await browser.new_context())
    second = await visitor_of(chat, await browser.new_context())
    await first.fill("#text", "From the first")
    await first.press("#text", "Enter")
    await expect(second.locator("#log .mine .text")).to_have_text("From the first")


async def test_a_message_that_could_not_be_sent_is_not_lost_and_not_doubled(browser: Browser, chat: Stage) -> None:
    page = await visitor_of(chat, await browser.new_context())
    tries = 0

    async def lose_the_answer(route: Any) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            await route.fetch()
            await route.abort()
        else:
            await route.continue_()

    await page.route("**/messages", lose_the_answer)
    await page.fill("#text", "Only once")
    await page.press("#text", "Enter")
    await expect(page.locator("#trouble")).to_contain_text("Not sent")
    await page.press("#text", "Enter")
    await expect(page.locator("#trouble")).to_be_hidden()
    await expect(page.locator("#log .mine")).to_have_count(1)
    assert len(await chat.all(Message)) == 1


@pytest.fixture
async def cameras(driver: Playwright) -> AsyncIterator[Browser]:
    """A browser with a camera and a microphone that show a test picture and a tone."""
    async with await driver.chromium.launch(executable_path=CHROMIUM, args=(*FLAGS, *CAMERA)) as browser:
        yield browser


PICTURE = """(id) => {
    const video = document.getElementById(id);
    return video.videoWidth > 0 && video.getVideoPlaybackQuality().totalVideoFrames > 3;
}"""


async def both_in(cameras: Browser, video: Stage) -> tuple[Page, Page, Page]:
    desk = await desk_of(video, await cameras.new_context())
    visitor = await visitor_of(video, await cameras.new_context(), "/video")
    await sound(visitor)
    await visitor.click("text=Join the video call")
    await expect(visitor.locator("#now")).to_contain_text("You are in the queue")
    await accepted(video, desk)
    async with desk.expect_popup() as opened:
        await desk.click("text=Open the video call")
    agent = await opened.value
    agent.on("pageerror", _fail)
    return desk, visitor, agent


async def test_two_people_see_each_other(cameras: Browser, video: Stage) -> None:
    desk, visitor, agent = await both_in(cameras, video)
    for page in (visitor, agent):
        await page.wait_for_function(PICTURE, arg="remote", timeout=30_000)
        await expect(page.locator("#media")).to_have_text("Connected.")
    await expect(visitor.locator("#now")).to_have_text("Ana is here.")
    await expect(agent.locator("#now")).to_have_text("The person is here.")
    await expect(desk.locator("#video")).to_contain_text("The person is in the room")
    await sound(visitor)
    await sound(agent)
    await sound(desk)
    await visitor.click("#mute")
    assert await visitor.evaluate("document.getElementById('local').srcObject.getAudioTracks()[0].enabled") is False
    await visitor.reload()
    for page in (visitor, agent):
        await page.wait_for_function(PICTURE, arg="remote", timeout=30_000)
    await agent.reload()
    for page in (visitor, agent):
        await page.wait_for_function(PICTURE, arg="remote", timeout=30_000)
    await visitor.click("#hangup button")
    await expect(visitor.locator("#now")).to_contain_text("This video call is over")
    await expect(agent.locator("#now")).to_contain_text("This video call is over")
    await expect(desk.locator("#work")).to_contain_text("How did it go?")


async def test_a_refused_camera_is_told_in_words_with_another_way(cameras: Browser, video: Stage) -> None:
    context = await cameras.new_context()
    await context.add_init_script(
        "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotAllowedError'))"
    )
    page = await visitor_of(video, context, "/video")
    await page.click("text=Join the video call")
    await expect(page.locator("#trouble")).to_contain_text("go on by telephone")
    await expect(page.locator("a[href^='tel:']")).to_be_visible()


async def test_a_room_is_for_one_browser_at_a_time(cameras: Browser, video: Stage) -> None:
    first = await visitor_of(video, await cameras.new_context(), "/video")
    await first.click("text=Join the video call")
    await expect(first.locator("#now")).to_contain_text("You are in the queue")
    second = await visitor_of(video, await cameras.new_context(), "/video")
    await second.click("text=Join the video call")
    await expect(second.locator("body")).to_contain_text("open in another browser")
    await first.close()

    async def gone() -> bool:
        (room,) = await video.all(Room)
        return room.visitor_seen_at is None

    await until(gone, "the first to leave the room")
    await second.goto(f"{video.link}/video")
    await second.click("text=Join the video call")
    await expect(second.locator("#now")).to_contain_text("You are in the queue")
