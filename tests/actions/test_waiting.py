"""Waiting: who waits is told when he will be reached, in the database's own numbers, and it is kept to."""

import random
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from router.actions import answering, dispatch, presence, waiting
from router.book import Book
from router.model.agents import Agent, Wish
from router.model.base import vouched
from router.model.calls import Call
from router.model.campaigns import Number, Queue
from router.model.facts import Fact
from router.model.tasks import Disposition, Task, TaskKind, TaskState
from router.model.waiting import ENOUGH, Told
from router.ports import CallArrived, CallerTurned
from router.store import waiting as line
from router.store.staffing import staffing
from tests import making
from tests.conftest import Clock

OURS = "+12025550100"


@pytest.fixture
async def queue(book: Book) -> Queue:
    """A line whose talks take five minutes, and two agents in one each."""
    async with book.writing() as w:
        campaign = await making.campaign(w, locale="en")
        queue = await making.queue(w, campaign, handle_seconds=300)
        w.session.add(Number(campaign_id=campaign.id, queue_id=queue.id, phone=OURS))
        for login in ("ana", "eva"):
            await busy(w, login)
        return queue


async def busy(w: Any, login: str, **values: Any) -> Agent:
    """An agent in a talk; his browser never falls silent."""
    return await making.agent(
        w, login, call_load=1, busy_since=w.now, **{"heartbeat_at": w.now + timedelta(days=1), **values}
    )


async def waits(book: Book, queue: Queue, phone: str, **values: Any) -> int:
    async with book.writing() as w:
        return (await making.task(w, queue, await making.lead(w, queue, phone), **values)).id


async def look(book: Book, task_id: int) -> Told | None:
    """What the person is told now."""
    async with book.writing() as w:
        task = vouched(await w.session.get(Task, task_id))
        return await waiting.tell(w, task, await staffing(w.session, task.pool, task.skills, w.now))


async def seconds(book: Book, clock: Clock, task_id: int) -> float:
    return (vouched(await look(book, task_id)).at - clock.now).total_seconds()


async def test_it_is_reckoned_from_those_before_him_and_written_down(book: Book, clock: Clock, queue: Queue) -> None:
    first, second, third = [await waits(book, queue, f"+1202555010{n}", rank=1000 + n) for n in range(3)]
    assert [await seconds(book, clock, one) for one in (first, second, third)] == [150, 300, 450]
    async with book.reading() as r:
        kept = vouched(await r.session.get(Task, third))
    assert (kept.expected_at, kept.expected_present) == (clock.now + timedelta(seconds=450), 2)


async def test_time_that_passes_and_a_more_urgent_one_before_him_change_nothing(
    book: Book, clock: Clock, queue: Queue
) -> None:
    task = await waits(book, queue, "+12025550101", tier=2)
    told = await look(book, task)
    clock.forward(100)
    await waits(book, queue, "+12025550102", tier=0)
    assert await look(book, task) == told
    clock.forward(100)  # past the moment
    assert await look(book, task) == told


async def test_who_goes_before_him_brings_it_nearer(book: Book, clock: Clock, queue: Queue) -> None:
    first, second = [await waits(book, queue, f"+1202555010{n}", rank=1000 + n) for n in range(2)]
    assert await seconds(book, clock, second) == 300
    async with book.writing() as w:
        assert await dispatch.abandon(w, first)
    assert await seconds(book, clock, second) == 150


async def test_an_agent_who_goes_is_a_cause_and_it_is_told_with_the_new_figure(
    book: Book, clock: Clock, queue: Queue
) -> None:
    task = await waits(book, queue, "+12025550101")
    assert await seconds(book, clock, task) == 150
    async with book.writing() as w:
        (eva,) = await w.session.scalars(select(Agent).where(Agent.login == "eva"))
        eva.heartbeat_at = w.now - timedelta(minutes=1)
    assert await seconds(book, clock, task) == 300
    async with book.writing() as w:
        await w.session.execute(update(Agent).values(heartbeat_at=None))
    assert await look(book, task) is None
    async with book.writing() as w:
        await w.session.execute(update(Agent).values(heartbeat_at=w.now))
    assert await seconds(book, clock, task) == 150  # told anew: nobody had been there


async def test_with_the_same_staff_and_only_departures_the_moment_never_rises(
    book: Book, clock: Clock, queue: Queue
) -> None:
    dice = random.Random(7)  # noqa: S311  not for secrets
    line = [await waits(book, queue, f"+120255502{n:02d}", rank=1000 + n) for n in range(12)]
    shown = {task: vouched(await look(book, task)).at for task in line}
    while len(line) > 1:
        clock.forward(dice.uniform(0, 120))
        async with book.writing() as w:
            assert await dispatch.abandon(w, line.pop(dice.randrange(len(line))))
        for task in line:
            at = vouched(await look(book, task)).at
            assert at <= shown[task]
            shown[task] = at


async def test_only_those_who_wait_for_the_same_people_are_before_him(book: Book, clock: Clock, queue: Queue) -> None:
    await waits(book, queue, "+12025550101", skills=["it"], rank=1)  # neither of the two speaks it
    await waits(book, queue, "+12025550102", kind=TaskKind.chat, rank=2)
    await waits(book, queue, "+12025550103", tier=4, rank=3)
    newest = await waits(book, queue, "+12025550104", lane="1/1/0/other", rank=-4)
    task = await waits(book, queue, "+12025550105", rank=5)
    async with book.reading() as r:
        async def before(task_id: int) -> int:
            return await line.before_him(r.session, vouched(await r.session.get(Task, task_id)), r.now)

        assert await before(task) == 2  # the chat and who waits in the lane where the newest is first
        assert await before(newest) == 1
        assert await line.before_him(r.session, vouched(await r.session.get(Task, task)), r.now, most=1) == 1


async def _talk(book: Book, clock: Clock, queue: Queue, number: int, length: float) -> None:
    """A task that took up an agent for so long, by its facts."""
    task_id = await waits(book, queue, f"+12025551{number:03d}")
    async with book.writing() as w:
        await w.move(Task, task_id, TaskState.reserved)
    clock.forward(length)
    async with book.writing() as w:
        for state in (TaskState.connecting, TaskState.engaged, TaskState.wrapping, TaskState.closed):
            await w.move(Task, task_id, state, data={"disposition": Disposition.sold.value})


async def test_the_talks_of_late_are_believed_when_there_were_enough(book: Book, clock: Clock, queue: Queue) -> None:
    async with book.writing() as w:
        other = await making.queue(w, vouched(await w.session.get(making.Campaign, queue.campaign_id)), "otra")
    for number in range(ENOUGH - 1):
        await _talk(book, clock, queue, number, 40 + number % 2 * 20)
    await _talk(book, clock, other, 500, 900)

    async def mean() -> float:
        async with book.reading() as r:
            return await line.handle_seconds(r.session, queue, r.now)

    assert await mean() == 300
    await _talk(book, clock, queue, 600, 60)
    assert await mean() == 50
    task = await waits(book, queue, "+12025550101")
    assert await seconds(book, clock, task) == 25
    clock.forward(8 * 3600)
    assert await mean() == 300


async def test_a_call_that_came_to_nothing_is_no_talk(book: Book, clock: Clock, queue: Queue) -> None:
    for number in range(ENOUGH):
        task_id = await waits(book, queue, f"+12025551{number:03d}")
        async with book.writing() as w:
            for state in (TaskState.reserved, TaskState.connecting, TaskState.closed):
                await w.move(Task, task_id, state)
    async with book.reading() as r:
        assert await line.handle_seconds(r.session, queue, r.now) == 300


async def test_what_cannot_be_written_down_is_not_told(book: Book, clock: Clock, queue: Queue) -> None:
    first, second = [await waits(book, queue, f"+1202555010{n}", rank=1000 + n) for n in range(2)]
    told = await look(book, second)
    async with book.writing() as w:
        assert await dispatch.abandon(w, first)
    third = await waits(book, queue, "+12025550103")
    async with book.writing() as round_:
        for task in (second, third):
            assert await round_.session.locked(Task, task)
        assert await look(book, second) == told
        assert await look(book, third) is None
    assert vouched(await look(book, second)).at < vouched(told).at


async def test_two_who_look_at_once_tell_one_moment(book: Book, clock: Clock, queue: Queue) -> None:
    task_id = await waits(book, queue, "+12025550101")
    async with book.reading() as r:
        stale = vouched(await r.session.get(Task, task_id))
    told = await look(book, task_id)
    async with book.writing() as w:
        assert await waiting.keep(w, stale, Told(w.now, 2)) is None
    assert await look(book, task_id) == told


async def test_who_put_himself_off_is_told_anew_when_he_waits_again(book: Book, clock: Clock, queue: Queue) -> None:
    task = await waits(book, queue, "+12025550101")
    assert await seconds(book, clock, task) == 150
    clock.forward(3600)
    async with book.writing() as w:
        await w.move(Task, task, TaskState.scheduled)
        await w.move(Task, task, TaskState.queued, enqueued_at=w.now)
    assert await seconds(book, clock, task) == 150


async def heard(book: Book) -> str:
    async with book.writing() as w:
        arrival = vouched(await w.session.scalar(select(answering.Arrival)))
        return " ".join((await answering.turned(w, CallerTurned(arrival.ref, "CA1"))).say)


async def test_who_is_on_the_line_hears_the_same_moment_come_nearer(book: Book, clock: Clock, queue: Queue) -> None:
    for n in range(3):
        await waits(book, queue, f"+1202555010{n}")
    clock.forward(1)
    async with book.writing() as w:
        prompt = await answering.arrived(w, CallArrived("CA1", "+12025550177", OURS))
    assert "Your wait is about 10 minutes." in " ".join(prompt.say)
    clock.forward(240)
    assert "Your wait is about 6 minutes." in await heard(book)
    clock.forward(340)
    assert "Your wait is about 1 minute." in await heard(book)
    clock.forward(60)
    said = await heard(book)
    assert "You are number 4 in line." in said
    assert "It is your turn any moment now." in said
    async with book.writing() as w:
        (eva,) = await w.session.scalars(select(Agent).where(Agent.login == "eva"))
        eva.busy_since = None
        eva.call_load = 0
        await presence.set_wish(w, eva.id, Wish.paused)
    assert "Your wait is about 20 minutes." in await heard(book)


async def test_what_is_told_is_no_fact_and_no_state(book: Book, clock: Clock, queue: Queue) -> None:
    task = await waits(book, queue, "+12025550101")
    await look(book, task)
    async with book.reading() as r:
        assert await r.session.scalars(select(Fact).where(Fact.kind.like("task.%"))) == []
        assert await r.session.scalars(select(Call)) == []
