"""A signed offer is never left without its seal."""

from collections.abc import Sequence

from sqlalchemy import func, select, update

from router.actions import outgoing, revoking, sealing
from router.book import Book
from router.model.alarms import Alarm
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.facts import Fact
from tests import closing
from tests.conftest import Clock


async def orders(book: Book) -> Sequence[DeliveryState]:
    async with book.reading() as r:
        return await r.session.scalars(
            select(Delivery.state).where(Delivery.kind == DeliveryKind.seal).order_by(Delivery.id)
        )


async def looked_after(book: Book) -> int:
    """How many alarms ask once more."""
    async with book.reading() as r:
        return await r.session.scalar(
            select(func.count()).select_from(Alarm).where(Alarm.kind == sealing.LATE, Alarm.state == "pending")
        ) or 0


async def come_late(book: Book, clock: Clock, signing_id: int, **order: object) -> Sequence[DeliveryState]:
    """The newest order is as said when the alarm rings; all orders after it."""
    clock.now += sealing.LATE_AFTER
    async with book.writing() as w:
        newest = select(func.max(Delivery.id)).where(Delivery.kind == DeliveryKind.seal).scalar_subquery()
        await w.session.execute(update(Delivery).where(Delivery.id == newest).values(**order))
        await sealing.late(w, signing_id)
    return await orders(book)


async def test_a_seal_that_was_given_up_is_ordered_again_as_often_as_that_happens(book: Book, clock: Clock) -> None:
    held = await closing.signed(book)
    assert await looked_after(book) == 1
    failed, pending = DeliveryState.failed, DeliveryState.pending
    assert await come_late(book, clock, held.id, state=failed) == [failed, pending]
    assert await come_late(book, clock, held.id, state=failed) == [failed, failed, pending]
    assert await looked_after(book) == 1
    async with book.reading() as r:
        told = await r.session.scalars(select(Fact.data).where(Fact.kind == "seal.late"))
    assert [one["again"] for one in told] == [True, True]


async def test_a_seal_under_way_is_not_ordered_twice_but_told(book: Book, clock: Clock) -> None:
    held = await closing.signed(book)
    for state in (DeliveryState.pending, DeliveryState.started, DeliveryState.unknown):
        assert await come_late(book, clock, held.id, state=state) == [state]
    async with book.reading() as r:
        told = await r.session.scalars(select(Fact.data).where(Fact.kind == "seal.late"))
    assert [one["again"] for one in told] == [False] * 3


async def test_a_sealed_acknowledgement_of_a_withdrawal_is_not_taken_for_the_offers_seal(
    book: Book, clock: Clock
) -> None:
    held = await closing.signed(book)
    async with book.writing() as w:
        await w.session.execute(update(Delivery).where(Delivery.kind == DeliveryKind.seal).values(
            state=DeliveryState.failed))
        await outgoing.post(w, DeliveryKind.seal, f"ack:{held.id}", {}, signing_id=held.id, purpose=revoking.SEAL)
    done = DeliveryState.done
    assert await come_late(book, clock, held.id, state=done) == [DeliveryState.failed, done, DeliveryState.pending]
