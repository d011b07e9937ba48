"""Asking a colleague first, through the real SDK and the phonebox: whom the customer hears, and who is on hold."""

from collections.abc import AsyncIterator

import pytest

from router.actions import calling, consulting
from router.alarms import Alarms
from router.app import ALARMS
from router.book import Book
from router.model.agents import Agent
from router.model.arrivals import Arrival, ArrivalState
from router.model.calls import Call, CallState, Leg
from router.model.consultations import Consultation, ConsultationState
from router.model.contacts import Contact
from router.model.tasks import Reservation, Task, TaskState
from tests.conftest import Clock, until
from tests.inbound import PATIENCE, House, running
from tests.web.test_transfers import another, in_a_call_that_came_in, in_a_call_we_placed

EVAS_PHONE = "+12025550177"
"""A telephone that a person answers; soft phones answer themselves."""


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with running(book) as here:
        yield here


async def asked(house: House, call: Call, eva: Agent) -> Consultation:
    async with house.book.writing() as w:
        return await consulting.ask(w, call.id, call.agent_id, eva.id)


async def joined(house: House) -> None:
    await house.until_row(Consultation, Consultation.state == ConsultationState.joined)


async def rings(house: House) -> None:
    async def ringing() -> bool:
        return any(leg["state"] == "ringing" for leg in (await house.phone(EVAS_PHONE))["legs"])

    await until(ringing, "the colleague's telephone to ring", PATIENCE)


async def in_the_room(house: House, call: Call, people: dict[str, bool]) -> None:
    """Until exactly these are in the room at the carrier, each on hold or not."""

    async def there() -> bool:
        found = await house.carrier.who_is_in(call.room)
        return sorted((str(one.role), one.on_hold) for one in found) == sorted(people.items())

    await until(there, f"{people} in the room", PATIENCE)


async def hangs_up(house: House, clock: Clock) -> None:
    """Ana's telephone; when nobody has said for a while that it was the customer, it was she."""
    await house.press("hangup", "client:ana")
    await house.until_row(Leg, Leg.role == "agent", Leg.ended_at.is_not(None))
    clock.forward(2)
    await Alarms(house.book, ALARMS).sweep()


BEGINS = pytest.mark.parametrize("begins", [in_a_call_that_came_in, in_a_call_we_placed])


@BEGINS
async def test_the_customer_hears_music_then_all_three_then_only_the_colleague(house: House, begins: object) -> None:
    call = await begins(house)  # type: ignore[operator]
    eva, before = await another(house), await house.one(Task)
    await asked(house, call, eva)
    await joined(house)
    await in_the_room(house, call, {"agent": False, "colleague": False, "customer": True})
    await house.check()
    async with house.book.writing() as w:
        await calling.hold(w, call.id, call.agent_id, False)
    await in_the_room(house, call, {"agent": False, "colleague": False, "customer": False})
    async with house.book.writing() as w:
        await consulting.complete(w, call.id, call.agent_id)
    await in_the_room(house, call, {"colleague": False, "customer": False})
    await house.check()
    now, task = await house.one(Call), await house.one(Task)
    assert (now.state, now.agent_id, now.room) == (CallState.talking, eva.id, call.room)
    assert (task.state, task.agent_id, task.rank) == (TaskState.engaged, eva.id, before.rank)
    (contact,) = await house.rows(Contact)
    assert contact.agent_id == eva.id
    (ana,) = await house.rows(Agent, Agent.id == call.agent_id)
    assert ana.load == 0
    assert len(await house.rows(Reservation)) == 1, "nobody was rung a second time"
    await house.hang_up(now)
    await house.silent()
    wrapping = await house.until_row(Task, Task.state == TaskState.wrapping)
    assert wrapping.agent_id == eva.id
    await house.check()


@BEGINS
async def test_a_colleague_who_does_not_answer_gives_the_customer_back(house: House, begins: object) -> None:
    call = await begins(house)  # type: ignore[operator]
    eva = await another(house, address=EVAS_PHONE)
    await asked(house, call, eva)
    await rings(house)
    await in_the_room(house, call, {"agent": False, "colleague": False, "customer": True})
    await house.press("decline", EVAS_PHONE)
    ended = await house.until_row(Consultation, Consultation.state == ConsultationState.ended)
    assert ended.outcome == "busy"
    await in_the_room(house, call, {"agent": False, "customer": False})
    (now,) = await house.rows(Agent, Agent.id == eva.id)
    assert now.load == 0
    assert (await house.one(Call)).agent_id == call.agent_id
    await house.check()


async def test_a_colleagues_telephone_that_nobody_picks_up_gives_the_customer_back(house: House) -> None:
    call = await in_a_call_we_placed(house)
    eva = await another(house, address=EVAS_PHONE)
    await asked(house, call, eva)
    await rings(house)
    async with house.book.writing() as w:
        await consulting.unanswered(w, 1)
    await house.silent(EVAS_PHONE)
    await in_the_room(house, call, {"agent": False, "customer": False})
    assert (await house.one(Consultation)).outcome == "no_answer"
    await house.check()


@BEGINS
async def test_the_customer_hangs_up_while_the_colleague_rings(house: House, begins: object) -> None:
    call = await begins(house)  # type: ignore[operator]
    eva = await another(house, address=EVAS_PHONE)
    await asked(house, call, eva)
    await rings(house)
    await house.press("hangup")
    await house.until_row(Task, Task.state == TaskState.wrapping)
    await house.silent(EVAS_PHONE)
    await house.silent()
    asking = await house.one(Consultation)
    assert (asking.state, asking.outcome) == (ConsultationState.ended, "call_ended")
    (now,) = await house.rows(Agent, Agent.id == eva.id)
    assert now.load == 0
    await house.check()


@BEGINS
async def test_who_asked_hangs_up_and_the_colleague_goes_on(house: House, clock: Clock, begins: object) -> None:
    call = await begins(house)  # type: ignore[operator]
    eva = await another(house)
    await asked(house, call, eva)
    await joined(house)
    await hangs_up(house, clock)
    await house.until_row(Consultation, Consultation.state == ConsultationState.completed)
    await in_the_room(house, call, {"colleague": False, "customer": False})
    await house.press("hangup")
    await house.until_row(Task, Task.state == TaskState.wrapping)
    assert (await house.one(Task)).agent_id == eva.id
    await house.check()


@BEGINS
async def test_who_asked_hangs_up_too_soon_and_the_customer_waits_for_the_colleague(
    house: House, clock: Clock, begins: object
) -> None:
    call = await begins(house)  # type: ignore[operator]
    eva = await another(house, address=EVAS_PHONE)
    await asked(house, call, eva)
    await rings(house)
    await hangs_up(house, clock)
    await house.hears("One moment, please. We are connecting you.")
    await house.silent(EVAS_PHONE)
    held = await house.ringing()
    assert held.agent_id == eva.id
    await house.accept()
    await rings(house)
    await house.press("answer", EVAS_PHONE)
    second = await house.until_row(Call, Call.state == CallState.talking)
    assert second.agent_id == eva.id
    await in_the_room(house, second, {"agent": False, "customer": False})
    assert (await house.one(Arrival)).state is ArrivalState.talking
    await house.check()


async def test_taken_back_and_asked_again(house: House) -> None:
    call = await in_a_call_that_came_in(house)
    eva = await another(house)
    for _ in range(2):
        await asked(house, call, eva)
        await joined(house)
        async with house.book.writing() as w:
            await consulting.take_back(w, call.id, call.agent_id)
        await in_the_room(house, call, {"agent": False, "customer": False})
    await house.check()
