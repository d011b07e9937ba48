"""The clock is set back by an hour: nobody is stuck, every timer runs its own time, and who waits keeps his place."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from router.actions import clocks, dispatch, presence
from router.alarms import Alarms
from router.app import ALARMS
from router.book import Book
from router.model.agents import BACK_OFF, Agent
from router.model.campaigns import Queue
from router.model.deliveries import Delivery
from router.model.facts import Fact
from router.model.tasks import Reservation, ReservationState, Task, TaskState
from router.rounds import Rounds
from router.store import deliveries
from tests import making
from tests.conftest import Clock
from tests.invariants import check

BACK = -3600


@pytest.fixture
async def queue(book: Book) -> Queue:
    async with book.writing() as w:
        return await making.queue(w, await making.campaign(w))


async def arrives(book: Book, queue: Queue, n: int) -> int:
    async with book.writing() as w:
        task = await making.task(w, queue, await making.lead(w, queue, f"+1202555010{n}"))
        w.fact("task.queued", lead_id=task.lead_id, subject_id=task.id)
        return task.id


async def row(book: Book, noun: Any, key: int) -> Any:
    async with book.reading() as r:
        await check(r.session)
        return await r.session.get(noun, key)


async def pending(book: Book) -> list[tuple[int, int]]:
    async with book.reading() as r:
        held = await r.session.scalars(select(Reservation).where(Reservation.state == ReservationState.pending))
        return [(one.task_id, one.agent_id) for one in held]


async def set_back(book: Book, clock: Clock) -> None:
    clock.forward(BACK)
    await Rounds(book).set_right()


async def test_what_rings_and_who_rests_do_so_for_no_longer_than_before(
    book: Book, clock: Clock, queue: Queue
) -> None:
    async with book.writing() as w:
        ana, eva = await making.agent(w), await making.agent(w, "eva", idle_since=w.now + timedelta(seconds=1))
    first, second = await arrives(book, queue, 1), await arrives(book, queue, 2)
    async with book.writing() as w:
        assert await dispatch.run_round(w, 1) == 2
        await dispatch.reject(w, 2, eva.id)
    await set_back(book, clock)
    assert (await row(book, Agent, eva.id)).back_off_until == clock.now + BACK_OFF
    assert (await row(book, Agent, ana.id)).present(clock.now)
    clock.forward(queue.ring_seconds)
    await Alarms(book, ALARMS).sweep()
    assert (await row(book, Task, first)).state is TaskState.queued, "it has rung long enough"
    assert not (await row(book, Agent, ana.id)).present(clock.now), "his browser has said nothing since"
    clock.forward(queue.exclude_seconds)
    async with book.writing() as w:
        await presence.beat(w, [ana.id, eva.id])
        assert await dispatch.run_round(w, 1) == 2
    assert {task for task, _ in await pending(book)} == {first, second}


async def test_a_rest_that_was_over_does_not_begin_anew(book: Book, clock: Clock, queue: Queue) -> None:
    async with book.writing() as w:
        ana = await making.agent(w)
    task = await arrives(book, queue, 1)
    async with book.writing() as w:
        assert await dispatch.run_round(w, 1) == 1
        await dispatch.reject(w, 1, ana.id)
    clock.forward(queue.exclude_seconds + BACK_OFF.total_seconds())
    await arrives(book, queue, 2)
    await set_back(book, clock)
    async with book.writing() as w:
        await presence.beat(w, [ana.id])
        assert await dispatch.run_round(w, 1) == 1
    assert await pending(book) == [(task, ana.id)]


async def test_a_browser_that_is_closed_counts_as_open_for_no_longer(book: Book, clock: Clock, queue: Queue) -> None:
    await arrives(book, queue, 1)
    clock.forward(600)
    async with book.writing() as w:
        ana = await making.agent(w, ready=False)
        await presence.beat(w, [ana.id])
    for _ in range(2):
        await set_back(book, clock)
        assert (await row(book, Agent, ana.id)).heartbeat_at == clock.now
        clock.forward(5)


async def test_who_waits_keeps_his_place_before_who_comes_afterwards(book: Book, clock: Clock, queue: Queue) -> None:
    first = await arrives(book, queue, 1)
    clock.forward(5)
    second = await arrives(book, queue, 2)
    await set_back(book, clock)
    clock.forward(1)
    third = await arrives(book, queue, 3)
    ranks = [(await row(book, Task, task)).rank for task in (first, second, third)]
    assert ranks == sorted(set(ranks))
    assert ranks[1] - ranks[0] == 5000


async def test_a_telephone_that_was_to_ring_rings_at_once(book: Book, clock: Clock, queue: Queue) -> None:
    async with book.writing() as w:
        ana = await making.agent(w)
    await arrives(book, queue, 1)
    async with book.writing() as w:
        await dispatch.run_round(w, 1)
        await dispatch.accept(w, 1, ana.id)
    await set_back(book, clock)
    async with book.reading() as r:
        (leg,) = await r.session.scalars(select(Delivery))
        assert leg.due_at <= clock.now
    async with book.writing() as w:
        assert await deliveries.due(w.session, w.now, legs=9, others=9)


async def test_it_is_told_once_and_a_clock_that_runs_as_it_should_changes_nothing(
    book: Book, clock: Clock, queue: Queue
) -> None:
    await arrives(book, queue, 1)
    for seconds in (5, -1, 3600):
        clock.forward(seconds)
        async with book.writing() as w:
            assert not await clocks.set_right(w)
    await arrives(book, queue, 2)
    await set_back(book, clock)
    await Rounds(book).set_right()
    async with book.reading() as r:
        told = await r.session.scalars(select(Fact).where(Fact.kind == "clock.set_back"))
    assert [fact.data for fact in told] == [{"seconds": 3600.0}]
