import asyncio
from datetime import timedelta
from typing import Any

from router.book import Book
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.vault import new_token
from router.store import deliveries
from tests.conftest import Clock


async def queue(book: Book, kind: DeliveryKind = DeliveryKind.end_room, later: float = 0, **values: Any) -> int:
    async with book.writing() as w:
        made = Delivery(
            kind=kind, ref=new_token(), dedupe_key=new_token(), to_customer=False, order={"to": "+12025550101"},
            due_at=w.now + timedelta(seconds=later), created_at=w.now, **values,
        )
        w.session.add(made)
        await w.session.flush()
        return made.id


async def test_due_ones_come_legs_first_then_by_age(book: Book) -> None:
    later, old, leg = await queue(book, later=-1), await queue(book, later=-5), await queue(book, DeliveryKind.leg)
    await queue(book, later=60)
    async with book.writing() as w:
        found = await deliveries.due(w.session, w.now, legs=5, others=5)
        assert [one.id for one in found] == [leg, old, later]
        assert await deliveries.due(w.session, w.now, legs=0, others=-1) == []


async def test_two_claims_at_once_never_take_the_same(book: Book) -> None:
    made = {await queue(book) for _ in range(20)}
    both = asyncio.Barrier(2)

    async def take() -> set[int]:
        async with book.writing() as w:
            found = await deliveries.due(w.session, w.now, legs=10, others=10)
            await both.wait()
            return {one.id for one in found}

    first, second = await asyncio.gather(take(), take())
    assert first | second == made
    assert not first & second


async def test_a_compare_and_set_is_won_once(book: Book) -> None:
    made = await queue(book)

    async def claim() -> bool:
        async with book.writing() as w:
            return await w.move(Delivery, made, to=DeliveryState.claimed, fence=Delivery.fence + 1) is not None

    assert sorted(await asyncio.gather(*(claim() for _ in range(5)))) == [False] * 4 + [True]


async def test_unknown_ones_are_asked_about_when_it_is_time(book: Book, clock: Clock) -> None:
    old = await queue(book, state=DeliveryState.unknown)
    async with book.writing() as w:
        assert [one.id for one in await deliveries.to_ask_about(w.session, w.now)] == [old]
        await deliveries.ask_again(w.session, old, w.now + timedelta(seconds=2))
    async with book.writing() as w:
        assert not await deliveries.to_ask_about(w.session, w.now)
    clock.forward(2)
    async with book.writing() as w:
        assert len(await deliveries.to_ask_about(w.session, w.now)) == 1


async def test_what_waits_is_counted_and_its_age_known(book: Book, clock: Clock) -> None:
    async with book.reading() as r:
        assert await deliveries.oldest_unsent(r.session, r.now) is None
    await queue(book)
    await queue(book, state=DeliveryState.unknown)
    await queue(book, state=DeliveryState.done)
    since = clock()
    clock.forward(30)
    async with book.reading() as r:
        assert await deliveries.oldest_unsent(r.session, r.now) == since
        counts = await deliveries.count_by_state(r.session)
    assert counts == {"pending": 1, "claimed": 0, "started": 0, "unknown": 1, "abandoned": 0}


async def test_messages_still_uncertain_are_those_to_this_number_alone(book: Book) -> None:
    wanted = await queue(book, DeliveryKind.message, state=DeliveryState.unknown)
    await queue(book, DeliveryKind.message, state=DeliveryState.done)
    await queue(book, DeliveryKind.leg, state=DeliveryState.unknown)
    async with book.reading() as r:
        assert [one.id for one in await deliveries.uncertain_messages(r.session, "+12025550101")] == [wanted]
        assert not await deliveries.uncertain_messages(r.session, "+12025550102")
