"""The inbox: each message from outside has its effect once, however often, early or twisted it comes."""

import asyncio
import logging
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text

from router.actions import housekeeping
from router.book import Book, Writing
from router.inbox import Inbox
from router.model.facts import Fact
from router.model.inbox import InboxRow, InboxState
from router.ports import LegMoved, MessageArrived, MessageMoved, MessageStage, RoomChange, RoomMoved
from router.store import inbox as rows
from tests.conftest import Clock
from tests.outside import RecordingCarrier, Told


@pytest.fixture
def carrier() -> RecordingCarrier:
    return RecordingCarrier()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def inbox(book: Book, carrier: RecordingCarrier, told: Told) -> Inbox:
    return Inbox(book, carrier, calling=told, talking=told, hearing=told)


async def put(book: Book, body: bytes) -> bool:
    async with book.writing() as w:
        return await rows.put(w.session, w.now, "carrier", body.decode(), path="/hooks", headers={}, body=body)


async def states(book: Book) -> list[InboxState]:
    async with book.reading() as r:
        return list(await r.session.scalars(select(InboxRow.state).order_by(InboxRow.id)))


async def facts(book: Book, kind: str) -> int:
    async with book.reading() as r:
        return await r.session.scalar(select(func.count()).where(Fact.kind == kind)) or 0


async def test_the_same_event_twice_is_one_row_and_one_effect(book: Book, inbox: Inbox, told: Told) -> None:
    assert await put(book, b"leg:a")
    assert not await put(book, b"leg:a")
    assert await inbox.sweep() == 1
    assert not await put(book, b"leg:a")
    assert await inbox.sweep() == 0
    assert len(told.heard) == 1


async def test_messages_are_taken_in_the_order_they_came_and_each_finds_its_verb(
    book: Book, carrier: RecordingCarrier, inbox: Inbox, told: Told
) -> None:
    carrier.events = (
        RoomMoved("room", "r", RoomChange.ended), MessageMoved("ref", "SM1", MessageStage.sent),
        MessageArrived("SM2", "+12025550101", "+34910000000", "STOP ✋"),
    )  # fmt: skip
    await put(book, b"leg:a")
    await put(book, b"several")
    assert await inbox.sweep() == 2
    assert [verb for verb, _ in told.heard] == ["on_event", "on_event", "message_moved", "message_arrived"]
    assert await states(book) == [InboxState.done] * 2


async def test_two_replicas_work_through_many_messages_once_each(
    book: Book, carrier: RecordingCarrier, told: Told, inbox: Inbox
) -> None:
    for n in range(40):
        await put(book, f"leg:{n}".encode())
    other = Inbox(book, carrier, calling=told, talking=told, hearing=told)
    assert sum(await asyncio.gather(inbox.sweep(), other.sweep())) == 40
    assert len({event.ref for _, event in told.heard}) == len(told.heard) == 40


async def test_a_stumbling_effect_leaves_nothing_and_is_tried_again_later(
    book: Book, inbox: Inbox, told: Told, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    told.stumbling["on_event"] = [LookupError("too early")]
    await put(book, b"leg:a")
    await put(book, b"leg:b")
    with caplog.at_level(logging.CRITICAL):
        assert await inbox.sweep() == 2
    assert [event.ref for _, event in told.heard] == ["b"]
    assert await facts(book, "told.on_event") == 1
    assert await states(book) == [InboxState.waiting, InboxState.done]
    clock.forward(1)
    assert await inbox.sweep() == 1
    assert await states(book) == [InboxState.done] * 2


async def test_after_five_failures_a_message_is_parked_and_visible(
    book: Book, inbox: Inbox, told: Told, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    told.stumbling["on_event"] = [LookupError("never")] * 9
    await put(book, b"leg:a")
    with caplog.at_level(logging.CRITICAL):
        for _ in range(7):
            await inbox.sweep()
            clock.forward(60)
    assert await states(book) == [InboxState.parked]
    assert await facts(book, "inbox.parked") == 1
    assert len(told.stumbling["on_event"]) == 4


async def test_a_lost_database_counts_as_nobodys_failure(book: Book, inbox: Inbox, told: Told) -> None:
    told.stumbling["on_event"] = [ConnectionResetError()]
    await put(book, b"leg:a")
    with pytest.raises(ConnectionResetError):
        await inbox.sweep()
    async with book.reading() as r:
        assert await r.session.scalar(select(InboxRow.failures)) == 0
    assert await inbox.sweep() == 1


async def test_a_commit_that_fails_counts_as_the_messages_failure(
    book: Book, carrier: RecordingCarrier, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    class Spending(Told):
        async def on_event(self, w: Writing, event: LegMoved | RoomMoved, /) -> None:
            w.spend(10, {"all": 1})

    await put(book, b"leg:a")
    with caplog.at_level(logging.CRITICAL):
        assert await Inbox(book, carrier, calling=Spending(), talking=told, hearing=told).sweep() == 1
    async with book.reading() as r:
        assert await r.session.scalar(select(InboxRow.failures)) == 1


async def test_what_was_understood_a_month_ago_is_emptied_and_comes_no_second_time(book: Book, clock: Clock) -> None:
    async with book.writing() as w:
        for key in ("understood", "parked", "waiting"):
            await rows.put(w.session, w.now, "meta/1", key, path="/p", headers={"a": "b"}, body=b"secreto")
        await w.session.execute(text(
            "update inbox set state = 'done', ended_at = received_at where dedupe_key = 'understood'"))
        await w.session.execute(text("update inbox set state = 'parked' where dedupe_key = 'parked'"))
    for days, whole in ((29, {"understood", "parked", "waiting"}), (2, {"parked", "waiting"})):
        clock.now += timedelta(days=days)
        async with book.writing() as w:
            await housekeeping.empty_inbox(w, 1)
        async with book.reading() as r:
            kept = await r.session.scalars(select(InboxRow))
        assert {row.dedupe_key for row in kept if row.body} == whole
    async with book.writing() as w:
        assert not await rows.put(w.session, w.now, "meta/1", "understood", path="/p", headers={}, body=b"again")
