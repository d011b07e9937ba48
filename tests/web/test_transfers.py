"""Handing somebody on, through the real SDK and the phonebox: he stays on the line, keeps his age, reaches another."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import select

from router.actions import dispatch, transferring
from router.book import Book
from router.model.agents import Agent, Wish
from router.model.arrivals import Arrival, ArrivalState
from router.model.calls import Call, CallState
from router.model.campaigns import Queue
from router.model.contacts import Contact
from router.model.errors import Conflict
from router.model.tasks import Exclusion, Reservation, ReservationState, Task, TaskKind, TaskState
from tests import making
from tests.conftest import until
from tests.inbound import CUSTOMER, PATIENCE, House, running, staffed


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with running(book) as here:
        yield here


async def another(house: House, login: str = "eva", **values: object) -> Agent:
    async with house.book.writing() as w:
        return await making.agent(w, login, **values)


async def in_a_call_that_came_in(house: House) -> Call:
    await staffed(house.book)
    await house.call()
    await house.ringing()
    await house.accept()
    return await talking(house)


async def in_a_call_we_placed(house: House) -> Call:
    await staffed(house.book)
    async with house.book.writing() as w:
        (queue,) = await w.session.scalars(select(Queue))
        lead = await making.lead(w, queue, CUSTOMER)
        contact = await w.session.locked(Contact, lead.contact_id)
        assert contact is not None
        contact.locale = "en"
        await making.task(w, queue, lead)
        w.hint("dispatch")
    await house.accept()

    async def rings() -> bool:
        return any(leg["doing"] is not None and leg["state"] == "ringing" for leg in (await house.phone())["legs"])

    await until(rings, "the customer's telephone to ring", PATIENCE)
    await house.press("answer")
    return await talking(house)


async def talking(house: House) -> Call:
    call: Call = await house.until_row(Call, Call.state == CallState.talking)
    await house.check()
    return call


@pytest.mark.parametrize("begins", [in_a_call_that_came_in, in_a_call_we_placed])
async def test_who_is_handed_to_a_colleague_stays_on_the_line_and_talks_with_him(house: House, begins: object) -> None:
    call = await begins(house)  # type: ignore[operator]
    eva = await another(house)
    before = await house.one(Task)
    async with house.book.writing() as w:
        await transferring.to_agent(w, call.task_id, call.agent_id, eva.id)
        w.hint("courier")
    task = await house.one(Task)
    assert (task.state, task.rank, task.prefers) in (
        (TaskState.queued, before.rank, eva.id), (TaskState.reserved, before.rank, eva.id))
    await house.hears("One moment, please. We are connecting you.")
    held = await house.ringing()
    assert held.agent_id == eva.id
    assert not held.costs_turn
    (ana,) = await house.rows(Agent, Agent.id == call.agent_id)
    assert ana.load == 0, "whoever hands on is free at once"
    await house.accept()
    second = await house.until_row(Call, Call.state == CallState.talking)
    assert (second.agent_id, second.task_id) == (eva.id, call.task_id)
    assert (await house.one(Arrival)).state is ArrivalState.talking
    await house.check()
    await house.hang_up(second)
    await house.silent()
    await house.until_row(Task, Task.state == TaskState.wrapping)
    await house.until_row(Arrival, Arrival.state == ArrivalState.ended)
    assert (await house.one(Task)).agent_id == eva.id
    (told,) = [fact for fact in await house.facts("task.queued") if fact.data.get("reason") == "transferred"]
    assert told.data["by"] == ana.id
    await house.check()


@pytest.mark.parametrize("begins", [in_a_call_that_came_in, in_a_call_we_placed])
async def test_who_hangs_up_while_he_waits_for_the_other_has_left(house: House, begins: object) -> None:
    call = await begins(house)  # type: ignore[operator]
    async with house.book.writing() as w:
        (queue,) = await w.session.scalars(select(Queue))
        await transferring.to_queue(w, call.task_id, call.agent_id, queue.id)
        w.hint("courier")
    await house.hears("You are the next in line.")
    (ana,) = await house.rows(Exclusion)
    assert ana.agent_id == call.agent_id, "it does not come back to her at once"
    await house.press("hangup")
    await house.until_row(Task, Task.state == TaskState.abandoned)
    assert (await house.one(Arrival)).state is ArrivalState.left
    await house.check()


async def test_a_chat_is_handed_on_with_its_thread(book: Book) -> None:
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w))
        ana, task = await making.agent(w), await making.task(w, queue, await making.lead(w, queue), kind=TaskKind.chat)
        await dispatch.run_round(w, 1)
        await dispatch.accept(w, 1, ana.id)
        eva = await making.agent(w, "eva")
    async with book.writing() as w:
        await transferring.to_agent(w, task.id, ana.id, eva.id)
    async with book.writing() as w:
        assert await dispatch.run_round(w, 1) == 1
        (held,) = await w.session.scalars(select(Reservation).where(Reservation.state == ReservationState.pending))
        contact = await w.session.get(Contact, task.contact_id)
        assert contact is not None
    assert (held.agent_id, contact.agent_id) == (eva.id, ana.id)


@pytest.mark.parametrize(
    ("colleague", "says"),
    [({"wish": Wish.paused}, "not free"), ({"pool": 2}, "not in your line"), ({"heartbeat_at": None}, "not free"),
     ({"chat_capacity": 0}, "not free")],
)
async def test_nobody_is_handed_to_who_cannot_take_him(book: Book, colleague: dict[str, object], says: str) -> None:
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w))
        ana, task = await making.agent(w), await making.task(w, queue, await making.lead(w, queue), kind=TaskKind.chat)
        await dispatch.run_round(w, 1)
        await dispatch.accept(w, 1, ana.id)
        other = await making.agent(w, "eva", **colleague)
    with pytest.raises(Conflict, match=says):
        async with book.writing() as w:
            await transferring.to_agent(w, task.id, ana.id, other.id)
    with pytest.raises(Conflict, match="not in your line"):
        async with book.writing() as w:
            await transferring.to_agent(w, task.id, ana.id, 999)
    with pytest.raises(Conflict, match="nobody to hand on"):
        async with book.writing() as w:
            await transferring.to_agent(w, task.id, other.id, ana.id)


async def test_handed_on_twice_goes_once(book: Book) -> None:
    async with book.writing() as w:
        campaign = await making.campaign(w)
        queue, other = await making.queue(w, campaign), await making.queue(w, campaign, "soporte", skills=["it"])
        foreign = await making.queue(w, await making.campaign(w, "foreign"), "foreign")
        ana, task = await making.agent(w), await making.task(w, queue, await making.lead(w, queue), kind=TaskKind.chat)
        await dispatch.run_round(w, 1)
        await dispatch.accept(w, 1, ana.id)
    with pytest.raises(Conflict, match="another campaign"):
        async with book.writing() as w:
            await transferring.to_queue(w, task.id, ana.id, foreign.id)
    async with book.writing() as w:
        await transferring.to_queue(w, task.id, ana.id, other.id)
    with pytest.raises(Conflict, match="nobody to hand on"):
        async with book.writing() as w:
            await transferring.to_queue(w, task.id, ana.id, other.id)
    async with book.reading() as r:
        now = await r.session.get(Task, task.id)
    assert now is not None
    assert (now.queue_id, now.skills, now.since_ms, now.state) == (other.id, ["it"], task.since_ms, TaskState.queued)
