"""Staying on the line: one telephone of the agent's, one customer after the other, and never two of them together."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from router.actions import calling, consulting, dispatch, presence, stationing, transferring, wrapping
from router.alarms import Alarms
from router.app import ALARMS
from router.book import Book
from router.model.agents import Agent, Wish
from router.model.alarms import Alarm, AlarmState
from router.model.base import vouched
from router.model.calls import Call, CallState, Leg
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.errors import Conflict
from router.model.stations import STANDS_AT_MOST, Station, StationState
from router.model.suppressions import Suppression
from router.model.tasks import Disposition, Reservation, ReservationState, Task, TaskKind, TaskState
from router.outcomes import HOUSE, close, uncertain
from router.ports import (
    CarrierEvent,
    LegFound,
    LegMoved,
    LegOutcome,
    LegRole,
    LegStage,
    Refused,
    RoomChange,
    RoomMoved,
)
from router.reconcile import Reconciler
from tests.actions.standing import ANA, EVA, Standing, made
from tests.conftest import Clock
from tests.outside import RecordingCarrier

GONE = (LegStage.ended, LegOutcome.completed)
UNANSWERED = (LegStage.ended, LegOutcome.no_answer)


@pytest.fixture
async def ana(book: Book, clock: Clock) -> Standing:
    return await made(book, clock)


async def ended(ana: Standing, outcome: str) -> None:
    """Ana does not stay on the line any more, holds nothing, and her telephone rings for each call again."""
    await ana.check()
    station = await ana.station()
    assert (station.state, station.outcome) == (StationState.ended, outcome)
    assert not await ana.all(Alarm, Alarm.kind.like("station.%"), Alarm.state == AlarmState.pending)


async def legs_to(ana: Standing, role: str) -> list[str]:
    """The telephones of this role that the carrier was asked to call."""
    return [one.order["to"] for one in await ana.all(Delivery, Delivery.kind == DeliveryKind.leg)
            if one.order["role"] == role]


async def test_one_telephone_of_hers_serves_many_customers(ana: Standing) -> None:
    station = await ana.stands()
    assert station.state is StationState.standing
    rooms = set()
    for phone in ("+12025550101", "+12025550102", "+12025550103"):
        call = await ana.talks(phone)
        rooms.add((await ana.last(Call)).room)
        assert (await ana.last(Call)).state is CallState.talking
        await ana.do(lambda w, call=call: calling.hang_up(w, call.id, ANA))
        await ana.carried()
        await ana.tell(await ana.theirs(*GONE))
        await ana.do(lambda w, call=call: wrapping.dispose(w, call.task_id, ANA, Disposition.callback))
    assert await legs_to(ana, "agent") == ["client:ana"]
    assert await legs_to(ana, "customer") == ["+12025550101", "+12025550102", "+12025550103"]
    assert rooms == {station.room}
    assert not await ana.all(Delivery, Delivery.kind == DeliveryKind.end_room), "her room goes on"
    assert (await ana.station()).state is StationState.standing
    assert await ana.loads() == (0, 0)


async def test_a_customer_who_leaves_takes_nobody_with_him(ana: Standing) -> None:
    await ana.stands()
    await ana.talks()
    order = (await ana.last(Delivery, Delivery.kind == DeliveryKind.leg)).order
    assert (order["ends_room"], order["shared_room"]) == (False, True)
    await ana.tell(await ana.theirs(*GONE), await ana.room(RoomChange.left, LegRole.customer))
    assert (await ana.last(Task)).state is TaskState.wrapping
    assert (await ana.station()).state is StationState.standing


async def test_who_nobody_waits_for_is_shown_for_five_seconds_and_called_without_a_press(
    ana: Standing, clock: Clock
) -> None:
    await ana.stands()
    await ana.waits()
    ring = await ana.round()
    assert (ring.preview, ring.expires_at - clock.now) == (True, timedelta(seconds=5))
    await ana.pass_time(4.9)
    assert not await ana.all(Call)
    await ana.pass_time(0.1)
    await Alarms(ana.book, ALARMS).sweep()
    call = await ana.last(Call)
    assert (call.state, call.station_id) == (CallState.customer_leg, 1)
    assert (await ana.last(Reservation)).state is ReservationState.accepted
    assert (await ana.last(Agent, Agent.id == ANA)).taken == 1


@pytest.mark.parametrize(("tier", "kind", "shown"), [
    (0, TaskKind.call, False), (2, TaskKind.call, False), (1, TaskKind.call, True), (4, TaskKind.call, True),
    (3, TaskKind.nurture, True), (6, TaskKind.nurture, True),
])
async def test_only_calls_nobody_waits_for_are_made_without_a_press(
    ana: Standing, tier: int, kind: TaskKind, shown: bool
) -> None:
    await ana.stands()
    await ana.waits(tier=tier, kind=kind)
    assert (await ana.round()).preview is shown


async def test_without_a_line_everything_rings_as_ever(ana: Standing) -> None:
    await ana.waits()
    assert not (await ana.round()).preview
    await ana.do(lambda w: dispatch.reject(w, 1, ANA))
    await ana.do(lambda w: stationing.open_line(w, ANA))
    await ana.waits("+12025550102")
    await ana.pass_time(6)
    assert not (await ana.round()).preview, "her telephone still rings"


async def test_a_fresh_lead_rings_and_then_joins_her_at_once(ana: Standing) -> None:
    await ana.stands()
    await ana.waits(tier=0)
    ring = await ana.round()
    await ana.do(lambda w: dispatch.accept(w, ring.id, ANA))
    await Alarms(ana.book, ALARMS).sweep()
    assert (await ana.last(Call)).state is CallState.customer_leg
    assert await legs_to(ana, "agent") == ["client:ana"]
    assert await legs_to(ana, "customer") == ["+12025550101"]


async def test_called_now_or_let_pass(ana: Standing) -> None:
    await ana.stands()
    task = await ana.waits()
    ring = await ana.round()
    await ana.do(lambda w: dispatch.reject(w, ring.id, ANA))
    told = [one for one in await ana.all(Alarm, Alarm.state == AlarmState.pending) if one.kind == "reservation.expire"]
    assert (told, (await ana.last(Task)).state) == ([], TaskState.queued)
    await ana.pass_time(65)
    ring = await ana.round()
    await ana.do(lambda w: dispatch.accept(w, ring.id, ANA))
    await ana.pass_time(5)
    assert [one.task_id for one in await ana.all(Call)] == [task.id], "called once, not again when the time is over"


async def test_a_call_that_nobody_answers_is_over_without_a_wrap_up_and_the_next_is_shown(ana: Standing) -> None:
    await ana.stands()
    await ana.dialled()
    await ana.carried()
    await ana.waits("+12025550102")
    before = ana.clock.now
    await ana.tell(await ana.theirs(*UNANSWERED))
    assert (await ana.last(Task, Task.id == 1)).disposition is Disposition.no_answer
    ring = await ana.round()
    await ana.pass_time(5)
    await Alarms(ana.book, ALARMS).sweep()
    call = await ana.last(Call)
    assert (ring.preview, call.task_id, call.state) == (True, 2, CallState.customer_leg)
    assert call.created_at - before <= timedelta(seconds=10)


async def test_nobody_is_called_into_the_room_before_the_one_before_has_left_it(ana: Standing) -> None:
    await ana.stands()
    call = await ana.dialled()
    await ana.carried()
    await ana.tell(await ana.theirs(LegStage.ringing))
    old = await ana.theirs(*GONE)
    await ana.do(lambda w: calling.hang_up(w, call.id, ANA))
    second = await ana.dialled("+12025550102")
    await ana.pass_time(2)
    assert second.state is CallState.agent_leg
    assert await legs_to(ana, "customer") == ["+12025550101"], "the first may still pick up"
    await ana.tell(old)
    await ana.pass_time(1)
    assert await legs_to(ana, "customer") == ["+12025550101"], "the order to hang up is on its way"
    await ana.carried()
    await ana.pass_time(1)
    assert await legs_to(ana, "customer") == ["+12025550101", "+12025550102"]


async def test_a_room_that_does_not_become_free_is_given_up_and_the_person_waits_on(ana: Standing) -> None:
    await ana.stands()
    call = await ana.dialled()
    await ana.carried()
    await ana.do(lambda w: calling.hang_up(w, call.id, ANA))
    await ana.dialled("+12025550102")
    for _ in range(16):
        await ana.pass_time(1)
    await ended(ana, "stuck")
    task = await ana.last(Task)
    assert (task.state, await ana.loads()) == (TaskState.queued, (0, 0))
    assert await legs_to(ana, "customer") == ["+12025550101"]


async def test_a_customers_telephone_nobody_knows_of_ends_the_line_and_is_not_called_again(ana: Standing) -> None:
    await ana.stands()
    await ana.dialled()
    (waiting,) = await ana.all(Delivery, Delivery.state == DeliveryState.pending)

    async def lost(w: Any) -> None:
        started = await w.move(Delivery, waiting.id, to=DeliveryState.claimed)
        started = await w.move(Delivery, waiting.id, to=DeliveryState.started)
        await uncertain(w, HOUSE, started)
        await close(w, HOUSE, started, DeliveryState.failed, "not_found")

    await ana.do(lost)
    await ended(ana, "unsure")
    task = await ana.last(Task)
    assert (task.state, task.disposition, await ana.loads()) == (TaskState.closed, Disposition.failed, (0, 0))


@pytest.mark.parametrize("by_room", [False, True])
async def test_her_telephone_drops_in_a_conversation(ana: Standing, by_room: bool) -> None:
    await ana.stands()
    await ana.talks()
    both = [await ana.own(*GONE), await ana.room(RoomChange.left, LegRole.agent)]
    await ana.tell(*(reversed(both) if by_room else both))
    await ended(ana, "completed")
    assert ((await ana.last(Call)).state, (await ana.last(Task)).state) == (CallState.ended, TaskState.wrapping)
    (order,) = await ana.all(Delivery, Delivery.kind == DeliveryKind.end_room)
    assert order.order["room"] == (await ana.station()).room, "the customer is hung up too"
    assert await ana.loads() == (1, 0)


async def test_her_telephone_drops_while_the_customers_rings(ana: Standing) -> None:
    await ana.stands()
    await ana.dialled()
    await ana.carried()
    customer = await ana.theirs(LegStage.ended, LegOutcome.canceled)
    await ana.tell(await ana.own(*GONE))
    await ended(ana, "completed")
    assert (await ana.last(Call)).state is CallState.customer_leg, "the customer may be picking up"
    await ana.tell(customer)
    assert ((await ana.last(Task)).state, await ana.loads()) == (TaskState.queued, (0, 0))


async def test_who_answers_and_finds_nobody_in_her_room_is_left_alone_for_a_while(ana: Standing) -> None:
    await ana.stands()
    await ana.dialled()
    await ana.carried()
    answered = await ana.theirs(LegStage.answered)
    await ana.tell(await ana.own(*GONE), answered)
    assert [one.reason for one in await ana.all(Suppression)] == ["dropped_call"]


async def test_her_telephone_drops_before_the_customer_is_called(ana: Standing) -> None:
    await ana.stands()
    await ana.dialled()
    await ana.tell(await ana.own(*GONE))
    assert ((await ana.last(Task)).state, await ana.loads()) == (TaskState.queued, (0, 0))
    (order,) = await ana.all(Delivery, Delivery.to_customer)
    assert order.state is DeliveryState.abandoned


@pytest.mark.parametrize("turn", range(6))
async def test_both_hang_up_at_once_and_the_carrier_tells_it_in_any_order_and_twice(ana: Standing, turn: int) -> None:
    await ana.stands()
    await ana.talks()
    events: list[CarrierEvent] = [
        await ana.own(*GONE), await ana.theirs(*GONE), await ana.room(RoomChange.left, LegRole.customer),
        await ana.room(RoomChange.left, LegRole.agent), await ana.room(RoomChange.ended),
        await ana.theirs(LegStage.answered),
    ]
    await ana.tell(*events[turn:], *events[:turn], *events)
    assert (await ana.station()).state is StationState.ended
    assert ((await ana.last(Call)).state, (await ana.last(Task)).state) == (CallState.ended, TaskState.wrapping)
    assert await ana.loads() == (1, 0)


async def test_what_is_told_late_of_one_customer_does_not_touch_the_next(ana: Standing) -> None:
    await ana.stands()
    await ana.dialled()
    await ana.carried()
    old: list[CarrierEvent] = [
        await ana.theirs(LegStage.answered), await ana.room(RoomChange.joined, LegRole.customer),
        await ana.room(RoomChange.left, LegRole.customer), await ana.theirs(*GONE),
    ]
    await ana.tell(await ana.theirs(*UNANSWERED))
    await ana.dialled("+12025550102")
    await ana.tell(*old)
    assert (await ana.last(Call)).state is CallState.customer_leg, "her telephone has no name yet; this was another"
    await ana.carried()
    await ana.tell(await ana.theirs(LegStage.answered), *old)
    assert [one.state for one in await ana.all(Call)] == [CallState.ended, CallState.talking]
    assert [one.state for one in await ana.all(Task)] == [TaskState.closed, TaskState.engaged]


async def test_pressed_in_two_tabs_at_once_one_telephone_rings(ana: Standing) -> None:
    async def press() -> None:
        async with ana.book.writing() as w:
            await stationing.open_line(w, ANA)

    await asyncio.gather(press(), press())
    assert len(await ana.all(Station)) == 1
    assert await legs_to(ana, "agent") == ["client:ana"]
    await ana.check()


@pytest.mark.parametrize("outcome", [LegOutcome.no_answer, LegOutcome.busy, LegOutcome.failed])
async def test_a_telephone_she_does_not_pick_up(ana: Standing, outcome: LegOutcome) -> None:
    await ana.do(lambda w: stationing.open_line(w, ANA))
    await ana.carried()
    await ana.tell(await ana.own(LegStage.ended, outcome))
    await ended(ana, outcome.value)


async def test_a_telephone_of_which_nothing_is_heard_is_hung_up_when_it_comes_late(ana: Standing) -> None:
    await ana.do(lambda w: stationing.open_line(w, ANA))
    await ana.pass_time(36)
    await ended(ana, "no_answer")
    assert [one.state for one in await ana.all(Delivery, Delivery.kind == DeliveryKind.leg)] == [
        DeliveryState.abandoned]
    await ana.tell(await ana.own(LegStage.answered), await ana.own(LegStage.answered))
    await ended(ana, "no_answer")
    (order,) = await ana.all(Delivery, Delivery.kind == DeliveryKind.end_leg)
    assert order.order["carrier_id"] == (await ana.own(LegStage.answered)).carrier_id


async def test_a_lead_accepted_while_her_telephone_still_rings_waits_for_it(ana: Standing) -> None:
    await ana.do(lambda w: stationing.open_line(w, ANA))
    await ana.waits(tier=0)
    ring = await ana.round()
    await ana.do(lambda w: dispatch.accept(w, ring.id, ANA))
    await ana.carried()
    await ana.pass_time(1)
    assert (await ana.last(Call)).state is CallState.agent_leg
    await ana.tell(await ana.own(LegStage.answered))
    await ana.pass_time(1)
    assert (await ana.last(Call)).state is CallState.customer_leg
    assert await legs_to(ana, "agent") == ["client:ana"]


@pytest.mark.parametrize(("wish", "after", "outcome"), [
    (Wish.off, 0, "off"), (Wish.paused, 16 * 60, "paused"), (Wish.paused, 60, ""), (Wish.ready, 16 * 60, ""),
])
async def test_who_goes_off_or_pauses_for_long_leaves_the_line(
    ana: Standing, wish: Wish, after: int, outcome: str
) -> None:
    await ana.stands()
    await ana.do(lambda w: presence.set_wish(w, ANA, wish, by=EVA))
    await ana.do(stationing.close_unwanted)
    await ana.pass_time(after)
    await ana.do(stationing.close_unwanted)
    assert (await ana.station()).outcome == outcome


async def test_who_is_set_off_in_a_conversation_finishes_it_first(ana: Standing) -> None:
    await ana.stands()
    call = await ana.talks()
    await ana.do(lambda w: presence.set_wish(w, ANA, Wish.off, by=EVA))
    await ana.do(stationing.close_unwanted)
    assert (await ana.last(Call)).state is CallState.talking
    await ana.do(lambda w: calling.hang_up(w, call.id, ANA))
    await ana.do(stationing.close_unwanted)
    await ended(ana, "off")


async def test_whose_browser_is_gone_leaves_the_line(ana: Standing, clock: Clock) -> None:
    await ana.stands()
    clock.forward(46)
    await ana.do(stationing.close_unwanted)
    await ended(ana, "gone")


@pytest.mark.parametrize("silent_for", [None, 60])
async def test_who_presses_before_her_browser_was_heard_is_not_taken_for_gone(
    ana: Standing, silent_for: int | None
) -> None:
    async with ana.book.writing() as w:
        agent = vouched(await w.session.get(Agent, ANA))
        agent.heartbeat_at = None if silent_for is None else w.now - timedelta(seconds=silent_for)
    await ana.do(lambda w: stationing.open_line(w, ANA))
    await ana.do(stationing.close_unwanted)
    assert (await ana.station()).state is StationState.opening


async def test_a_pause_in_the_last_second_stops_the_call(ana: Standing) -> None:
    await ana.stands()
    await ana.waits()
    await ana.round()
    await ana.do(lambda w: presence.set_wish(w, ANA, Wish.paused))
    await ana.pass_time(5)
    assert not await ana.all(Call)
    assert ((await ana.last(Task)).state, await ana.loads()) == (TaskState.queued, (0, 0))


async def test_a_line_that_drops_in_the_last_second_stops_the_call(ana: Standing) -> None:
    await ana.stands()
    await ana.waits()
    await ana.round()
    await ana.tell(await ana.own(*GONE))
    await ana.pass_time(5)
    assert not await ana.all(Call)
    assert not (await ana.round()).preview, "then it rings as ever"


async def test_her_time_on_the_line_ends_after_the_conversation(ana: Standing, clock: Clock) -> None:
    await ana.stands()
    call = await ana.talks()
    await ana.pass_time(STANDS_AT_MOST.total_seconds())
    assert (await ana.last(Call)).state is CallState.talking
    await ana.do(lambda w: calling.hang_up(w, call.id, ANA))
    await ana.pass_time(30)
    await ended(ana, "time")


async def test_she_leaves_the_line_when_nobody_is_there(ana: Standing) -> None:
    await ana.stands()
    call = await ana.talks()
    with pytest.raises(Conflict):
        await ana.do(lambda w: stationing.close_line(w, ANA))
    await ana.do(lambda w: calling.hang_up(w, call.id, ANA))
    with pytest.raises(Conflict):
        await ana.do(lambda w: consulting.ask(w, call.id, ANA, EVA))
    await ana.do(lambda w: stationing.close_line(w, ANA))
    await ended(ana, "left")
    with pytest.raises(Conflict):
        await ana.do(lambda w: stationing.close_line(w, ANA))


@pytest.mark.parametrize("what", ["paused", "busy"])
async def test_only_who_is_ready_and_free_comes_on_the_line(ana: Standing, what: str) -> None:
    if what == "paused":
        await ana.do(lambda w: presence.set_wish(w, ANA, Wish.paused))
    else:
        await ana.waits()
        await ana.round()
    with pytest.raises(Conflict):
        await ana.do(lambda w: stationing.open_line(w, ANA))


async def eva_is_ready(ana: Standing) -> None:
    await ana.do(lambda w: presence.set_wish(w, EVA, Wish.ready))
    await ana.do(lambda w: presence.beat(w, [ANA, EVA]))


@pytest.mark.parametrize("how", ["complete", "hang_up", "drop"])
async def test_handed_over_she_leaves_her_room_to_the_two(ana: Standing, how: str) -> None:
    await ana.stands()
    call = await ana.talks()
    await eva_is_ready(ana)
    await ana.do(lambda w: consulting.ask(w, call.id, ANA, EVA))
    await ana.carried()
    await ana.tell(await ana.theirs(LegStage.answered, role="colleague"))
    colleague = await ana.leg("colleague")
    if how == "drop":
        await ana.tell(await ana.own(*GONE))
    else:
        verb = consulting.complete if how == "complete" else calling.hang_up
        await ana.do(lambda w: verb(w, call.id, ANA))
    await ended(ana, "completed" if how == "drop" else "handed_over")
    assert ((await ana.last(Call)).state, (await ana.last(Call)).agent_id) == (CallState.talking, EVA)
    assert await ana.loads() == (0, 1)
    await ana.carried()
    await ana.tell(await ana.own(*GONE))
    assert (await ana.last(Call)).state is CallState.talking
    await ana.tell(LegMoved(colleague.ref, f"id-{colleague.ref}", *GONE))
    assert (await ana.last(Call)).state is CallState.ended
    assert len(await ana.all(Delivery, Delivery.kind == DeliveryKind.end_room)) == 1, "the customer is hung up"


async def test_taken_back_she_goes_on_in_her_room(ana: Standing) -> None:
    await ana.stands()
    call = await ana.talks()
    await eva_is_ready(ana)
    await ana.do(lambda w: consulting.ask(w, call.id, ANA, EVA))
    await ana.carried()
    await ana.do(lambda w: consulting.take_back(w, call.id, ANA))
    assert (await ana.station()).state is StationState.standing
    assert await ana.loads() == (1, 0)


async def test_a_colleague_on_the_line_is_not_asked_but_handed_on_to(ana: Standing) -> None:
    await ana.stands()
    await eva_is_ready(ana)
    async with ana.book.writing() as w:
        await stationing.open_line(w, EVA)
    call = await ana.talks()
    with pytest.raises(Conflict, match="stays on the line"):
        await ana.do(lambda w: consulting.ask(w, call.id, ANA, EVA))
    await ana.do(lambda w: transferring.to_agent(w, call.task_id, ANA, EVA))
    assert (await ana.all(Station))[0].state is StationState.standing, "she stays on the line without the customer"
    assert await ana.loads() == (0, 0)


async def test_one_who_is_handed_on_leaves_the_room_before_the_next_comes(ana: Standing) -> None:
    await ana.stands()
    call = await ana.talks()
    await ana.do(lambda w: transferring.to_queue(w, call.task_id, ANA, 1))
    second = await ana.dialled("+12025550102")
    await ana.pass_time(1)
    assert (second.state, len(await legs_to(ana, "customer"))) == (CallState.agent_leg, 1)
    await ana.carried()
    await ana.pass_time(1)
    assert len(await legs_to(ana, "customer")) == 2


async def test_a_caller_who_waits_is_put_through_into_her_room_and_leaves_it_alone(ana: Standing) -> None:
    await ana.stands()
    call = await ana.talks()
    await ana.do(lambda w: transferring.to_queue(w, call.task_id, ANA, 1))
    await ana.carried()
    await ana.do(lambda w: presence.set_wish(w, ANA, Wish.off))
    await eva_is_ready(ana)
    async with ana.book.writing() as w:
        eva = await stationing.open_line(w, EVA)
    await ana.carried()
    await ana.tell(LegMoved(eva.ref, f"id-{eva.ref}", LegStage.answered))
    ring = await ana.round()
    assert not ring.preview, "he waits at the telephone"
    await ana.do(lambda w: dispatch.accept(w, ring.id, EVA))
    await Alarms(ana.book, ALARMS).sweep()
    put = await ana.last(Delivery, Delivery.kind == DeliveryKind.put_through)
    assert (put.order["room"], put.order["ends_room"]) == (eva.room, False)
    caller = put.order["carrier_id"]
    await ana.tell(RoomMoved(eva.room_ref, eva.room, RoomChange.joined, LegRole.customer, caller))
    assert (await ana.last(Call)).state is CallState.talking
    await ana.tell(RoomMoved(eva.room_ref, eva.room, RoomChange.left, LegRole.customer, caller))
    assert (await ana.last(Call)).state is CallState.ended
    assert (await ana.last(Station)).state is StationState.standing


async def test_what_was_not_heard_of_her_telephone_is_asked_for(ana: Standing, clock: Clock) -> None:
    """As after a death of the service while she stood on the line."""
    await ana.do(lambda w: stationing.open_line(w, ANA))
    await ana.carried()
    carrier, name = RecordingCarrier(), (await ana.own(LegStage.answered)).carrier_id
    carrier.legs[name] = LegFound(name, LegStage.answered)
    clock.forward(10)
    reconciler = Reconciler(ana.book, carrier)
    await reconciler.sweep()
    assert (await ana.station()).state is StationState.standing
    carrier.refusing["find_leg"] = [Refused("no such leg", permanent=True, code="20404")]
    await Reconciler(ana.book, carrier).sweep()
    await ended(ana, "failed")


async def test_a_customer_whose_leaving_was_not_heard_is_asked_for_before_the_next(
    ana: Standing, clock: Clock
) -> None:
    await ana.stands()
    call = await ana.dialled()
    await ana.carried()
    await ana.do(lambda w: calling.hang_up(w, call.id, ANA))
    await ana.carried()
    carrier, leg = RecordingCarrier(), await ana.leg()
    for one in (leg.carrier_id, (await ana.own(LegStage.answered)).carrier_id):
        carrier.legs[one] = LegFound(one, LegStage.answered)
    carrier.legs[leg.carrier_id] = LegFound(leg.carrier_id, LegStage.ended, LegOutcome.completed)
    clock.forward(10)
    await Reconciler(ana.book, carrier).sweep()
    assert (await ana.last(Leg)).ended_at is not None
    assert (await ana.station()).state is StationState.standing


async def test_what_rings_for_her_in_the_same_moment_as_she_leaves_is_one_or_the_other(ana: Standing) -> None:
    await ana.stands()
    await ana.waits(tier=0)
    ring = await ana.round()

    async def do(verb: Any) -> None:
        try:
            async with ana.book.writing() as w:
                await verb(w)
        except Conflict:
            pass

    await asyncio.gather(
        do(lambda w: dispatch.accept(w, ring.id, ANA)), do(lambda w: stationing.close_line(w, ANA)))
    await ana.pass_time(1)
    call, station = await ana.last(Call), await ana.station()
    assert (station.state is StationState.ended) == (call.station_id is None), "no call joins a line that is over"
