"""Asking a colleague first: whoever presses, hangs up or is told late, the customer is with one agent at the end, and
the colleague's capacity is given back once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import select, update

from router.actions import calling, consulting, dispatch, presence, supervising, transferring
from router.alarms import Alarms
from router.app import ALARMS
from router.book import Book, Writing
from router.live import Hub
from router.model.agents import Agent, Wish
from router.model.arrivals import Arrival
from router.model.calls import Call, CallState, Leg
from router.model.campaigns import Queue
from router.model.consultations import Consultation, ConsultationState
from router.model.contacts import Contact
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.errors import Conflict
from router.model.facts import Fact
from router.model.tasks import Reservation, ReservationState, Task, TaskKind, TaskState
from router.model.vault import Vault
from router.outcomes import HOUSE, Performed, performed
from router.ports import LegMoved, LegOutcome, LegRole, LegStage, RoomChange, RoomMoved
from router.store.db import contended, make_engine
from tests import making
from tests.actions.telephones import Line, accepted
from tests.conftest import PATIENT, Clock
from tests.invariants import check, check_quiet

ANA, EVA = 1, 2
Verb = Callable[[Writing], Awaitable[object]]


class Talk:
    """Ana talks with a customer; Eva is free."""

    def __init__(self, line: Line) -> None:
        self.line, self.book = line, line.book

    async def one(self, noun: Any, key: int = 1) -> Any:
        return await self.line.row(noun, key)

    async def all(self, noun: Any, *where: Any) -> list[Any]:
        async with self.book.reading() as r:
            return list(await r.session.scalars(select(noun).where(*where).order_by(noun.id)))

    async def do(self, verb: Verb) -> None:
        async with self.book.writing() as w:
            await verb(w)
        await self.line.check()

    async def ask(self) -> None:
        await self.do(lambda w: consulting.ask(w, 1, ANA, EVA))

    async def leg(self) -> Leg:
        """The telephone of whoever was asked last."""
        consultations = await self.all(Consultation)
        found: Leg = await self.one(Leg, consultations[-1].leg_id)
        return found

    async def placed(self) -> None:
        leg = await self.leg()
        async with self.book.writing() as w:
            (delivery,) = await w.session.scalars(select(Delivery).where(Delivery.leg_id == leg.id))
            await w.session.execute(
                update(Delivery).where(Delivery.id == delivery.id)
                .values(state=DeliveryState.done, carrier_id=f"id-{leg.ref}"))
            await calling.leg_placed(w, delivery, f"id-{leg.ref}")
        await self.line.check()

    async def told(self, stage: LegStage, outcome: LegOutcome = LegOutcome.none) -> LegMoved:
        leg = await self.leg()
        return LegMoved(leg.ref, f"id-{leg.ref}", stage, outcome)

    async def hear(self, stage: LegStage, outcome: LegOutcome = LegOutcome.none) -> None:
        await self.line.tell(await self.told(stage, outcome))

    async def there(self) -> None:
        """Eva is asked, and in the room."""
        await self.ask()
        await self.placed()
        await self.hear(LegStage.answered)

    async def loads(self) -> tuple[int, int]:
        return (await self.one(Agent, ANA)).call_load, (await self.one(Agent, EVA)).call_load

    async def holds(self) -> list[bool]:
        """What was ordered of the customer's hold, in order."""
        return [one.order["on"] for one in await self.all(Delivery, Delivery.kind == DeliveryKind.hold)]

    async def hung_up(self) -> list[str]:
        return [one.order["carrier_id"] for one in await self.all(Delivery, Delivery.kind == DeliveryKind.end_leg)]

    async def with_ana(self, outcome: str) -> None:
        """Ana goes on with the customer, and Eva is free."""
        await self.line.check()
        asked, call = (await self.all(Consultation))[-1], await self.one(Call)
        assert (asked.state, asked.outcome) == (ConsultationState.ended, outcome)
        assert (call.state, call.agent_id, call.on_hold) == (CallState.talking, ANA, False)
        assert await self.loads() == (1, 0)
        assert (await self.one(Agent, EVA)).busy_since is None

    async def with_eva(self) -> None:
        """Eva has the customer, and Ana is free."""
        await self.line.check()
        asked, call, task = await self.one(Consultation), await self.one(Call), await self.one(Task)
        assert asked.state is ConsultationState.completed
        assert (call.state, call.agent_id, call.on_hold) == (CallState.talking, EVA, False)
        assert (task.state, task.agent_id) == (TaskState.engaged, EVA)
        assert await self.loads() == (0, 1)


@pytest.fixture
async def talk(book: Book) -> Talk:
    line = await accepted(book)
    await line.both_there()
    return Talk(line)


@pytest.fixture
async def twin(book: Book, database_url: str, clock: Clock, vault: Vault) -> Any:
    engine = make_engine(database_url, limits=PATIENT)
    yield Book(engine, Hub(), vault, book.public_url, clock=clock)
    await engine.dispose()


async def race(*verbs: tuple[Book, Verb]) -> list[bool]:
    """All at once, each again when another was in its way; which of them were not refused."""

    async def press(book: Book, verb: Verb) -> bool:
        for _ in range(5):
            try:
                async with book.writing() as w:
                    await verb(w)
                return True
            except Conflict:
                return False
            except Exception as error:
                if not contended(error):
                    raise
        raise AssertionError("in each other's way all the time")

    return await asyncio.gather(*(press(*one) for one in verbs))


# -- the straight ways -------------------------------------------------------------------------------------------------
async def test_who_is_asked_holds_a_call_and_the_customer_is_on_hold_meanwhile(talk: Talk) -> None:
    await talk.ask()
    assert await talk.loads() == (1, 1)
    assert (await talk.one(Call)).on_hold
    order = (await talk.all(Delivery, Delivery.kind == DeliveryKind.leg))[-1].order
    assert (order["role"], order["to"], order["ends_room"]) == ("colleague", "client:eva", False)
    async with talk.book.writing() as w:
        (queue,) = await w.session.scalars(select(Queue))
        await making.task(w, queue, await making.lead(w, queue, "+12025550109"))
    async with talk.book.writing() as w:
        assert await dispatch.run_round(w, 1) == 0, "nothing else is offered to her"


async def test_handed_over_the_task_keeps_its_age_and_everything_of_it_is_the_colleagues(talk: Talk) -> None:
    before = await talk.one(Task)
    await talk.there()
    await talk.do(lambda w: consulting.complete(w, 1, ANA))
    await talk.with_eva()
    after = await talk.one(Task)
    assert (after.rank, after.enqueued_at) == (before.rank, before.enqueued_at)
    assert (await talk.one(Contact)).agent_id == EVA
    assert await talk.hung_up() == ["id-agent"]
    assert await talk.holds() == [True, False]
    (told,) = await talk.all(Fact, Fact.kind == "consultation.completed")
    assert (told.agent_id, told.data["by"], told.data["task"]) == (EVA, ANA, 1)
    eva = await talk.one(Agent, EVA)
    assert (eva.taken, eva.focus) == (1, 1)
    await talk.line.tell(LegMoved((await talk.one(Leg, 1)).ref, "id-agent", LegStage.ended, LegOutcome.completed))
    await talk.with_eva()
    await talk.do(lambda w: calling.hang_up(w, 1, EVA))
    assert (await talk.one(Task)).state is TaskState.wrapping
    assert await talk.loads() == (0, 1)


async def test_who_takes_over_may_ask_somebody_in_turn(talk: Talk) -> None:
    await talk.there()
    await talk.do(lambda w: consulting.complete(w, 1, ANA))
    await talk.do(lambda w: consulting.ask(w, 1, EVA, ANA))
    await talk.placed()
    call = await talk.one(Call)
    leg = await talk.leg()
    await talk.line.tell(RoomMoved(call.room_ref, call.room, RoomChange.joined, LegRole.colleague, f"id-{leg.ref}"))
    await talk.do(lambda w: consulting.complete(w, 1, EVA))
    assert ((await talk.one(Call)).agent_id, await talk.loads()) == (ANA, (1, 0))


async def test_taken_back_the_customer_goes_on_with_who_had_him(talk: Talk) -> None:
    await talk.there()
    await talk.do(lambda w: consulting.take_back(w, 1, ANA))
    await talk.with_ana("taken_back")
    assert await talk.hung_up() == [f"id-{(await talk.leg()).ref}"]
    await talk.hear(LegStage.ended, LegOutcome.completed)
    await talk.with_ana("taken_back")


async def test_all_three_together_and_alone_again_and_handed_over_from_there(talk: Talk) -> None:
    await talk.there()
    await talk.do(lambda w: calling.hold(w, 1, ANA, False))
    assert not (await talk.one(Call)).on_hold
    await talk.do(lambda w: calling.hold(w, 1, ANA, True))
    await talk.do(lambda w: calling.hold(w, 1, ANA, False))
    await talk.do(lambda w: consulting.complete(w, 1, ANA))
    await talk.with_eva()
    assert await talk.holds() == [True, False, True, False]


async def test_the_customer_comes_off_hold_only_when_the_colleague_is_there_or_was_given_up(talk: Talk) -> None:
    await talk.ask()
    with pytest.raises(Conflict, match="still rings"):
        await talk.do(lambda w: calling.hold(w, 1, ANA, False))
    with pytest.raises(Conflict, match="not on the line"):
        await talk.do(lambda w: consulting.complete(w, 1, ANA))


# -- who does not come, or goes ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("outcome", [LegOutcome.no_answer, LegOutcome.busy, LegOutcome.failed])
async def test_a_colleague_who_is_not_reached_gives_the_customer_back(talk: Talk, outcome: LegOutcome) -> None:
    await talk.ask()
    await talk.placed()
    for _ in range(2):
        await talk.hear(LegStage.ended, outcome)
    await talk.with_ana(outcome.value)
    assert (await talk.one(Agent, EVA)).back_off_until is not None
    assert await talk.hung_up() == []
    await talk.hear(LegStage.answered)
    assert (await talk.one(Call)).agent_id == ANA


async def test_a_telephone_the_carrier_does_not_take_gives_the_customer_back(talk: Talk) -> None:
    await talk.ask()
    leg = await talk.leg()
    async with talk.book.writing() as w:
        (delivery,) = await w.session.scalars(select(Delivery).where(Delivery.leg_id == leg.id))
        await calling.leg_failed(w, delivery, "21211")
    await talk.with_ana("failed")


async def test_a_colleague_who_hangs_up_gives_the_customer_back(talk: Talk) -> None:
    await talk.there()
    await talk.hear(LegStage.ended, LegOutcome.completed)
    await talk.with_ana("left")


async def test_a_telephone_taken_back_because_the_room_is_over_says_nothing_of_the_colleague(talk: Talk) -> None:
    await talk.ask()
    await talk.hear(LegStage.ended, LegOutcome.canceled)
    await talk.with_ana("call_ended")
    assert (await talk.one(Agent, EVA)).back_off_until is None
    await talk.line.say("customer", LegStage.ended, LegOutcome.completed)
    assert (await talk.one(Task)).state is TaskState.wrapping
    assert (await talk.one(Consultation)).outcome == "call_ended"


async def test_a_colleague_says_no_at_the_desk_or_leaves_there(talk: Talk) -> None:
    await talk.ask()
    with pytest.raises(Conflict, match="is over"):
        await talk.do(lambda w: consulting.leave(w, 1, ANA))
    await talk.do(lambda w: consulting.leave(w, 1, EVA))
    await talk.with_ana("declined")
    assert (await talk.one(Agent, EVA)).back_off_until is None
    await talk.there()
    await talk.do(lambda w: consulting.leave(w, 2, EVA))
    await talk.with_ana("left")
    with pytest.raises(Conflict, match="is over"):
        await talk.do(lambda w: consulting.leave(w, 2, EVA))


async def test_a_colleague_who_does_not_come_in_time_is_given_up_by_the_server(talk: Talk, clock: Clock) -> None:
    await talk.ask()
    clock.forward(36)
    await Alarms(talk.book, ALARMS).sweep()
    await talk.with_ana("no_answer")
    (order,) = [one for one in await talk.all(Delivery, Delivery.kind == DeliveryKind.leg)
                if one.order["role"] == "colleague"]
    assert order.state is DeliveryState.abandoned, "never placed, it is not placed any more"


async def test_who_joined_in_time_is_not_given_up(talk: Talk, clock: Clock) -> None:
    await talk.there()
    clock.forward(600)
    await Alarms(talk.book, ALARMS).sweep()
    await talk.do(lambda w: consulting.unanswered(w, 1))
    assert (await talk.one(Consultation)).state is ConsultationState.joined


async def sure(talk: Talk, clock: Clock) -> None:
    """So long nobody has said that it was the customer who hung up."""
    await talk.line.check()
    clock.forward(2)
    await Alarms(talk.book, ALARMS).sweep()
    await talk.line.check()


async def test_who_asked_hangs_up_and_the_colleague_who_is_there_has_the_customer(talk: Talk, clock: Clock) -> None:
    await talk.there()
    await talk.line.say("agent", LegStage.ended, LegOutcome.completed)
    await sure(talk, clock)
    await talk.with_eva()
    assert await talk.hung_up() == [], "she has hung up herself"


async def test_who_asked_presses_hang_up_and_only_leaves(talk: Talk) -> None:
    await talk.there()
    await talk.do(lambda w: calling.hang_up(w, 1, ANA))
    await talk.with_eva()


@pytest.mark.parametrize("by", ["telephone", "desk"])
async def test_who_asked_is_gone_while_it_rings_and_the_customer_waits_for_the_colleague(
    talk: Talk, clock: Clock, by: str
) -> None:
    before = await talk.one(Task)
    await talk.ask()
    await talk.placed()
    if by == "desk":
        await talk.do(lambda w: calling.hang_up(w, 1, ANA))
    else:
        await talk.line.say("agent", LegStage.ended, LegOutcome.completed)
        await sure(talk, clock)
    task, arrival = await talk.one(Task), await talk.one(Arrival)
    assert (task.state, task.prefers, task.rank) == (TaskState.queued, EVA, before.rank)
    assert (arrival.task_id, await talk.loads()) == (1, (0, 0))
    assert await talk.hung_up() == [f"id-{(await talk.leg()).ref}"]
    async with talk.book.writing() as w:
        assert await dispatch.run_round(w, 1) == 1
        (held,) = await w.session.scalars(select(Reservation).where(Reservation.state == ReservationState.pending))
    assert held.agent_id == EVA


@pytest.mark.parametrize("there", [False, True])
async def test_the_end_of_the_agents_line_told_first_does_not_hide_that_the_customer_hung_up(
    talk: Talk, clock: Clock, there: bool
) -> None:
    """His leaving ends the room, and with it her line."""
    await (talk.there() if there else talk.ask())
    await talk.line.say("agent", LegStage.ended, LegOutcome.completed)
    clock.forward(1)
    await Alarms(talk.book, ALARMS).sweep()
    await talk.line.say("customer", LegStage.ended, LegOutcome.completed)
    await sure(talk, clock)
    asked, task = await talk.one(Consultation), await talk.one(Task)
    assert (asked.outcome, task.state, task.agent_id) == ("call_ended", TaskState.wrapping, ANA)
    assert await talk.loads() == (1, 0)


async def test_both_agents_hang_up_and_the_call_is_over(talk: Talk, clock: Clock) -> None:
    await talk.there()
    await talk.line.say("agent", LegStage.ended, LegOutcome.completed)
    await talk.hear(LegStage.ended, LegOutcome.completed)
    await sure(talk, clock)
    assert ((await talk.one(Task)).state, await talk.loads()) == (TaskState.wrapping, (1, 0))


async def test_who_hung_up_after_handing_over_changes_nothing(talk: Talk, clock: Clock) -> None:
    await talk.there()
    await talk.line.say("agent", LegStage.ended, LegOutcome.completed)
    await talk.do(lambda w: consulting.complete(w, 1, ANA))
    await sure(talk, clock)
    await talk.with_eva()


@pytest.mark.parametrize("there", [False, True])
async def test_the_customer_hangs_up_and_everything_is_over(talk: Talk, there: bool) -> None:
    await (talk.there() if there else talk.ask())
    await talk.line.say("customer", LegStage.ended, LegOutcome.completed)
    asked, task = await talk.one(Consultation), await talk.one(Task)
    assert (asked.state, asked.outcome) == (ConsultationState.ended, "call_ended")
    assert (task.state, task.agent_id, await talk.loads()) == (TaskState.wrapping, ANA, (1, 0))
    if there:
        assert await talk.hung_up() == [f"id-{(await talk.leg()).ref}"]


async def test_the_room_ends_and_so_does_the_telephone_that_rings(talk: Talk) -> None:
    await talk.ask()
    await talk.placed()
    await talk.line.tell(await talk.line.room(RoomChange.ended))
    assert await talk.loads() == (1, 0)
    assert await talk.hung_up() == [f"id-{(await talk.leg()).ref}"]


# -- late, early and lost ----------------------------------------------------------------------------------------------
async def test_a_colleague_who_answers_after_he_was_taken_back_is_hung_up_once(talk: Talk) -> None:
    await talk.ask()
    leg = await talk.leg()
    async with talk.book.writing() as w:  # the order is out; the carrier has not answered
        await w.session.execute(
            update(Delivery).where(Delivery.leg_id == leg.id).values(state=DeliveryState.started))
    await talk.do(lambda w: consulting.take_back(w, 1, ANA))
    assert await talk.hung_up() == []
    await talk.hear(LegStage.ringing)
    await talk.hear(LegStage.answered)
    await talk.placed()
    call = await talk.one(Call)
    await talk.line.tell(RoomMoved(call.room_ref, call.room, RoomChange.joined, LegRole.colleague, f"id-{leg.ref}"))
    await talk.with_ana("taken_back")
    assert await talk.hung_up() == [f"id-{leg.ref}"]


async def test_the_carriers_answer_after_taking_back_hangs_up(talk: Talk) -> None:
    await talk.ask()
    leg = await talk.leg()
    await talk.do(lambda w: consulting.take_back(w, 1, ANA))
    await talk.placed()
    assert await talk.hung_up() == [f"id-{leg.ref}"]


async def test_of_a_second_colleague_the_room_tells_before_the_carrier_answers(talk: Talk) -> None:
    """The first one's telephone never had a name at the carrier: it must not take the second's for its own."""
    await talk.ask()
    await talk.do(lambda w: consulting.take_back(w, 1, ANA))
    await talk.ask()
    call, leg = await talk.one(Call), await talk.leg()
    await talk.line.tell(RoomMoved(call.room_ref, call.room, RoomChange.joined, LegRole.colleague, f"id-{leg.ref}"))
    assert (await talk.one(Consultation, 2)).state is ConsultationState.joined
    assert await talk.hung_up() == []


async def test_the_end_before_the_beginning_ends_it(talk: Talk) -> None:
    await talk.ask()
    await talk.hear(LegStage.ended, LegOutcome.completed)
    await talk.with_ana("left")
    await talk.hear(LegStage.answered)
    await talk.placed()
    await talk.with_ana("left")


async def test_orders_to_hold_that_pass_each_other_end_as_was_wanted_last(talk: Talk) -> None:
    await talk.ask()
    await talk.do(lambda w: consulting.take_back(w, 1, ANA))
    on, off = await talk.all(Delivery, Delivery.kind == DeliveryKind.hold)
    for late in (off, on):  # carried out in this order
        async with talk.book.writing() as w:
            await w.session.execute(
                update(Delivery).where(Delivery.id == late.id).values(state=DeliveryState.started))
            await performed(w, HOUSE, late, Performed())
    assert await talk.holds() == [True, False, False]


# -- races -------------------------------------------------------------------------------------------------------------
async def test_pressed_twice_one_colleague_is_asked_once(talk: Talk, twin: Book) -> None:
    ask: Verb = lambda w: consulting.ask(w, 1, ANA, EVA)  # noqa: E731
    assert sorted(await race((talk.book, ask), (twin, ask))) == [False, True]
    await talk.line.check()
    assert await talk.loads() == (1, 1)


async def test_two_who_ask_the_same_colleague_at_once_get_him_once(talk: Talk, twin: Book) -> None:
    other = await _another_call(talk)
    won = await race(
        (talk.book, lambda w: consulting.ask(w, 1, ANA, EVA)),
        (twin, lambda w: consulting.ask(w, other.id, other.agent_id, EVA)),
    )
    assert sorted(won) == [False, True]
    await talk.line.check()
    assert (await talk.one(Agent, EVA)).call_load == 1


async def _another_call(talk: Talk) -> Call:
    async with talk.book.writing() as w:
        (queue,) = await w.session.scalars(select(Queue))
        await presence.set_wish(w, EVA, Wish.paused)
        iva = await making.agent(w, "iva")
        await making.task(w, queue, await making.lead(w, queue, "+12025550109"))
        await dispatch.run_round(w, 1)
        (held,) = await w.session.scalars(select(Reservation).where(Reservation.state == ReservationState.pending))
        call = await dispatch.accept(w, held.id, iva.id)
        assert call is not None
        await presence.set_wish(w, EVA, Wish.ready)
    line = Line(talk.book, call.task_id, iva.id, call.id)
    async with talk.book.writing() as w:
        for leg in await w.session.scalars(select(Leg).where(Leg.call_id == call.id)):
            await calling.on_event(w, LegMoved(leg.ref, f"other-{leg.role}", LegStage.answered))
    async with talk.book.writing() as w:
        for leg in await w.session.scalars(select(Leg).where(Leg.call_id == call.id, Leg.role == "customer")):
            await calling.on_event(w, LegMoved(leg.ref, f"other-{leg.role}", LegStage.answered))
    await line.check()
    return await line.call()


def _verbs(answered: LegMoved, gone: LegMoved, asker: LegMoved, customer: LegMoved) -> dict[str, Verb]:
    return {
        "complete": lambda w: consulting.complete(w, 1, ANA),
        "take back": lambda w: consulting.take_back(w, 1, ANA),
        "leave": lambda w: consulting.leave(w, 1, EVA),
        "hang up": lambda w: calling.hang_up(w, 1, ANA),
        "together": lambda w: calling.hold(w, 1, ANA, False),
        "in time": lambda w: consulting.unanswered(w, 1),
        "hand on": lambda w: transferring.to_agent(w, 1, ANA, EVA),
        "answered": lambda w: calling.on_event(w, answered),
        "colleague gone": lambda w: calling.on_event(w, gone),
        "asker gone": lambda w: calling.on_event(w, asker),
        "customer gone": lambda w: calling.on_event(w, customer),
    }


_PAIRS = [
    ("complete", "take back"), ("complete", "leave"), ("complete", "customer gone"), ("complete", "asker gone"),
    ("complete", "colleague gone"), ("complete", "complete"), ("take back", "take back"), ("take back", "leave"),
    ("take back", "colleague gone"), ("take back", "customer gone"), ("take back", "asker gone"),
    ("colleague gone", "asker gone"), ("colleague gone", "customer gone"), ("asker gone", "customer gone"),
    ("hang up", "customer gone"), ("together", "complete"), ("together", "colleague gone"), ("hand on", "complete"),
]
_RINGING = [
    ("take back", "answered"), ("in time", "answered"), ("in time", "take back"), ("customer gone", "answered"),
    ("asker gone", "answered"), ("asker gone", "in time"), ("hang up", "customer gone"), ("leave", "answered"),
    ("hand on", "take back"), ("colleague gone", "in time"),
]


@pytest.mark.parametrize(("there", "one", "other"), [
    *((True, *pair) for pair in _PAIRS), *((False, *pair) for pair in _RINGING)])
async def test_of_two_at_once_one_wins_and_nobody_is_lost(
    talk: Talk, twin: Book, clock: Clock, there: bool, one: str, other: str
) -> None:
    if there:
        await talk.there()
    else:
        await talk.ask()
        await talk.placed()
    verbs = _verbs(
        await talk.told(LegStage.answered), await talk.told(LegStage.ended, LegOutcome.completed),
        await talk.line.event("agent", LegStage.ended, LegOutcome.completed),
        await talk.line.event("customer", LegStage.ended, LegOutcome.completed),
    )
    assert any(await race((talk.book, verbs[one]), (twin, verbs[other])))
    await sure(talk, clock)
    call, task = await talk.one(Call), await talk.one(Task)
    if call.state is CallState.talking and (await talk.one(Consultation)).state.final:
        assert await talk.loads() == ((1, 0) if task.agent_id == ANA else (0, 1))
        assert not call.on_hold
    if task.state is TaskState.queued:
        assert await talk.loads() == (0, 0)
    canceled = {leg.carrier_id for leg in await talk.all(Leg) if leg.ended_at and leg.outcome == "canceled"}
    assert canceled <= set(await talk.hung_up())


# -- who may be asked --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("colleague", "says"),
    [({"wish": Wish.paused}, "not free"), ({"pool": 2}, "not in your line"), ({"heartbeat_at": None}, "not free"),
     ({"call_capacity": 0}, "not free"), ({"most_a_day": 1, "taken": 1}, "not free")],
)
async def test_nobody_is_asked_who_cannot_take_the_person(
    talk: Talk, clock: Clock, colleague: dict[str, Any], says: str
) -> None:
    if "taken" in colleague:
        colleague["day_ends"] = clock.now.replace(hour=23)
    async with talk.book.writing() as w:
        await w.session.execute(update(Agent).where(Agent.id == EVA).values(**colleague))
    with pytest.raises(Conflict, match=says):
        await talk.ask()
    for nobody in (ANA, 99):
        with pytest.raises(Conflict, match="not in your line"):
            await talk.do(lambda w, nobody=nobody: consulting.ask(w, 1, ANA, nobody))  # type: ignore[misc]
    assert not (await talk.one(Call)).on_hold


async def test_nobody_is_asked_at_whom_something_rings(talk: Talk) -> None:
    async with talk.book.writing() as w:
        (queue,) = await w.session.scalars(select(Queue))
        await making.task(w, queue, await making.lead(w, queue, "+12025550109"), kind=TaskKind.chat)
        assert await dispatch.run_round(w, 1) == 1
    with pytest.raises(Conflict, match="not free"):
        await talk.ask()


async def test_only_who_has_the_call_asks_completes_or_takes_back(talk: Talk) -> None:
    with pytest.raises(Conflict, match="somebody else has it"):
        await talk.do(lambda w: consulting.ask(w, 1, EVA, ANA))
    with pytest.raises(Conflict, match="somebody else has it"):
        await talk.do(lambda w: consulting.ask(w, 99, ANA, EVA))
    await talk.there()
    for verb in (consulting.complete, consulting.take_back):
        with pytest.raises(Conflict, match="somebody else has it"):
            await talk.do(lambda w, verb=verb: verb(w, 1, EVA))  # type: ignore[misc]
    await talk.do(lambda w: consulting.take_back(w, 1, ANA))
    with pytest.raises(Conflict, match="Nobody is being asked"):
        await talk.do(lambda w: consulting.take_back(w, 1, ANA))


async def test_a_supervisor_moves_nothing_while_a_colleague_is_asked(talk: Talk) -> None:
    await talk.there()
    with pytest.raises(Conflict):
        await talk.do(lambda w: supervising.give(w, 1, EVA, EVA))
    await talk.do(lambda w: presence.set_wish(w, EVA, Wish.off, by=ANA))
    await talk.do(lambda w: consulting.complete(w, 1, ANA))
    await talk.with_eva()


async def test_who_was_asked_keeps_his_turn(talk: Talk, clock: Clock) -> None:
    idle = clock.now - (await talk.one(Agent, EVA)).idle_since
    await talk.ask()
    clock.forward(10)
    await talk.do(lambda w: consulting.take_back(w, 1, ANA))
    eva = await talk.one(Agent, EVA)
    assert (clock.now - eva.idle_since, eva.turn_kept_at) == (idle, None)
    async with talk.book.reading() as r:
        await check(r.session)
        await check_quiet(r.session, r.now)
