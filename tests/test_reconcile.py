"""What the carrier told a house that was down is asked for afterwards."""

from router.book import Book
from router.model.calls import CallState
from router.model.tasks import TaskState
from router.ports import LegFound, LegOutcome, LegStage, Refused
from router.reconcile import Reconciler
from tests.actions.telephones import accepted
from tests.conftest import Clock
from tests.outside import RecordingCarrier


async def test_an_agent_who_picked_up_while_nobody_listened_is_found_in_the_room(book: Book, clock: Clock) -> None:
    line = await accepted(book)
    await line.place("agent")
    carrier = RecordingCarrier()
    leg = await line.leg("agent")
    assert leg is not None
    carrier.legs[leg.carrier_id] = LegFound(leg.carrier_id, LegStage.answered)
    clock.forward(10)
    await Reconciler(book, carrier).sweep()
    assert (await line.call()).state is CallState.customer_leg


async def test_a_conversation_whose_end_was_not_heard_is_wrapped_up(book: Book, clock: Clock) -> None:
    line = await accepted(book)
    await line.both_there()
    carrier = RecordingCarrier()
    leg = await line.leg("customer")
    assert leg is not None
    carrier.legs[leg.carrier_id] = LegFound(leg.carrier_id, LegStage.ended, LegOutcome.completed)
    clock.forward(60)
    await Reconciler(book, carrier).sweep()
    assert (await line.call()).state is CallState.ended
    assert (await line.task()).state is TaskState.wrapping


async def test_a_leg_the_carrier_knows_nothing_of_has_ended(book: Book, clock: Clock) -> None:
    line = await accepted(book)
    await line.place("agent")
    carrier = RecordingCarrier()
    carrier.refusing["find_leg"] = [Refused("no such leg", permanent=True, code="20404")]
    clock.forward(10)
    await Reconciler(book, carrier).sweep()
    assert (await line.task()).state is TaskState.queued


async def test_a_carrier_that_does_not_answer_changes_nothing_and_is_asked_later(book: Book, clock: Clock) -> None:
    line = await accepted(book)
    await line.place("agent")
    carrier = RecordingCarrier()
    carrier.refusing["find_leg"] = [Refused("busy", permanent=False)]
    clock.forward(10)
    reconciler = Reconciler(book, carrier)
    assert [await reconciler.sweep(), await reconciler.sweep()] == [1, 0]
    assert (await line.call()).state is CallState.agent_leg
