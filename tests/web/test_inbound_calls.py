"""Calls that come in, through the real SDK and the phonebox's real webhooks."""

from collections.abc import AsyncIterator

import pytest

from router.actions import calling
from router.book import Book
from router.model.agents import Agent
from router.model.arrivals import Arrival, ArrivalState
from router.model.attachments import Attachment, AttachmentState
from router.model.calls import Call, CallState, Leg
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.leads import Intent, Lead
from router.model.tasks import Reservation, ReservationState, Task, TaskState
from router.ports import LegMoved, LegOutcome, LegStage
from tests import making
from tests.conftest import Clock, until
from tests.inbound import CUSTOMER, OURS, PATIENCE, House, running, staffed

CLOSED = {"mon": [["02:00", "03:00"]], "tue": [["09:00", "20:00"]]}


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with running(book) as here:
        yield here


async def test_a_caller_is_answered_by_an_agent_and_the_two_talk(book: Book, house: House) -> None:
    await staffed(book)
    await house.call()
    await house.hears("Welcome to Luz Clara.")
    call = await house.accept()
    await house.until_row(Call, Call.state == CallState.talking)
    await house.does("room")
    assert (await house.one(Task)).state is TaskState.engaged
    assert (await house.one(Arrival)).state is ArrivalState.talking
    lead = await house.one(Lead)
    assert (lead.intent, lead.source["dialled"]) == (Intent.inbound_call, OURS)
    dialled = [each for each in await house.rows(Delivery) if each.to_customer]
    assert dialled == []  # nobody's telephone was rung
    await house.check()
    await house.hang_up(call)
    await house.silent()
    assert (await house.one(Task)).state is TaskState.wrapping
    await house.until_row(Arrival, Arrival.state == ArrivalState.ended)
    assert house.box.log.read()
    await house.check()


async def test_the_caller_hangs_up_a_talk(book: Book, house: House) -> None:
    await staffed(book)
    await house.call()
    await house.ringing()
    await house.accept()
    await house.until_row(Call, Call.state == CallState.talking)
    await house.press("hangup")
    await house.until_row(Task, Task.state == TaskState.wrapping)
    await house.until_row(Arrival, Arrival.state == ArrivalState.ended)
    await house.check()


async def test_who_hangs_up_while_it_rings_at_the_agent_is_abandoned_and_the_agent_is_free(
    book: Book, house: House
) -> None:
    await staffed(book)
    await house.call()
    held = await house.ringing()
    await house.press("hangup")
    await house.until_row(Task, Task.state == TaskState.abandoned)
    (over,) = await house.rows(Reservation, Reservation.id == held.id)
    assert over.state is ReservationState.canceled
    assert (await house.one(Agent)).load == 0
    assert (await house.one(Arrival)).state is ArrivalState.left
    assert len(await house.facts("task.abandoned")) == 1  # the wallboard's "left before"
    await house.check()


async def test_who_hangs_up_while_the_agent_is_being_connected_is_abandoned(book: Book, clock: Clock) -> None:
    async with running(book, soft_seconds=3600) as house:
        await staffed(book)
        await house.call()
        await house.accept()
        await house.until_row(Leg, Leg.carrier_id != "")
        await house.press("hangup")
        await house.until_row(Task, Task.state == TaskState.abandoned)
        assert (await house.one(Call)).outcome == "caller_left"
        assert (await house.one(Agent)).load == 0
        await house.check()


async def test_who_waits_hears_his_place_and_an_honest_wait_again_and_again(
    book: Book, house: House, clock: Clock
) -> None:
    await staffed(book, handle_seconds=300)
    await house.call(phone="+12025550156")
    await house.ringing()
    await house.accept()
    await house.until_row(Call, Call.state == CallState.talking)
    await house.call()
    said = await house.hears("You are the next in line.")
    assert "Your wait is about 5 minutes." in said
    assert "Press 1" in said
    await house.call(phone="+12025550157")
    assert "You are number 2 in line." in await house.hears("number 2", "+12025550157")
    before = (await house.rows(Arrival, Arrival.caller == CUSTOMER))[0].heard_at

    async def heard_again() -> bool:
        clock.forward(0.1)
        return bool((await house.rows(Arrival, Arrival.caller == CUSTOMER))[0].heard_at > before)

    await until(heard_again, "the place to be told again", PATIENCE)


async def test_nobody_at_his_desk_is_no_promise_of_a_wait(book: Book, house: House) -> None:
    await staffed(book, agent=False)
    await house.call()
    said = await house.hears("You are the next in line.")
    assert "wait is about" not in said


async def test_one_means_called_back_with_the_place_kept(book: Book, house: House, clock: Clock) -> None:
    await staffed(book, agent=False)
    await house.call()
    await house.hears("Press 1")
    rank = (await house.one(Task)).rank
    await house.press("keys", keys="1")
    await house.silent()
    assert (await house.one(Arrival)).state is ArrivalState.callback
    task = await house.one(Task)
    assert (task.state, task.rank) == (TaskState.queued, rank)
    async with book.writing() as w:
        await making.agent(w)
        w.hint("dispatch")
    await house.accept()
    leg = await house.until_row(Leg, Leg.role == "customer", Leg.carrier_id != "")
    assert not leg.came_in
    await until(lambda: _rings(house), "the telephone to ring", PATIENCE)
    await house.press("answer")
    await house.until_row(Call, Call.state == CallState.talking)
    (dialled,) = [each for each in await house.rows(Delivery) if each.to_customer]
    assert dialled.attempt_id is not None
    await house.check()


async def _rings(house: House) -> bool:
    return any(leg["state"] == "ringing" for leg in (await house.phone())["legs"])


async def test_who_hides_his_number_waits_and_is_not_offered_a_call_back(book: Book, house: House) -> None:
    await staffed(book)
    await house.call(withheld="yes")
    said = await house.hears("Welcome")
    assert "Press 1" not in said
    await house.press("keys", keys="1")
    assert (await house.one(Arrival)).caller == ""
    await house.accept()
    await house.until_row(Call, Call.state == CallState.talking)
    await house.check()


async def test_outside_hours_he_leaves_a_message_and_is_called_when_we_open(book: Book, house: House) -> None:
    await staffed(book, hours=CLOSED)
    await house.call()
    await house.does("record")
    await house.press("keys", keys="#")
    await house.silent()
    kept = await house.until_row(Attachment, Attachment.state == AttachmentState.kept)
    assert (kept.media_type, kept.kind) == ("audio/x-wav", "voicemail")
    task, lead = await house.one(Task), await house.one(Lead)
    assert task.state is TaskState.scheduled
    assert lead.claims["voicemail"]["url"] == kept.path
    assert (await house.one(Arrival)).state is ArrivalState.ended
    async with house.person.get(f"{house.url}{kept.path}") as response:
        assert response.status == 401
    await house.check()


async def test_an_unknown_number_of_ours_is_busy_and_noted(book: Book, house: House) -> None:
    await staffed(book)
    await house.call(to="+12025550199")
    await house.silent()
    arrival = await house.one(Arrival)
    assert (arrival.state, arrival.reason, arrival.dialled) == (ArrivalState.refused, "unknown_number", "+12025550199")
    assert await house.rows(Lead) == []


async def test_webhooks_told_twice_and_late_change_nothing(book: Book, house: House) -> None:
    await staffed(book)
    call = {"CallSid": "CA" + "a" * 32, "From": CUSTOMER, "To": OURS, "CallStatus": "ringing"}
    answers = [await house.post("/hooks/carrier/voice", call) for _ in range(3)]
    assert {status for status, _ in answers} == {200}
    assert "Welcome" in answers[0][1]
    assert [len(await house.rows(noun)) for noun in (Arrival, Lead, Task)] == [1, 1, 1]
    ref = (await house.one(Arrival)).ref
    ended = {**call, "CallStatus": "completed", "SequenceNumber": "0", "CallbackSource": "call-progress-events"}
    for _ in range(2):
        assert (await house.post("/hooks/carrier/caller", ended))[0] == 204
    await house.until_row(Task, Task.state == TaskState.abandoned)
    late = await house.post(f"/hooks/carrier/turn?ref={ref}", {**call, "CallStatus": "in-progress", "Digits": "1"})
    assert "<Hangup" in late[1]
    assert (await house.one(Task)).state is TaskState.abandoned
    await house.check()


async def test_the_end_told_before_the_beginning_is_never_answered(book: Book, house: House) -> None:
    await staffed(book)
    call = {"CallSid": "CA" + "b" * 32, "From": CUSTOMER, "To": OURS}
    await house.post("/hooks/carrier/caller", {**call, "CallStatus": "completed"})
    await house.until_row(Arrival, Arrival.state == ArrivalState.left)
    status, answer = await house.post("/hooks/carrier/voice", {**call, "CallStatus": "ringing"})
    assert (status, "<Hangup" in answer) == (200, True)
    assert await house.rows(Task) == []


async def test_a_stranger_is_not_answered_and_nonsense_is_refused(book: Book, house: House) -> None:
    await staffed(book)
    async with house.person.post(f"{house.url}/hooks/carrier/voice", data={"CallSid": "CA" + "c" * 32}) as response:
        assert response.status == 403
    assert (await house.post("/hooks/carrier/voice", {"CallSid": "x"}))[0] == 400
    assert (await house.post("/hooks/carrier/turn?ref=nobody", {"CallSid": "CA" + "c" * 32}))[0] == 200


async def test_a_caller_whose_agent_is_lost_before_they_met_waits_on_for_another(book: Book, house: House) -> None:
    await staffed(book)
    await house.call()
    await house.ringing()
    sid = (await house.one(Arrival)).carrier_id
    # The carrier takes its time to put him through; meanwhile the agent's line breaks.
    late = {"kind": "delay", "method": "POST", "path": f"/Calls/{sid}", "seconds": 3600, "processed": False}
    house.box.faults.set({"requests": [late]})
    await house.accept()
    await house.until_row(Leg, Leg.role == "customer")
    (agent,) = await house.rows(Leg, Leg.role == "agent")
    async with book.writing() as w:
        await calling.on_event(w, LegMoved(agent.ref, agent.carrier_id, LegStage.ended, LegOutcome.failed))
    assert (await house.one(Task)).state is TaskState.queued
    assert (await house.one(Arrival)).state is ArrivalState.waiting
    await house.check()
    async with book.writing() as w:
        await making.agent(w, "eva")
        w.hint("dispatch")
    await house.accept()
    await house.until_row(Call, Call.state == CallState.talking)
    await house.check()


async def test_a_hangup_nobody_told_of_is_asked_about(book: Book, house: House, clock: Clock) -> None:
    await staffed(book, agent=False)
    house.box.voice_status_url = None
    await house.call()
    await house.hears("next in line")
    await house.press("hangup")
    await house.silent()
    clock.forward(120)
    await house.until_row(Task, Task.state == TaskState.abandoned)
    assert (await house.one(Arrival)).state is ArrivalState.left


async def test_putting_through_uncertainly_is_looked_for_and_not_done_again(
    book: Book, house: House, clock: Clock
) -> None:
    await staffed(book)
    await house.call()
    await house.ringing()
    await house.hears("")
    sid = (await house.one(Arrival)).carrier_id
    house.box.faults.set({"requests": [{"kind": "drop", "method": "POST", "path": f"/Calls/{sid}"}]})
    await house.accept()
    await house.until_row(Call, Call.state == CallState.talking)
    await house.until_row(
        Delivery, Delivery.kind == DeliveryKind.put_through, Delivery.state == DeliveryState.unknown
    )
    clock.forward(3)
    await house.until_row(Delivery, Delivery.kind == DeliveryKind.put_through, Delivery.carrier_id == sid)
    asked = [each for each in house.box.log.read() if each["kind"] == "rest" and each["path"].endswith(f"{sid}.json")]
    assert len([each for each in asked if each["method"] == "POST"]) == 1
    await house.check()


async def test_who_waited_in_vain_and_hangs_up_is_called_back_with_his_old_age(
    book: Book, house: House, clock: Clock
) -> None:
    await staffed(book, agent=False)
    await house.call()
    await house.hears("You are the next in line.")
    first = await house.one(Task)
    clock.forward(7)
    await house.press("hangup")
    again = await house.until_row(Task, Task.state == TaskState.queued, Task.id != first.id)
    assert (again.continues, again.rank, again.contact_id) == (first.id, first.rank, first.contact_id)
    assert (await house.one(Task, Task.id == first.id)).state is TaskState.abandoned
    await house.check()
    await house.call()
    await house.hears("You are the next in line.")
    assert (await house.rows(Arrival))[-1].task_id == again.id, "he calls again: that task is served on the line"
