"""The courier, against a carrier that writes down all it did: nothing twice, nothing lost, nothing repeated."""

import asyncio
import logging
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from router.actions.talking import TEXTS
from router.book import Book
from router.courier import AT_ONCE, Courier
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.facts import Fact
from router.model.quotes import Quote
from router.model.signings import Signing, SigningState
from router.model.vault import Vault, new_token
from router.outcomes import Story
from router.ports import LegRole, Refused, Uncertain
from router.unknowns import Unknowns
from tests import closing
from tests.conftest import Clock
from tests.outside import LEG, RecordingCarrier, RecordingTrust, Told

PHONE = "+12025550101"
BUSY = Refused("the queue is full", permanent=False, code="30001")
NO = Refused("no such number", permanent=True, code="21211")
SILENCE = Uncertain("no answer")


@pytest.fixture
def carrier() -> RecordingCarrier:
    return RecordingCarrier()


@pytest.fixture
def trust() -> RecordingTrust:
    return RecordingTrust()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def courier(book: Book, carrier: RecordingCarrier, trust: RecordingTrust, told: Told) -> Courier:
    return Courier(book, carrier, trust, "one", story=Story(told, told, told))


@pytest.fixture
def unknowns(book: Book, carrier: RecordingCarrier, told: Told) -> Unknowns:
    return Unknowns(book, carrier, story=Story(told, told, told))


async def queue(book: Book, kind: DeliveryKind, order: dict[str, Any], **values: Any) -> int:
    async with book.writing() as w:
        due_at: datetime = values.pop("due_at", w.now)
        made = Delivery(
            kind=kind, ref=new_token(), dedupe_key=new_token(), to_customer=False, order=order, due_at=due_at,
            created_at=w.now, **values,
        )
        w.session.add(made)
        await w.session.flush()
        return made.id


async def message(book: Book, to: str = PHONE, text: str = "Hola", **values: Any) -> int:
    sealed = book.vault.seal(TEXTS, text.encode())
    return await queue(book, DeliveryKind.message, {"to": to, "sender": "+34910000000"}, sealed_text=sealed, **values)


async def leg(book: Book, **order: Any) -> int:
    return await queue(book, DeliveryKind.leg, {**LEG, **order})


async def row(book: Book, delivery_id: int) -> Delivery:
    async with book.reading() as r:
        found = await r.session.get(Delivery, delivery_id)
    assert found is not None
    return found


async def all_of(book: Book) -> list[Delivery]:
    async with book.reading() as r:
        return list(await r.session.scalars(select(Delivery).order_by(Delivery.id)))


async def moves(book: Book, delivery_id: int) -> list[str]:
    async with book.reading() as r:
        return list(await r.session.scalars(
            select(Fact.kind).where(Fact.subject_id == delivery_id, Fact.kind.like("delivery.%")).order_by(Fact.id)
        ))


async def test_two_couriers_at_once_carry_out_fifty_deliveries_once_each(
    book: Book, carrier: RecordingCarrier, trust: RecordingTrust, told: Told, courier: Courier
) -> None:
    other = Courier(book, carrier, trust, "two", story=Story(told, told, told))
    for n in range(25):
        await message(book, f"+1202555{n:04}")
        await leg(book, ref=f"leg-{n}", room=f"room-{n}")
    counts = await asyncio.gather(courier.sweep(), other.sweep())
    assert sum(counts) == 50
    assert len(carrier.done) == 50
    assert carrier.twice() == []
    assert {one.state for one in await all_of(book)} == {DeliveryState.done}
    assert len(told.heard) == 50


async def test_each_step_is_one_fact_and_the_text_is_wiped(
    book: Book, carrier: RecordingCarrier, told: Told, courier: Courier, vault: Vault
) -> None:
    made = await message(book, text="Tu código es 123456 ✓")
    await courier.sweep()
    sent = carrier.of("send_message")[0]
    assert (sent.text, sent.to) == ("Tu código es 123456 ✓", PHONE)
    done = await row(book, made)
    assert (done.state, done.sealed_text, done.carrier_id, done.tries) == ("done", None, f"SM-{done.ref}", 1)
    assert sent.ref == done.ref
    assert await moves(book, made) == ["delivery.claimed", "delivery.started", "delivery.done"]
    assert told.heard == [("message_placed", f"SM-{done.ref}")]


async def test_a_leg_is_placed_as_ordered(book: Book, carrier: RecordingCarrier, told: Told, courier: Courier) -> None:
    await leg(book)
    await courier.sweep()
    placed = carrier.of("place_leg")[0]
    assert (placed.ref, placed.room, placed.room_ref) == ("leg-ref", "room-1", "room-ref")
    assert (placed.role, placed.to, placed.ring_seconds, placed.ends_room) == (LegRole.customer, PHONE, 25, True)
    assert told.heard == [("leg_placed", "CA-leg-ref")]


async def test_a_telephone_never_waits_behind_messages(book: Book, carrier: RecordingCarrier, courier: Courier) -> None:
    for n in range(30):
        await message(book, f"+1202555{n:04}")
    carrier.gate.clear()
    await courier.launch()
    await leg(book)
    assert await courier.launch() == 1
    carrier.gate.set()
    await courier.sweep()
    assert carrier.most_at_once <= AT_ONCE
    assert len(carrier.done) == 31


async def test_what_found_no_place_is_asked_for_again_when_one_lands(
    book: Book, carrier: RecordingCarrier, courier: Courier
) -> None:
    for n in range(30):
        await message(book, f"+1202555{n:04}")
    with book.hub.watch("courier") as watcher:
        await courier.launch()
        async with asyncio.timeout(10):
            assert await watcher.changed() == {"courier"}
    await courier.sweep()


async def test_a_refusal_for_good_fails_and_is_told(
    book: Book, carrier: RecordingCarrier, told: Told, courier: Courier
) -> None:
    carrier.refusing["send_message"] = [NO]
    made = await message(book)
    await courier.sweep()
    failed = await row(book, made)
    assert (failed.state, failed.error, failed.sealed_text) == ("failed", "21211", None)
    assert told.heard == [("message_failed", "21211")]


async def test_not_processed_is_tried_again_later_and_not_for_ever(
    book: Book, carrier: RecordingCarrier, told: Told, courier: Courier, clock: Clock
) -> None:
    carrier.refusing["place_leg"] = [BUSY] * 9
    made = await leg(book)
    await courier.sweep()
    waiting = await row(book, made)
    assert (waiting.state, waiting.due_at - clock()) == ("pending", timedelta(seconds=1))
    assert await courier.sweep() == 0
    for _ in range(4):
        clock.forward(10)
        await courier.sweep()
    failed = await row(book, made)
    assert (failed.state, failed.tries) == ("failed", 3)
    assert told.heard == [("leg_failed", "30001")]
    assert carrier.done == []


async def test_an_uncertain_message_is_not_sent_again_but_found(
    book: Book, carrier: RecordingCarrier, told: Told, courier: Courier, unknowns: Unknowns, clock: Clock
) -> None:
    carrier.losing["send_message"] = [SILENCE]
    made = await message(book)
    await courier.sweep()
    assert (await row(book, made)).state is DeliveryState.unknown
    clock.forward(5)
    assert await courier.sweep() == 0
    assert await unknowns.sweep() == 1
    done = await row(book, made)
    assert (done.state, done.carrier_id) == ("done", f"SM-{done.ref}")
    assert carrier.twice() == []
    assert told.heard == [("message_placed", done.carrier_id)]


async def test_a_message_nobody_finds_is_abandoned_after_a_quarter_of_an_hour(
    book: Book, carrier: RecordingCarrier, told: Told, courier: Courier, unknowns: Unknowns, clock: Clock
) -> None:
    carrier.refusing["send_message"] = [SILENCE]
    made = await message(book)
    await courier.sweep()
    clock.forward(14 * 60)
    await unknowns.sweep()
    assert (await row(book, made)).state is DeliveryState.unknown
    clock.forward(2 * 60)
    await unknowns.sweep()
    left = await row(book, made)
    assert (left.state, left.sealed_text) == ("abandoned", None)
    assert told.heard == [("message_failed", "uncertain")]
    assert carrier.of("send_message") == []


async def test_one_message_found_for_two_missed_makes_neither_certain(
    book: Book, carrier: RecordingCarrier, courier: Courier, unknowns: Unknowns, clock: Clock
) -> None:
    carrier.losing["send_message"] = [SILENCE]
    first = await message(book)
    await courier.sweep()
    carrier.refusing["send_message"] = [SILENCE]
    clock.forward(60)
    second = await message(book)
    await courier.sweep()
    for _ in range(32):
        clock.forward(30)
        await unknowns.sweep()
    assert {(await row(book, one)).state for one in (first, second)} == {DeliveryState.abandoned}


async def test_a_message_known_already_settles_no_other(
    book: Book, carrier: RecordingCarrier, courier: Courier, unknowns: Unknowns, clock: Clock
) -> None:
    await message(book)
    await courier.sweep()
    carrier.refusing["send_message"] = [SILENCE]
    lost = await message(book)
    await courier.sweep()
    clock.forward(5)
    await unknowns.sweep()
    assert (await row(book, lost)).state is DeliveryState.unknown


async def test_an_unknown_leg_that_is_in_its_room_was_placed(
    book: Book, carrier: RecordingCarrier, told: Told, courier: Courier, unknowns: Unknowns, clock: Clock
) -> None:
    carrier.losing["place_leg"] = [SILENCE]
    made = await leg(book)
    await courier.sweep()
    clock.forward(1)
    await unknowns.sweep()
    done = await row(book, made)
    assert (done.state, done.carrier_id) == ("done", "CA-leg-ref")
    assert told.heard == [("leg_placed", "CA-leg-ref")]


async def test_an_unknown_leg_that_is_nowhere_has_failed_within_ten_seconds_and_its_room_is_ended(
    book: Book, carrier: RecordingCarrier, told: Told, courier: Courier, unknowns: Unknowns, clock: Clock
) -> None:
    carrier.refusing["place_leg"] = [SILENCE]
    made = await leg(book)
    await courier.sweep()
    for _ in range(3):
        clock.forward(1.5)
        await unknowns.sweep()
        assert told.heard == []
    for _ in range(2):
        clock.forward(2)
        await unknowns.sweep()
    assert (await row(book, made)).state is DeliveryState.failed
    assert told.heard == [("leg_failed", "not_found")]
    await courier.sweep()
    assert carrier.done == [("end_room", "room-1")]


async def test_the_other_persons_leg_in_the_room_proves_nothing(
    book: Book, carrier: RecordingCarrier, courier: Courier, unknowns: Unknowns, clock: Clock
) -> None:
    await leg(book, ref="the agent's", role="agent")
    await courier.sweep()
    carrier.refusing["place_leg"] = [SILENCE]
    made = await leg(book)
    await courier.sweep()
    clock.forward(1)
    await unknowns.sweep()
    assert (await row(book, made)).state is DeliveryState.unknown


async def test_a_carrier_that_says_nothing_at_all_leaves_a_leg_abandoned_after_a_minute(
    book: Book, carrier: RecordingCarrier, told: Told, courier: Courier, unknowns: Unknowns, clock: Clock
) -> None:
    carrier.refusing["place_leg"] = [SILENCE]
    carrier.refusing["who_is_in"] = [BUSY] * 9
    made = await leg(book)
    await courier.sweep()
    clock.forward(30)
    await unknowns.sweep()
    assert (await row(book, made)).state is DeliveryState.unknown
    clock.forward(31)
    await unknowns.sweep()
    assert (await row(book, made)).state is DeliveryState.abandoned
    assert told.heard == [("leg_failed", "not_found")]


async def test_what_may_be_repeated_is_repeated(
    book: Book, carrier: RecordingCarrier, courier: Courier, clock: Clock
) -> None:
    carrier.losing["end_room"] = [SILENCE]
    ended = await queue(book, DeliveryKind.end_room, {"room": "room-1"})
    held = await queue(book, DeliveryKind.hold, {"room": "room-1", "carrier_id": "CA1", "on": True})
    hung = await queue(book, DeliveryKind.end_leg, {"carrier_id": "CA1"})
    await courier.sweep()
    clock.forward(2)
    await courier.sweep()
    assert carrier.of("end_room") == ["room-1", "room-1"]
    assert carrier.of("hold") == [("room-1", "CA1", True)]
    assert carrier.of("end_leg") == ["CA1"]
    assert [(await row(book, one)).state for one in (ended, held, hung)] == ["done"] * 3


async def fly(book: Book, kind: DeliveryKind, state: DeliveryState, clock: Clock, **order: Any) -> int:
    """A delivery in the hands of a worker that died."""
    return await queue(
        book, kind, {**LEG, **order}, state=state, owner="dead", fence=1, tries=1, started_at=clock(),
        lease_until=clock() + kind.lease,
    )


async def test_a_lease_that_ran_out_frees_what_was_not_started_and_questions_what_was(
    book: Book, carrier: RecordingCarrier, courier: Courier, clock: Clock
) -> None:
    claimed = await fly(book, DeliveryKind.leg, DeliveryState.claimed, clock)
    started = await fly(book, DeliveryKind.leg, DeliveryState.started, clock, ref="started")
    ending = await fly(book, DeliveryKind.end_room, DeliveryState.started, clock)
    assert await courier.release() == 0
    clock.forward(61)
    assert await courier.release() == 3
    assert [(await row(book, one)).state for one in (claimed, started, ending)] == ["pending", "unknown", "pending"]
    clock.forward(2)
    await courier.sweep()
    assert [order.ref for order in carrier.of("place_leg")] == ["leg-ref"]


async def test_after_a_restored_dump_only_the_repeatable_is_done_again(
    book: Book, carrier: RecordingCarrier, courier: Courier, unknowns: Unknowns
) -> None:
    ending = await queue(book, DeliveryKind.end_room, {"room": "room-1"}, state=DeliveryState.unknown)
    sent = await message(book, state=DeliveryState.unknown)
    await unknowns.sweep()
    await courier.sweep()
    assert [(await row(book, one)).state for one in (ending, sent)] == ["done", "unknown"]
    assert carrier.of("send_message") == []


async def test_a_late_answer_to_a_leg_given_up_ends_that_leg(
    book: Book, carrier: RecordingCarrier, told: Told, courier: Courier, clock: Clock
) -> None:
    made = await leg(book)
    carrier.gate.clear()
    stalled = asyncio.create_task(courier.sweep())
    await carrier.asked.wait()
    async with book.writing() as w:
        assert await w.move(Delivery, made, to=DeliveryState.failed)
    carrier.gate.set()
    await stalled
    assert carrier.of("end_leg") == ["CA-leg-ref"]
    assert told.heard == []


async def test_a_late_answer_still_counts_while_nobody_knows_better(
    book: Book, carrier: RecordingCarrier, told: Told, courier: Courier, clock: Clock
) -> None:
    made = await leg(book)
    carrier.gate.clear()
    slow = asyncio.create_task(courier.sweep())
    await carrier.asked.wait()
    clock.forward(9)
    await courier.release()
    assert (await row(book, made)).state is DeliveryState.unknown
    carrier.gate.set()
    await slow
    assert (await row(book, made)).state is DeliveryState.done
    assert told.heard == [("leg_placed", "CA-leg-ref")]


async def test_a_worker_whose_claim_was_taken_over_does_not_start(
    book: Book, carrier: RecordingCarrier, courier: Courier
) -> None:
    made = await leg(book)
    claimed = await row(book, made)
    async with book.writing() as w:
        await w.move(Delivery, made, to=DeliveryState.claimed, fence=7, owner="two", lease_until=w.now + timedelta(8))
    await courier._carry(claimed)
    assert carrier.done == []
    assert (await row(book, made)).state is DeliveryState.claimed


async def test_a_call_that_ended_before_its_leg_was_placed_rings_nobody(
    book: Book, carrier: RecordingCarrier, courier: Courier
) -> None:
    made = await leg(book)
    async with book.writing() as w:
        await w.move(Delivery, made, to=DeliveryState.abandoned)
    assert await courier.sweep() == 0
    assert carrier.done == []


async def test_an_order_nobody_can_read_fails_and_nothing_leaves(
    book: Book, carrier: RecordingCarrier, told: Told, courier: Courier, caplog: pytest.LogCaptureFixture
) -> None:
    torn = await queue(book, DeliveryKind.leg, {"room": "room-1"})
    sealed_elsewhere = Vault("another secret of thirty-two characters").seal(TEXTS, b"Hola")
    shut = await queue(book, DeliveryKind.message, {"to": PHONE, "sender": "+34"}, sealed_text=sealed_elsewhere)
    with caplog.at_level(logging.CRITICAL):
        await courier.sweep()
    assert [(await row(book, one)).state for one in (torn, shut)] == ["failed", "failed"]
    assert carrier.done == []
    assert sorted(told.heard) == [("leg_failed", "order"), ("message_failed", "order")]


async def test_what_was_done_outside_stays_done_when_the_story_stumbles(
    book: Book, carrier: RecordingCarrier, told: Told, courier: Courier
) -> None:
    told.stumbling["message_placed"] = [LookupError("no such signing")] * 9
    made = await message(book)
    await courier.sweep()
    assert (await row(book, made)).state is DeliveryState.done
    assert len(carrier.done) == 1
    async with book.reading() as r:
        assert not await r.session.scalars(select(Fact).where(Fact.kind == "told.message_placed"))


async def test_an_answer_is_held_on_to_while_the_database_is_away(
    book: Book, carrier: RecordingCarrier, told: Told, courier: Courier
) -> None:
    told.stumbling["message_placed"] = [ConnectionResetError()]
    made = await message(book)
    await courier.sweep()
    assert (await row(book, made)).state is DeliveryState.done
    assert len(told.heard) == 1
    assert len(carrier.done) == 1


async def signed(book: Book) -> int:
    sale = await closing.drafted(book)
    async with book.writing() as w:
        quote = await w.session.get(Quote, sale.quote_id)
        assert quote is not None
        signing = Signing(
            quote_id=quote.id, campaign_id=quote.campaign_id, contact_id=quote.contact_id, lead_id=quote.lead_id,
            state=SigningState.signed, phone=PHONE, link_hash=b"x", expires_at=w.now, created_at=w.now,
        )
        w.session.add(signing)
        await w.session.flush()
        return signing.id


async def test_a_seal_is_made_again_until_its_document_is_kept(
    book: Book, trust: RecordingTrust, told: Told, courier: Courier, clock: Clock
) -> None:
    signing_id = await signed(book)
    trust.refusing = [SILENCE]
    told.stumbling["sealed"] = [LookupError("not yet")] * 4
    made = await queue(book, DeliveryKind.seal, {}, signing_id=signing_id)
    await courier.sweep()
    clock.forward(5)
    await courier.sweep()
    assert (await row(book, made)).state is DeliveryState.pending
    clock.forward(5)
    await courier.sweep()
    assert (await row(book, made)).state is DeliveryState.done
    assert told.heard[-1] == ("sealed", b"%PDF sealed")


async def test_stopping_lets_what_runs_finish_and_gives_back_what_was_not_started(
    book: Book, carrier: RecordingCarrier, courier: Courier, clock: Clock
) -> None:
    running = await message(book)
    carrier.gate.clear()
    await courier.launch()
    await carrier.asked.wait()
    claimed = await queue(
        book, DeliveryKind.end_room, {"room": "r"}, state=DeliveryState.claimed, owner="one", fence=1,
        lease_until=clock() + timedelta(minutes=1),
    )
    stopping = asyncio.create_task(courier.stop())
    carrier.gate.set()
    await stopping
    assert [(await row(book, one)).state for one in (running, claimed)] == ["done", "pending"]
    assert await courier.sweep() == 0
