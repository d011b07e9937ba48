"""Staying on the line through the real SDK and the phonebox: who is in the room, and how soon the next telephone rings
after nobody answered."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from router.actions import calling, presence, stationing, wrapping
from router.alarms import Alarms
from router.app import ALARMS
from router.book import Book
from router.live import Hub
from router.model.base import vouched
from router.model.calls import Call, CallState
from router.model.campaigns import Queue
from router.model.facts import Fact
from router.model.stations import Station, StationState
from router.model.tasks import TIER_LIST, Disposition, Task, TaskState
from router.model.vault import Vault
from router.ticks import Sweep, Ticks
from tests import making
from tests.conftest import MONDAY_NOON, until
from tests.inbound import PATIENCE, House, running, staffed

PEOPLE = ("+12025550155", "+12025550156", "+12025550157")


class Running:
    """A clock that runs, from Monday noon on, when everybody may be called."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self) -> datetime:
        return MONDAY_NOON + timedelta(seconds=time.monotonic() - self._began)


@asynccontextmanager
async def standing(book: Book) -> AsyncIterator[House]:
    """A running house whose Ana stays on the line."""
    async with running(book) as house:
        async def beat() -> None:
            async with book.writing() as w:
                await presence.beat(w, [1])

        ticks = Ticks(book.hub, [
            Sweep("alarms", Alarms(book, ALARMS).sweep, every=0.5, audiences=("alarms",)),
            Sweep("beats", beat, every=5.0),
        ])
        await ticks.start()
        try:
            await staffed(book)
            async with book.writing() as w:
                await stationing.open_line(w, 1)
            await house.until_row(Station, Station.state == StationState.standing)
            yield house
        finally:
            await ticks.stop()


@pytest.fixture
async def house(engine: AsyncEngine, vault: Vault) -> AsyncIterator[House]:
    async with standing(Book(engine, Hub(), vault, "http://127.0.0.1:8080", clock=Running())) as here:
        yield here


async def listed(house: House, *phones: str) -> None:
    """These people are to be called, one after the other."""
    async with house.book.writing() as w:
        queue = vouched(await w.session.get(Queue, 1))
        for phone in phones:
            await making.task(w, queue, await making.lead(w, queue, phone), tier=TIER_LIST)
        w.hint("dispatch")


async def rings(house: House, phone: str) -> None:
    async def ringing() -> bool:
        return any(leg["state"] == "ringing" for leg in (await house.phone(phone))["legs"])

    await until(ringing, f"{phone} to ring", PATIENCE)


async def in_the_room(house: House) -> list[str]:
    station = await house.one(Station)
    return sorted(str(one.role) for one in await house.carrier.who_is_in(station.room))


async def next_rings(house: House, *, declines: bool) -> tuple[float, float]:
    """The first person does not answer, or declines; seconds until the second one's telephone rings: measured outside
    from the end on the first one's telephone, and from fact to fact."""
    first, second = PEOPLE[:2]
    await listed(house, first, second)
    await rings(house, first)
    if declines:
        await house.press("decline", first)
    await house.silent(first)
    began = time.monotonic()
    await rings(house, second)
    outside = time.monotonic() - began
    over = (await house.rows(Fact, Fact.kind == "task.closed"))[-1]
    called = (await house.rows(Fact, Fact.kind == "call.customer_leg"))[-1]
    return outside, (called.at - over.at).total_seconds()


async def test_after_nobody_answers_the_next_telephone_rings_within_ten_seconds(house: House) -> None:
    outside, inside = await next_rings(house, declines=True)
    print(f"not answered → the next telephone rings: {outside:.1f} s, 5 s of it to look; in facts {inside:.1f} s")
    assert 5 <= inside <= 10
    assert await in_the_room(house) == ["agent", "customer"]
    assert [one.disposition for one in await house.rows(Task, Task.state == TaskState.closed)] == [Disposition.busy]
    await house.check()


async def test_one_after_the_other_talks_with_her_and_she_stays(house: House) -> None:
    agents = await house.phone("client:ana")
    for phone in PEOPLE[:2]:
        await listed(house, phone)
        await rings(house, phone)
        await house.press("answer", phone)
        call = await house.until_row(Call, Call.state == CallState.talking)
        assert await in_the_room(house) == ["agent", "customer"]
        if phone == PEOPLE[0]:
            await house.hang_up(call)
        else:
            await house.press("hangup", phone)
        await house.silent(phone)
        await house.until_row(Task, Task.id == call.task_id, Task.state == TaskState.wrapping)
        assert await in_the_room(house) == ["agent"]
        async with house.book.writing() as w:
            await wrapping.dispose(w, call.task_id, 1, Disposition.callback)
        await house.check()
    assert [leg["sid"] for leg in (await house.phone("client:ana"))["legs"]] == [leg["sid"] for leg in agents["legs"]]


async def test_her_telephone_is_hung_up_in_mid_call_and_so_is_the_customers(house: House) -> None:
    await listed(house, PEOPLE[0])
    await rings(house, PEOPLE[0])
    await house.press("answer", PEOPLE[0])
    await house.until_row(Call, Call.state == CallState.talking)
    await house.press("hangup", "client:ana")
    await house.silent(PEOPLE[0])
    await house.until_row(Station, Station.state == StationState.ended)
    await house.until_row(Task, Task.state == TaskState.wrapping)
    await house.check()


async def test_she_leaves_the_line_and_her_telephone_is_free(house: House) -> None:
    async with house.book.writing() as w:
        await stationing.close_line(w, 1)
    await house.silent("client:ana")
    await house.check()


async def test_stopped_while_the_telephone_rings_only_that_one_is_hung_up(house: House) -> None:
    await listed(house, PEOPLE[0])
    await rings(house, PEOPLE[0])
    call = await house.until_row(Call, Call.state == CallState.customer_leg)
    async with house.book.writing() as w:
        await calling.hang_up(w, call.id, 1)
    await house.silent(PEOPLE[0])
    assert await in_the_room(house) == ["agent"]
    await house.check()
