from collections.abc import AsyncIterator

import aiohttp
import pytest
from sqlalchemy import select, update

from router.book import Book
from router.model.agents import Agent, Role, Wish
from router.model.sessions import Session
from router.web import streams
from tests import making
from tests.conftest import Clock, until
from tests.web.desking import Browser, House, browsing, ring, working


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with working(book) as house:
        yield house


@pytest.fixture
async def ana(house: House) -> Agent:
    return await house.agent("ana", locale="en")


@pytest.fixture
async def browser(house: House, ana: Agent) -> AsyncIterator[Browser]:
    async with browsing(house) as browser:
        await browser.sign_in()
        yield browser


async def test_a_stream_begins_with_a_ping_and_the_desk_as_it_is(house: House, browser: Browser, ana: Agent) -> None:
    await ring(house, ana)
    async with browser.stream() as events:
        assert await events.next() == ("ping", "2026-11-23T12:00:00.000+00:00")
        assert "Carmen Ruiz" in await events.region("work")
        assert "Carmen Ruiz" in await events.region("person")


async def test_a_hint_brings_the_ring_and_only_what_changed(house: House, browser: Browser, ana: Agent) -> None:
    async with browser.stream() as events:
        await events.region("promises")
        await ring(house, ana)
        event = await events.next()
        assert event is not None
        assert 'hx-target="#work"' in event[1]
        assert "Carmen Ruiz" in event[1]


async def test_another_agents_ring_does_not_come_here(house: House, browser: Browser, ana: Agent) -> None:
    bea = await house.agent("bea")
    async with browser.stream() as events:
        await events.region("person")
        await ring(house, bea, "Belén", "+12025550102")
        await ring(house, ana, "Carmen", "+12025550101")
        work = await events.region("work")
    assert "Carmen" in work
    assert "Belén" not in work


async def test_streams_end_when_the_house_closes(house: House, browser: Browser, ana: Agent) -> None:
    async with browser.stream() as events:
        await events.region("promises")
        house.book.hub.close()
        assert await events.next() is None


async def test_a_stream_ends_with_its_session(house: House, browser: Browser, ana: Agent) -> None:
    async with browser.stream() as events:
        await events.region("person")
        await browser.post("/logout")
        while event := await events.next():
            assert event[0] == "" or event[0] == "ping"
        assert event is None


async def test_a_stream_is_for_who_is_signed_in_and_for_our_own_pages(house: House, browser: Browser) -> None:
    async with aiohttp.ClientSession() as stranger, stranger.get(f"{house.url}/desk/stream") as answer:
        assert answer.status == 401
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        async with browser.stream(**headers) as events:
            assert events.answer.status == 403
    async with browser.stream("/wallboard/stream") as events:
        assert events.answer.status == 403


async def test_who_goes_away_is_watched_no_longer(house: House, browser: Browser, ana: Agent) -> None:
    async with browser.stream() as events:
        await events.region("person")
        assert house.book.hub.watched == 1

    async def nobody() -> bool:
        async with house.book.writing() as w:  # something new to send: by writing it the stream notices
            found = await w.session.locked(Agent, ana.id)
            assert found is not None
            found.wish = Wish.paused if found.wish is Wish.off else Wish.off
            w.hint(f"agent:{ana.id}")
        return house.book.hub.watched == 0

    await until(nobody, "the stream to notice that its reader has gone")


async def test_the_answer_to_the_ping_is_the_heartbeat_and_the_stream_alone_is_not(
    house: House, browser: Browser, ana: Agent, clock: Clock
) -> None:
    beats = house.app[streams.BEATS]

    async def heard() -> object:
        async with house.book.reading() as r:
            found = await r.session.get(Agent, ana.id)
            assert found is not None
            return found.heartbeat_at

    before = await heard()
    clock.forward(5)
    async with browser.stream() as events:
        await events.region("person")
        await beats.flush(house.book)
        assert await heard() == before
        assert (await browser.post("/desk/beat"))[0] == 204
        await beats.flush(house.book)
        assert await heard() == clock.now


async def test_beats_of_many_agents_are_one_update(house: House) -> None:
    agents = [await house.agent(f"agent{number}", ready=False) for number in range(20)]
    beats = streams.Beats()
    for agent in agents * 2:
        beats.add(agent.id)
    await beats.flush(house.book)
    async with house.book.reading() as r:
        heard = await r.session.scalars(select(Agent.id).where(Agent.heartbeat_at.is_not(None)))
    assert len(heard) == 20


async def test_the_wallboard_hears_of_a_new_person_in_line(house: House) -> None:
    await house.agent("sol", role=Role.supervisor, ready=False, locale="en")
    async with browsing(house) as supervisor:
        await supervisor.sign_in("sol")
        async with supervisor.stream("/wallboard/stream") as events:
            assert "nobody waits" in await events.region("line")
            async with house.book.writing() as w:
                await making.task(w, house.queue, await making.lead(w, house.queue))
                w.hint("wallboard")
            assert "data-since=" in await events.region("line")


async def test_a_session_cut_off_in_the_database_ends_the_stream_at_the_next_look(
    house: House, browser: Browser, ana: Agent, clock: Clock
) -> None:
    async with browser.stream() as events:
        await events.region("promises")
        async with house.book.writing() as w:
            await w.session.execute(update(Session).values(expires_at=w.now))
            w.hint(f"agent:{ana.id}")
        assert await events.next() is None
