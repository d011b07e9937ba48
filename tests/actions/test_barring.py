"""Never again, in one press: from whatever point of a call, it holds from that commit on."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from router.actions import barring, calling, dispatch, keeping, nurturing, replying
from router.actions.guarding import ask_guard
from router.book import Book, Writing
from router.model.agents import Agent, Wish
from router.model.calls import Call, Leg
from router.model.campaigns import Campaign, WrapMode
from router.model.contacts import Contact
from router.model.errors import Conflict
from router.model.guard import Purpose
from router.model.promises import Promise, PromiseState
from router.model.tasks import Disposition, Reservation, ReservationState, Task, TaskKind, TaskState
from router.ports import LegMoved, LegStage
from router.store import alarms
from tests import making
from tests.actions.test_cadences import STALE, quiet, the_enrolment
from tests.conftest import Clock
from tests.invariants import check


async def rung(book: Book, kind: TaskKind = TaskKind.call) -> Task:
    """A task that rings at Ana."""
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w), wrap_mode=WrapMode.until_done)
        await making.agent(w)
        task = await making.task(w, queue, await making.lead(w, queue), kind=kind)
        await dispatch.run_round(w, queue.pool)
        (held,) = await w.session.scalars(select(Reservation))
        assert held.task_id == task.id
    return task


async def accept(book: Book, *legs: str) -> None:
    async with book.writing() as w:
        await dispatch.accept(w, 1, 1)
    for role in legs:
        async with book.writing() as w:
            (leg,) = await w.session.scalars(select(Leg).where(Leg.role == role))
            await calling.on_event(w, LegMoved(leg.ref, f"id-{role}", LegStage.answered))


async def never(book: Book, task_id: int, agent_id: int = 1) -> None:
    async with book.writing() as w:
        await barring.never_again(w, task_id, agent_id)


async def after(book: Book) -> Task:
    """The task, once nothing is left to be done about it; nobody may contact its person."""
    async with book.writing() as w:
        task = await w.session.get(Task, 1)
        assert task is not None
        assert await _denied(w, task)
        agent = await w.session.get(Agent, 1)
        assert agent is not None
        assert agent.load == 0
    async with book.reading() as r:
        await check(r.session)
    return task


async def _denied(w: Writing, task: Task) -> bool:
    contact, campaign = await w.session.get(Contact, task.contact_id), await w.session.get(Campaign, task.campaign_id)
    assert contact is not None
    assert campaign is not None
    verdict = await ask_guard(w, campaign, contact, Purpose.requested)
    return verdict.word == "deny" and verdict.rules[0] == "suppressed.asked"


async def test_while_it_rings_the_ring_is_withdrawn(book: Book) -> None:
    task = await rung(book)
    await never(book, task.id)
    done = await after(book)
    assert (done.state, done.agent_id) == (TaskState.withdrawn, None)
    async with book.reading() as r:
        (held,) = await r.session.scalars(select(Reservation))
    assert held.state is ReservationState.canceled


async def test_while_it_is_connected_the_call_is_ended(book: Book) -> None:
    task = await rung(book)
    await accept(book, "agent")
    await never(book, task.id)
    done = await after(book)
    assert (done.state, done.disposition) == (TaskState.closed, Disposition.do_not_call)
    async with book.reading() as r:
        (call,) = await r.session.scalars(select(Call))
    assert call.outcome == "never_again"


async def test_while_they_talk_they_say_goodbye_and_there_is_nothing_to_wrap_up(book: Book) -> None:
    task = await rung(book)
    await accept(book, "agent", "customer")
    await never(book, task.id)
    await never(book, task.id)  # pressed twice
    async with book.writing() as w:
        now = await w.session.get(Task, task.id)
        assert now is not None
        assert now.state is TaskState.engaged, "nobody is cut off"
        assert await _denied(w, now)
        await calling.hang_up(w, 1, 1)
    done = await after(book)
    assert (done.state, done.disposition) == (TaskState.closed, Disposition.do_not_call)


async def test_in_a_chat_it_holds_too(book: Book) -> None:
    task = await rung(book, TaskKind.chat)
    await accept(book)
    await never(book, task.id)
    async with book.writing() as w:
        await replying.finish(w, task.id, 1)
    assert (await after(book)).disposition is Disposition.do_not_call


async def test_in_the_wrap_up_it_is_the_outcome(book: Book) -> None:
    task = await rung(book)
    await accept(book, "agent", "customer")
    async with book.writing() as w:
        await calling.hang_up(w, 1, 1)
    await never(book, task.id)
    assert (await after(book)).disposition is Disposition.do_not_call


async def test_what_was_promised_and_the_cadence_of_the_ringing_call_end(book: Book, clock: Clock) -> None:
    async with book.writing() as w:
        quote = await quiet(w, {}, {"delay": 1})
        await making.agent(w, ready=False)
    clock.forward(STALE)
    async with book.writing() as w:
        await nurturing.check_quote(w, quote.id)
        waiting = (await w.session.scalars(select(Task).where(Task.kind == TaskKind.nurture)))[0]
        later = Task(
            campaign_id=waiting.campaign_id, queue_id=waiting.queue_id, lead_id=waiting.lead_id, pool=1, tier=1,
            contact_id=waiting.contact_id, kind=TaskKind.call, state=TaskState.scheduled, skills=[], lane="x", rank=1,
            enqueued_at=w.now,
        )
        w.session.add(later)
        await w.session.flush()
        w.fact("task.scheduled", campaign_id=later.campaign_id, lead_id=later.lead_id, subject_id=later.id)
        await alarms.set_alarm(w.session, keeping.TASK_DUE, later.id, w.now + timedelta(hours=1))
        w.session.add(Promise(
            campaign_id=waiting.campaign_id, queue_id=waiting.queue_id, state=PromiseState.scheduled,
            starts_at=w.now + timedelta(hours=1),
            wall="2026-11-23T14:00", zone="Europe/Madrid", tzdata="2026a", created_at=w.now,
            contact_id=waiting.contact_id, lead_id=waiting.lead_id, task_id=later.id,
        ))
        agent = await w.session.locked(Agent, 1)
        assert agent is not None
        agent.wish, agent.idle_since, agent.heartbeat_at = Wish.ready, w.now, w.now
        await w.session.flush()
        await dispatch.run_round(w, 1)
    await never(book, waiting.id)
    assert (await the_enrolment(book)).exit_reason == "do_not_call"
    async with book.reading() as r:
        (promise,) = await r.session.scalars(select(Promise))
        await check(r.session)
    assert promise.state is PromiseState.canceled


async def test_only_who_holds_the_task_says_so(book: Book) -> None:
    task = await rung(book)
    async with book.writing() as w:
        bea = await making.agent(w, "bea")
    for wrong in ((task.id, bea.id), (task.id + 7, 1)):
        with pytest.raises(Conflict, match="not yours any more"):
            await never(book, *wrong)
    async with book.writing() as w:
        await dispatch.reject(w, 1, 1)
    with pytest.raises(Conflict):
        await never(book, task.id)
