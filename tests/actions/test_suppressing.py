"""Suppressing: whom a reason concerns, how long, and that merging persons loses none of it."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import select

from router import outcomes
from router.actions import guarding, suppressing, talking
from router.actions.hearing import message_arrived
from router.actions.talking import Text, send_text
from router.book import Book
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.deliveries import Delivery, DeliveryState
from router.model.errors import Conflict, Invalid
from router.model.guard import Purpose
from router.model.suppressions import REACHES, Suppression
from router.ports import LegOutcome, LegStage, MessageArrived, MessageMoved, MessageStage, Refused
from router.store import suppressions
from tests import making
from tests.actions.telephones import PHONE, accepted
from tests.conftest import Clock

OTHER = "+12025550102"


@pytest.fixture
async def people(book: Book) -> None:
    """1 and 2 have one number in two campaigns; 3 has another number in the first."""
    async with book.writing() as w:
        first = await making.queue(w, await making.campaign(w))
        await making.lead(w, first, PHONE)
        await making.lead(w, await making.queue(w, await making.campaign(w, "sol")), PHONE)
        await making.lead(w, first, OTHER)
        await making.agent(w)


async def answers(book: Book, channel: str = "call") -> list[str]:
    """What the guard says of each person, by this channel."""
    async with book.writing() as w:
        found = []
        for contact in await w.session.scalars(select(Contact).order_by(Contact.id)):
            campaign = await w.session.get(Campaign, contact.campaign_id)
            assert campaign is not None
            verdict = await guarding.ask_guard(w, campaign, contact, Purpose.commercial, channel=channel)
            found.append(verdict.word)
        return found


async def suppress(book: Book, reason: str, contact_id: int = 1) -> None:
    async with book.writing() as w:
        contact = await w.session.get(Contact, contact_id)
        assert contact is not None
        await suppressing.suppress(w, contact, reason)


async def merged(book: Book, later: int, into: int) -> None:
    async with book.writing() as w:
        contact = await w.session.get(Contact, later)
        assert contact is not None
        contact.merged_into = into


async def rows(book: Book) -> Sequence[Suppression]:
    async with book.reading() as r:
        return await r.session.scalars(select(Suppression).order_by(Suppression.id))


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(("reason", "denied"), [
    ("asked", ["deny", "deny", "allow"]),
    ("stop", ["deny", "deny", "allow"]),
    ("complaint", ["deny", "allow", "allow"]),
    ("legal_hold", ["deny", "allow", "allow"]),
    ("wrong_number", ["deny", "allow", "allow"]),
    ("invalid", ["deny", "deny", "allow"]),
])
async def test_a_reason_reaches_the_number_the_person_or_the_two_together(
    book: Book, reason: str, denied: list[str]
) -> None:
    await suppress(book, reason)
    assert await answers(book) == await answers(book, "sms") == denied


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("reason", sorted(REACHES))
async def test_what_concerns_a_person_concerns_whom_he_was_found_to_be(book: Book, reason: str) -> None:
    """1 and 3 are one: what was said of either holds for both, what was said of a number only for the number."""
    await merged(book, 3, 1)
    await suppress(book, reason, 3)
    said = await answers(book)
    assert said[2] != "allow"
    assert (said[0] == "deny") == (reason in ("asked", "stop", "complaint", "legal_hold"))


@pytest.mark.usefixtures("people")
async def test_a_dropped_call_rests_for_three_days_and_only_calls_do(book: Book, clock: Clock) -> None:
    await suppress(book, "dropped_call")
    assert "allow" not in (await answers(book))[:2]
    assert await answers(book, "sms") == ["allow"] * 3
    clock.forward(timedelta(hours=72).total_seconds())
    assert await answers(book) == ["allow"] * 3


@pytest.mark.usefixtures("people")
async def test_a_start_word_lifts_what_its_stop_word_did_and_nothing_else(book: Book) -> None:
    for word in ("stop", "start"):
        async with book.writing() as w:
            await message_arrived(w, MessageArrived(f"SM{word}", PHONE, "+34910000000", word))
    assert await answers(book) == ["allow"] * 3
    await suppress(book, "complaint")
    async with book.writing() as w:
        await message_arrived(w, MessageArrived("SM3", PHONE, "+34910000000", "start"))
    assert await answers(book) == ["deny", "allow", "allow"]


@pytest.mark.usefixtures("people")
async def test_a_supervisor_lifts_a_suppression_once(book: Book) -> None:
    async with book.writing() as w:
        contact = await w.session.get(Contact, 1)
        assert contact is not None
        await suppressing.by_supervisor(w, contact, "complaint", 1)
        with pytest.raises(Invalid):
            await suppressing.by_supervisor(w, contact, "stop", 1)
    async with book.writing() as w:
        await suppressing.lift(w, 1, 1)
    with pytest.raises(Conflict):
        async with book.writing() as w:
            await suppressing.lift(w, 1, 1)
    assert await answers(book) == ["allow"] * 3
    async with book.reading() as r:
        assert [name for _, name in await suppressions.of_person(r.session, PHONE, [1])] == ["Ana"]


async def test_two_failures_in_a_row_are_nobody_and_an_answer_between_them_is_not(book: Book) -> None:
    line = await accepted(book)
    await line.agent_there()
    await line.place("customer")
    await line.say("customer", LegStage.ended, LegOutcome.failed)
    assert await rows(book) == []
    async with book.reading() as r:
        assert not await suppressions.failures_in_a_row(r.session, PHONE, 2)
        assert await suppressions.failures_in_a_row(r.session, PHONE, 1)


async def test_who_answers_and_finds_nobody_is_left_alone(book: Book) -> None:
    line = await accepted(book)
    await line.agent_there()
    await line.place("customer")
    await line.say("agent", LegStage.ended, LegOutcome.completed)
    await line.say("customer", LegStage.ended, LegOutcome.completed)  # only what was answered completes
    assert [(one.reason, one.phone, one.channel) for one in await rows(book)] == [("dropped_call", PHONE, "call")]


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("late", [False, True])
async def test_a_carriers_word_that_nobody_is_there_ends_that_channel_alone(book: Book, late: bool) -> None:
    """It says so at once, or in a callback."""
    async with book.writing() as w:
        campaign, contact = await w.session.get(Campaign, 1), await w.session.get(Contact, 1)
        assert campaign is not None
        assert contact is not None
        sent = await send_text(w, campaign, contact, Text("x", "x", "offer", Purpose.service, "offer:1"))
        ref = sent.ref
    async with book.writing() as w:
        row = await w.session.get(Delivery, 1)
        assert row is not None
        row.state = DeliveryState.started
        await w.session.flush()
        if late:
            await talking.message_moved(w, MessageMoved(ref, "SM1", MessageStage.failed, "30005", nobody=True))
        else:
            refusal = Refused("no such number", permanent=True, code="21211", nobody=True)
            await outcomes.refused(w, outcomes.HOUSE, row, refusal)
    assert await answers(book, "sms") == ["deny", "deny", "allow"]
    assert await answers(book) == ["allow"] * 3
