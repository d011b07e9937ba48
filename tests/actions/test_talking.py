"""Talking: texts leave with the guard's answer, their progress only rises, and STOP means stop."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from router.actions import talking
from router.actions.hearing import message_arrived
from router.actions.talking import TEXTS, Text, send_text
from router.book import Book
from router.model.budgets import Budget
from router.model.cadences import Attempt
from router.model.campaigns import Campaign, Queue
from router.model.contacts import Contact
from router.model.deliveries import Delivery, DeliveryState
from router.model.errors import NotAllowedNow
from router.model.guard import Purpose
from router.model.leads import Lead
from router.model.suppressions import Suppression
from router.model.tasks import Task, TaskState
from router.ports import MessageArrived, MessageMoved, MessageStage
from router.store import facts
from tests import making
from tests.invariants import check

PHONE = "+12025550101"


@pytest.fixture
async def lead(book: Book) -> int:
    async with book.writing() as w:
        return (await making.lead(w, await making.queue(w, await making.campaign(w)), PHONE)).id


async def send(book: Book, lead: int, key: str = "offer:1", purpose: Purpose = Purpose.service) -> Delivery:
    async with book.writing() as w:
        campaign, contact = await w.session.get(Campaign, 1), await w.session.get(Contact, 1)
        assert campaign is not None
        assert contact is not None
        words = Text("Su código: 123456 http://x/q/abc", "Su código: [code] [link]", "code", purpose, key)
        return await send_text(w, campaign, contact, words, lead_id=lead)


async def one(book: Book, noun: Any) -> Any:
    async with book.reading() as r:
        await check(r.session)
        (row,) = await r.session.scalars(select(noun))
        return row


async def told(book: Book, lead: int) -> list[str]:
    async with book.reading() as r:
        return [fact.kind for fact in await facts.of_lead(r.session, lead)]


async def test_a_text_is_a_sealed_row_with_the_guards_answer_and_its_price(book: Book, lead: int) -> None:
    with book.hub.watch("courier") as courier:
        await send(book, lead)
        assert await courier.changed()
    delivery, attempt = await one(book, Delivery), await one(book, Attempt)
    assert (delivery.attempt_id, delivery.to_customer, delivery.shown_text) == (
        attempt.id,
        True,
        "Su código: [code] [link]",
    )
    assert b"123456" not in delivery.sealed_text
    assert "123456" not in str(delivery.order)
    assert book.vault.open(TEXTS, delivery.sealed_text).decode().startswith("Su código: 123456")
    async with book.reading() as r:
        assert {row.used for row in await r.session.scalars(select(Budget))} == {5}
        assert "123456" not in str([fact.data for fact in await facts.of_lead(r.session, lead)])


async def test_the_guards_no_is_said_and_leaves_nothing(book: Book, lead: int) -> None:
    async with book.writing() as w:
        w.session.add(Suppression(phone=PHONE, reason="stop", created_at=w.now))
    with pytest.raises(NotAllowedNow, match=r"suppressed\.stop"):
        await send(book, lead)
    async with book.reading() as r:
        assert await r.session.scalars(select(Delivery)) == await r.session.scalars(select(Attempt)) == []


async def test_progress_only_rises_however_it_is_told(book: Book, lead: int) -> None:
    delivery = await send(book, lead)
    stages = [
        MessageStage.sent,
        MessageStage.queued,
        MessageStage.delivered,
        MessageStage.sent,
        MessageStage.failed,
    ] * 2
    for stage in stages:
        async with book.writing() as w:
            await talking.message_moved(w, MessageMoved(delivery.ref, "SM1", stage))
    assert [kind for kind in await told(book, lead) if kind.startswith("message.")] == [
        "message.sent",
        "message.delivered",
    ]
    assert (await one(book, Delivery)).carrier_id == "SM1"


async def test_a_callback_proves_that_an_uncertain_text_was_taken(book: Book, lead: int) -> None:
    delivery = await send(book, lead)
    async with book.writing() as w:
        row = await w.session.locked(Delivery, delivery.id)
        assert row is not None
        row.state = DeliveryState.unknown
    async with book.writing() as w:
        await talking.message_moved(w, MessageMoved(delivery.ref, "SM1", MessageStage.sent))
        await talking.message_moved(w, MessageMoved("nobody", "SM2", MessageStage.sent))
    found = await one(book, Delivery)
    assert (found.state, found.carrier_id, found.sealed_text) == (DeliveryState.done, "SM1", None)


async def test_a_refused_text_is_refunded(book: Book, lead: int) -> None:
    delivery = await send(book, lead)
    async with book.writing() as w:
        row = await w.session.get(Delivery, delivery.id)
        assert row is not None
        await talking.message_failed(w, row, "21610")
    assert (await one(book, Attempt)).refunded_at is not None
    async with book.reading() as r:
        assert {row.used for row in await r.session.scalars(select(Budget))} == {0}


@pytest.mark.parametrize("word", ["STOP", " stop ", "Baja.", "¡BAJA!", "unsubscribe", "Stop!!"])
async def test_a_stop_word_suppresses_the_number(book: Book, lead: int, word: str) -> None:
    async with book.writing() as w:
        await message_arrived(w, MessageArrived("SM1", PHONE, "+34910000000", word))
    async with book.reading() as r:
        found = [(row.phone, row.contact_id) for row in await r.session.scalars(select(Suppression))]
    assert found == [(PHONE, None), ("", 1)], "the number, and the person who has it"


async def test_a_stop_word_withdraws_what_waits_for_that_number(book: Book, lead: int) -> None:
    async with book.writing() as w:
        queue, row = await w.session.get(Queue, 1), await w.session.get(Lead, lead)
        assert queue is not None
        assert row is not None
        waiting = await making.task(w, queue, row)
        other = await making.task(w, queue, await making.lead(w, queue, "+12025550199"))
    async with book.writing() as w:
        await message_arrived(w, MessageArrived("SM1", PHONE, "+34910000000", "stop"))
    async with book.reading() as r:
        states = {task.id: task.state for task in await r.session.scalars(select(Task))}
    assert states == {waiting.id: TaskState.withdrawn, other.id: TaskState.queued}


@pytest.mark.parametrize("words", ["", "no stop", "Stop the music", "sí, quiero", "\ud83d"])
async def test_other_words_do_not(book: Book, lead: int, words: str) -> None:
    async with book.writing() as w:
        await message_arrived(w, MessageArrived("SM1", PHONE, "+34910000000", words))
    async with book.reading() as r:
        assert await r.session.scalars(select(Suppression)) == []


async def test_the_same_text_twice_at_once_is_sent_once(book: Book, lead: int) -> None:
    ends = await asyncio.gather(*(send(book, lead) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(end, Delivery) for end in ends) == 1
    assert all(isinstance(end, Delivery | IntegrityError) for end in ends)
    await one(book, Delivery)
