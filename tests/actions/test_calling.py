"""Calling: the life of a call as the carrier tells it, in order, out of order, twice and late."""

import asyncio
import random
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from router.actions import calling, guarding, presence, wrapping
from router.book import Book
from router.model.agents import Wish
from router.model.base import vouched
from router.model.budgets import Budget
from router.model.cadences import Attempt
from router.model.calls import CallState
from router.model.campaigns import Campaign, Queue, WrapMode
from router.model.contacts import Contact
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.errors import Conflict
from router.model.guard import Purpose
from router.model.suppressions import Suppression
from router.model.tasks import BY_AGENT, Disposition, Exclusion, Task, TaskState
from router.ports import LegMoved, LegOutcome, LegRole, LegStage, RoomChange, RoomMoved
from router.store import facts
from tests.actions.telephones import PHONE, Line, accepted
from tests.conftest import Clock

AGENT, CUSTOMER = LegRole.agent, LegRole.customer


async def kinds(line: Line) -> list[str]:
    async with line.book.reading() as r:
        return [fact.kind for fact in await facts.of_lead(r.session, (await line.task()).lead_id)]


async def spent(line: Line) -> set[int]:
    async with line.book.reading() as r:
        return set(await r.session.scalars(select(Budget.used)))


async def test_the_whole_life_of_a_call(book: Book, clock: Clock) -> None:
    line = await accepted(book)
    await line.place("agent")
    for stage in (LegStage.placed, LegStage.ringing):
        await line.say("agent", stage)
    assert await line.leg("customer") is None, "the customer is called when the agent is there, not before"
    await line.say("agent", LegStage.answered)
    assert (await line.call()).state is CallState.customer_leg
    await line.tell(await line.room(RoomChange.joined, AGENT))
    order = await line.place("customer")
    assert (order.to_customer, order.order["to"], order.order["ends_room"]) == (True, PHONE, True)
    async with book.reading() as r:
        attempt = await r.session.get(Attempt, order.attempt_id)
        assert attempt is not None
        assert (attempt.verdict, attempt.purpose, attempt.channel) == ("allow", "requested", "call")
    await line.say("customer", LegStage.ringing)
    assert (await line.task()).state is TaskState.connecting
    await line.say("customer", LegStage.answered)
    assert ((await line.call()).state, (await line.task()).state) == (CallState.talking, TaskState.engaged)
    assert await line.alarms() == set()
    clock.forward(90)
    await line.say("customer", LegStage.ended, LegOutcome.completed)
    call, task = await line.call(), await line.task()
    assert (call.state, call.outcome, task.state) == (CallState.ended, "completed", TaskState.wrapping)
    assert (await line.agent()).load == 1, "he is not offered a call while he writes"
    assert await line.alarms() == {"task.wrap"}
    async with book.writing() as w:
        await wrapping.dispose(w, line.task_id, line.agent_id, Disposition.quote_sent)
    task, agent = await line.task(), await line.agent()
    assert (task.state, task.disposition, agent.load) == (TaskState.closed, Disposition.quote_sent, 0)
    assert agent.idle_since == clock.now
    assert await line.alarms() == set()
    await line.check()
    known = ("task.", "call.", "guard.")
    assert [kind for kind in await kinds(line) if kind.startswith(known)] == [
        "task.reserved",
        "task.connecting",
        "call.agent_leg",
        "call.customer_leg",
        "guard.allow",
        "call.talking",
        "task.engaged",
        "call.ended",
        "task.wrapping",
        "task.closed",
    ]


@pytest.mark.parametrize(
    ("outcome", "disposition"),
    [
        (LegOutcome.busy, Disposition.busy),
        (LegOutcome.no_answer, Disposition.no_answer),
        (LegOutcome.canceled, Disposition.no_answer),
        (LegOutcome.failed, Disposition.failed),
    ],
)
async def test_a_customer_not_reached_closes_the_task_and_frees_the_agent(
    book: Book, outcome: LegOutcome, disposition: Disposition
) -> None:
    line = await accepted(book)
    await line.agent_there()
    await line.place("customer")
    await line.say("customer", LegStage.ended, outcome)
    task = await line.task()
    assert (task.state, task.disposition) == (TaskState.closed, disposition)
    assert (await line.agent()).load == 0
    assert len(await line.deliveries(DeliveryKind.end_room)) == 1
    assert await line.alarms() == set()
    async with book.reading() as r:
        contact = vouched(await r.session.get(Contact, task.contact_id))
        campaign = vouched(await r.session.get(Campaign, task.campaign_id))
        seen, _ = await guarding.look(r.session, campaign, contact, Purpose.commercial, r.now)
    busy = outcome is LegOutcome.busy
    assert [(one.channel, one.busy) for one in seen.tries] == [("call", busy)], "the guard knows a busy tone"


@pytest.mark.parametrize("outcome", [one for one in LegOutcome if one is not LegOutcome.none])
async def test_an_agent_not_reached_gives_the_task_back_with_its_age_and_without_him(
    book: Book, clock: Clock, outcome: LegOutcome
) -> None:
    line = await accepted(book)
    rank = (await line.task()).rank
    await line.place("agent")
    clock.forward(20)
    await line.say("agent", LegStage.ended, outcome)
    task, agent = await line.task(), await line.agent()
    assert (task.state, task.rank, task.agent_id) == (TaskState.queued, rank, None)
    assert (agent.load, agent.back_off_until is not None) == (0, True)
    async with book.reading() as r:
        (excluded,) = await r.session.scalars(select(Exclusion))
        assert (excluded.task_id, excluded.agent_id) == (line.task_id, line.agent_id)
    assert await line.leg("customer") is None


async def test_an_agents_leg_the_carrier_refused_gives_the_task_back(book: Book) -> None:
    line = await accepted(book)
    delivery = await line.start("agent")
    async with book.writing() as w:
        await calling.leg_failed(w, delivery, "21211")
        await calling.leg_failed(w, delivery, "21211")
    assert (await line.task()).state is TaskState.queued
    await line.check()


async def test_a_customers_leg_the_carrier_refused_is_refunded_and_closed_as_failed(book: Book) -> None:
    line = await accepted(book)
    await line.agent_there()
    delivery = await line.start("customer")
    assert await spent(line) == {10}
    async with book.writing() as w:
        await calling.leg_failed(w, delivery, "21211")
    assert (await line.task()).disposition is Disposition.failed
    assert (await line.row(Attempt, delivery.attempt_id or 0)).refunded_at is not None
    assert await spent(line) == {0}
    await line.check()


async def test_the_guards_no_at_the_last_moment_places_nothing(book: Book) -> None:
    line = await accepted(book)
    await line.place("agent")
    async with book.writing() as w:
        w.session.add(Suppression(phone=PHONE, reason="stop", created_at=w.now))
    await line.say("agent", LegStage.answered)
    task = await line.task()
    assert (task.state, task.disposition) == (TaskState.closed, Disposition.not_permitted)
    assert (await line.agent()).load == 0
    assert not [one for one in await line.deliveries() if one.to_customer]
    assert "guard.deny" in await kinds(line)
    assert await spent(line) == set()


async def test_a_used_up_budget_places_nothing_and_says_so(book: Book) -> None:
    line = await accepted(book, daily_spend_cap=9)
    await line.agent_there()
    assert ((await line.task()).disposition, (await line.call()).outcome) == (Disposition.not_permitted, "no_budget")
    assert not [one for one in await line.deliveries() if one.to_customer]


async def test_a_delivery_to_a_customer_without_the_guards_answer_is_refused_by_the_database(book: Book) -> None:
    line = await accepted(book)
    call = await line.call()
    with pytest.raises(IntegrityError, match="guarded"):
        async with book.writing() as w:
            w.session.add(
                Delivery(
                    kind=DeliveryKind.leg,
                    ref="r",
                    dedupe_key="k",
                    to_customer=True,
                    order={},
                    due_at=w.now,
                    created_at=w.now,
                    call_id=call.id,
                )
            )


@pytest.mark.parametrize("there", [False, True], ids=["agent not there", "customer rings"])
async def test_a_call_that_does_not_come_about_in_time_ends(book: Book, there: bool) -> None:
    line = await accepted(book)
    if there:
        await line.agent_there()
        await line.place("customer")
    async with book.writing() as w:
        await calling.connect_timeout(w, line.call_id)
        await calling.connect_timeout(w, line.call_id)
    task = await line.task()
    assert (task.state, task.disposition) == (
        (TaskState.closed, Disposition.no_answer) if there else (TaskState.queued, None)
    )
    assert (await line.agent()).load == 0
    assert len(await line.deliveries(DeliveryKind.end_room)) == 1
    await line.check()


async def test_a_late_time_out_does_not_end_a_conversation(book: Book) -> None:
    line = await accepted(book)
    await line.both_there()
    async with book.writing() as w:
        await calling.connect_timeout(w, line.call_id)
        await calling.connect_timeout(w, 99)
    assert (await line.task()).state is TaskState.engaged


async def wrapping_up(book: Book, **queue: Any) -> Line:
    """A call that is over, in a queue with these settings."""
    line = await accepted(book)
    async with book.writing() as w:
        task = vouched(await w.session.get(Task, line.task_id))
        row = vouched(await w.session.get(Queue, task.queue_id))
        for name, value in queue.items():
            setattr(row, name, value)
    await line.both_there()
    await line.say("agent", LegStage.ended, LegOutcome.completed)
    return line


async def test_where_no_wrap_up_is_wanted_the_agent_is_free_at_once(book: Book) -> None:
    line = await wrapping_up(book, wrap_mode=WrapMode.none)
    task, agent = await line.task(), await line.agent()
    assert (task.state, task.disposition, agent.load) == (TaskState.closed, Disposition.unclassified, 0)
    assert await line.alarms() == set()


async def test_where_both_are_wanted_neither_the_timer_nor_his_word_alone_ends_it(book: Book, clock: Clock) -> None:
    line = await wrapping_up(book, wrap_mode=WrapMode.timed_and_done)
    async with book.writing() as w:
        await wrapping.dispose(w, line.task_id, line.agent_id, Disposition.quote_sent)
    task = await line.task()
    assert (task.state, task.disposition) == (TaskState.wrapping, Disposition.quote_sent), "his word, not yet the time"
    clock.forward(60)
    async with book.writing() as w:
        await wrapping.wrap_up_ends(w, line.task_id)
    assert ((await line.task()).state, (await line.agent()).load) == (TaskState.closed, 0)
    assert (await line.agent()).wish is Wish.ready
    assert await line.alarms() == set()
    await line.check()


async def test_the_timer_alone_does_not_end_it_and_the_hard_end_pauses_him_for_the_supervisor_to_see(
    book: Book, clock: Clock
) -> None:
    line = await wrapping_up(book, wrap_mode=WrapMode.timed_and_done, wrap_most_seconds=300)
    clock.forward(60)
    async with book.writing() as w:
        await wrapping.wrap_up_ends(w, line.task_id)
    assert (await line.task()).state is TaskState.wrapping
    await line.check()
    clock.forward(240)
    for _ in range(2):
        async with book.writing() as w:
            await wrapping.overruns(w, line.task_id)
    task, agent = await line.task(), await line.agent()
    assert (task.disposition, agent.load, agent.wish, agent.pause_reason) == (
        Disposition.unclassified, 0, Wish.paused, "wrap")
    assert (await kinds(line)).count("wrap.overrun") == 1
    await line.check()


async def test_after_the_timer_his_word_ends_it(book: Book, clock: Clock) -> None:
    line = await wrapping_up(book, wrap_mode=WrapMode.timed_and_done)
    clock.forward(61)
    async with book.writing() as w:
        await wrapping.wrap_up_ends(w, line.task_id)
        await wrapping.dispose(w, line.task_id, line.agent_id, Disposition.sold)
    assert (await line.task()).disposition is Disposition.sold
    assert await line.alarms() == set()


async def test_until_done_has_no_timer_but_a_hard_end(book: Book, clock: Clock) -> None:
    line = await wrapping_up(book, wrap_mode=WrapMode.until_done)
    assert await line.alarms() == {"task.wrap_overrun"}
    async with book.writing() as w:
        await wrapping.dispose(w, line.task_id, line.agent_id, Disposition.sold)
    assert (await line.task()).state is TaskState.closed
    assert await line.alarms() == set()


async def test_a_wrap_up_nobody_ends_is_unclassified(book: Book) -> None:
    line = await accepted(book)
    await line.both_there()
    async with book.writing() as w:
        await wrapping.wrap_up_ends(w, line.task_id)
    assert (await line.task()).state is TaskState.engaged
    await line.say("agent", LegStage.ended, LegOutcome.completed)
    for _ in range(2):
        async with book.writing() as w:
            await wrapping.wrap_up_ends(w, line.task_id)
    assert (await line.task()).disposition is Disposition.unclassified
    assert (await line.agent()).load == 0
    with pytest.raises(Conflict):
        async with book.writing() as w:
            await wrapping.dispose(w, line.task_id, line.agent_id, Disposition.sold)


async def test_only_his_own_agent_gives_an_outcome_and_only_an_agents(book: Book) -> None:
    line = await accepted(book)
    await line.both_there()
    with pytest.raises(Conflict):
        async with book.writing() as w:
            await wrapping.dispose(w, line.task_id, line.agent_id, Disposition.sold)
    await line.say("agent", LegStage.ended, LegOutcome.completed)
    for agent_id, disposition in ((line.agent_id + 1, Disposition.sold), (line.agent_id, Disposition.unclassified)):
        with pytest.raises(Conflict):
            async with book.writing() as w:
                await wrapping.dispose(w, line.task_id, agent_id, disposition)
    assert (await line.task()).state is TaskState.wrapping


@pytest.mark.parametrize("disposition", BY_AGENT)
async def test_do_not_call_and_wrong_number_suppress_the_number(book: Book, disposition: Disposition) -> None:
    line = await accepted(book)
    await line.both_there()
    await line.say("customer", LegStage.ended, LegOutcome.completed)
    async with book.writing() as w:
        await wrapping.dispose(w, line.task_id, line.agent_id, disposition)
    async with book.reading() as r:
        found = {(one.phone, one.contact_id) for one in await r.session.scalars(select(Suppression))}
    assert found == {
        Disposition.do_not_call: {(PHONE, None), ("", 1)}, Disposition.wrong_number: {(PHONE, 1)},
    }.get(disposition, set())
    await line.check()


async def test_an_agent_ready_for_one_call_is_paused_after_it(book: Book) -> None:
    line = await accepted(book)
    async with book.writing() as w:
        await presence.set_wish(w, line.agent_id, Wish.ready_once)
    await line.both_there()
    await line.say("customer", LegStage.ended, LegOutcome.completed)
    async with book.writing() as w:
        await wrapping.dispose(w, line.task_id, line.agent_id, Disposition.sold)
    assert (await line.agent()).wish is Wish.paused


async def test_hanging_up_before_the_customers_leg_left_stops_it_and_refunds(book: Book) -> None:
    line = await accepted(book)
    await line.agent_there()
    async with book.writing() as w:
        await calling.hang_up(w, line.call_id, line.agent_id)
    legs = [one for one in await line.deliveries(DeliveryKind.leg) if one.to_customer]
    assert [one.state for one in legs] == [DeliveryState.abandoned]
    assert (await line.row(Attempt, legs[0].attempt_id or 0)).refunded_at is not None
    assert await spent(line) == {0}
    await line.check()
    with pytest.raises(Conflict):
        async with book.writing() as w:
            await calling.hang_up(w, line.call_id, line.agent_id)


async def test_a_leg_placed_after_the_call_ended_is_hung_up_once(book: Book) -> None:
    line = await accepted(book)
    await line.agent_there()
    delivery = await line.start("customer")
    async with book.writing() as w:
        await calling.hang_up(w, line.call_id, line.agent_id)
    await line.place("customer")
    (end,) = await line.deliveries(DeliveryKind.end_leg)
    assert end.order == {"carrier_id": "id-customer"}
    assert (await line.row(Attempt, delivery.attempt_id or 0)).refunded_at is None, "it rang"


async def test_late_callbacks_never_undo_a_hang_up(book: Book) -> None:
    line = await accepted(book)
    await line.agent_there()
    await line.place("customer")
    async with book.writing() as w:
        await calling.hang_up(w, line.call_id, line.agent_id)
    before = await line.task(), await line.call(), await kinds(line)
    for role in ("agent", "customer"):
        for stage in LegStage:
            await line.say(role, stage, LegOutcome.completed if stage is LegStage.ended else LegOutcome.none)
    for change in RoomChange:
        await line.tell(await line.room(change, AGENT), await line.room(change, CUSTOMER), await line.room(change))
    task, call, told = await line.task(), await line.call(), await kinds(line)
    assert (
        (task.state, task.disposition)
        == (TaskState.closed, Disposition.no_answer)
        == (before[0].state, before[0].disposition)
    )
    assert (call.state, call.outcome, told) == (CallState.ended, "agent_hung_up", before[2])


async def test_an_agent_who_leaves_while_the_customers_telephone_rings_does_not_lose_the_customer(book: Book) -> None:
    line = await accepted(book)
    await line.agent_there()
    await line.place("customer")
    await line.tell(await line.room(RoomChange.left, AGENT), await line.room(RoomChange.ended))
    assert (await line.task()).state is TaskState.connecting, "nobody else calls while it may ring"
    assert len(await line.deliveries(DeliveryKind.end_room)) == 1
    await line.say("agent", LegStage.ended, LegOutcome.completed)
    await line.say("customer", LegStage.ended, LegOutcome.canceled)
    task = await line.task()
    assert (task.state, task.agent_id, (await line.agent()).load) == (TaskState.queued, None, 0)


async def test_and_if_the_carrier_never_tells_how_it_ended_the_time_out_gives_the_task_back(
    book: Book, clock: Clock
) -> None:
    line = await accepted(book)
    await line.agent_there()
    await line.start("customer")
    await line.say("agent", LegStage.ended, LegOutcome.completed)
    clock.forward(calling.HANG_UP_SECONDS)
    async with book.writing() as w:
        await calling.connect_timeout(w, line.call_id)
    assert (await line.task()).state is TaskState.queued
    await line.place("customer")
    assert len(await line.deliveries(DeliveryKind.end_leg)) == 1
    await line.check()


async def test_an_agent_who_leaves_before_the_customers_leg_left_gives_the_task_back_at_once(book: Book) -> None:
    line = await accepted(book)
    await line.agent_there()
    await line.say("agent", LegStage.ended, LegOutcome.completed)
    assert (await line.task()).state is TaskState.queued
    assert await spent(line) == {0}


async def test_the_end_of_the_room_alone_does_not_close_a_task_nobody_talked_on(book: Book) -> None:
    line = await accepted(book)
    await line.place("agent")
    await line.tell(await line.room(RoomChange.ended))
    await line.say("agent", LegStage.ended, LegOutcome.completed)
    assert (await line.task()).state is TaskState.queued


async def test_unknown_legs_and_rooms_change_nothing(book: Book) -> None:
    line = await accepted(book)
    before = await kinds(line)
    await line.tell(
        LegMoved("nobody", "x", LegStage.answered),
        RoomMoved("nowhere", "x", RoomChange.ended),
        RoomMoved((await line.call()).room_ref, "x", RoomChange.joined, None, "stranger"),
    )
    assert await kinds(line) == before


async def _conversation(line: Line) -> list[LegMoved | RoomMoved]:
    """Everything the carrier tells of a call from the moment the customer's leg is placed."""
    return [
        await line.event("agent", LegStage.ringing),
        await line.room(RoomChange.joined, AGENT),
        await line.event("customer", LegStage.placed),
        await line.event("customer", LegStage.ringing),
        await line.event("customer", LegStage.answered),
        await line.room(RoomChange.joined, CUSTOMER),
        await line.room(RoomChange.left, CUSTOMER),
        await line.event("customer", LegStage.ended, LegOutcome.completed),
        await line.room(RoomChange.left, AGENT),
        await line.event("agent", LegStage.ended, LegOutcome.completed),
        await line.room(RoomChange.ended),
    ]


@pytest.mark.parametrize("seed", range(16))
async def test_in_whatever_order_and_however_often_the_carrier_tells_it_the_end_is_the_same(
    book: Book, seed: int
) -> None:
    line = await accepted(book)
    await line.agent_there()
    await line.place("customer")
    events = await _conversation(line)
    if seed:
        shuffle = random.Random(seed)  # noqa: S311
        events += shuffle.sample(events, seed % len(events))
        shuffle.shuffle(events)
    await line.tell(*events)
    call, task = await line.call(), await line.task()
    assert (call.state, call.outcome, task.state) == (CallState.ended, "completed", TaskState.wrapping)
    assert (await line.agent()).load == 1
    told = [kind for kind in await kinds(line) if kind.startswith(("call.", "task."))]
    assert len(told) == len(set(told)) == 8
    assert [one.order["role"] for one in await line.deliveries(DeliveryKind.leg)] == ["agent", "customer"]
    assert await line.alarms() == {"task.wrap"}


@pytest.mark.parametrize("outcome", [LegOutcome.busy, LegOutcome.no_answer])
@pytest.mark.parametrize("seed", range(6))
async def test_in_whatever_order_a_customer_not_reached_is_told_the_end_is_the_same(
    book: Book, seed: int, outcome: LegOutcome
) -> None:
    line = await accepted(book)
    await line.agent_there()
    await line.place("customer")
    events = [
        await line.event("customer", LegStage.placed),
        await line.event("customer", LegStage.ringing),
        await line.event("customer", LegStage.ended, outcome),
        await line.room(RoomChange.joined, AGENT),
    ] * 2
    random.Random(seed).shuffle(events)  # noqa: S311
    await line.tell(*events)
    # Our own hanging up comes back to us.
    await line.tell(await line.room(RoomChange.ended), await line.event("agent", LegStage.ended, LegOutcome.completed))
    task = await line.task()
    assert (task.state, task.disposition, (await line.agent()).load) == (
        TaskState.closed,
        Disposition(outcome.value),
        0,
    )
    assert len(await line.deliveries(DeliveryKind.end_room)) == 1


async def test_two_replicas_hearing_leg_and_room_at_once_call_the_customer_once(book: Book) -> None:
    line = await accepted(book)
    await line.place("agent")
    events = [await line.event("agent", LegStage.answered), await line.room(RoomChange.joined, AGENT)] * 4

    async def hear(event: LegMoved | RoomMoved) -> None:
        async with book.writing() as w:
            await calling.on_event(w, event)

    await asyncio.gather(*(hear(event) for event in events))
    assert len([one for one in await line.deliveries() if one.to_customer]) == 1
    await line.check()


async def test_holding_is_for_a_conversation_only(book: Book) -> None:
    line = await accepted(book)
    with pytest.raises(Conflict):
        async with book.writing() as w:
            await calling.hold(w, line.call_id, line.agent_id, True)
    await line.both_there()
    async with book.writing() as w:
        await calling.hold(w, line.call_id, line.agent_id, True)
    (order,) = await line.deliveries(DeliveryKind.hold)
    assert (order.order["carrier_id"], order.order["on"], (await line.call()).on_hold) == ("id-customer", True, True)
    with pytest.raises(Conflict):
        async with book.writing() as w:
            await calling.hold(w, line.call_id, line.agent_id + 1, False)
