"""Consent taken back counts no more, from that moment on."""

import asyncio

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from router.actions import guarding
from router.actions.withdrawing import withdraw
from router.book import Book
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.consent import Receipt, Withdrawal
from router.model.contacts import Contact
from router.model.facts import Fact
from router.model.guard import Purpose
from router.model.leads import Lead
from router.model.tasks import Task, TaskState
from tests import making


async def a_lead(book: Book) -> tuple[Lead, Task]:
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w))
        lead = await making.lead(w, queue)
        return lead, await making.task(w, queue, lead)


async def permitted(book: Book, lead: Lead, purpose: Purpose) -> tuple[str, ...]:
    """The guard's answer at the moment of dialling: its rules, and () for an allowed call."""
    async with book.writing() as w:
        campaign = vouched(await w.session.get(Campaign, lead.campaign_id))
        contact = vouched(await w.session.get(Contact, lead.contact_id))
        _, verdict = await guarding.permit(
            w, campaign, contact, channel="call", purpose=purpose, lead_id=lead.id
        )
        return () if verdict.allowed else verdict.rules


async def take_back(book: Book, lead: Lead, purpose: str) -> bool:
    async with book.writing() as w:
        return await withdraw(w, lead.id, purpose, method="link")


async def test_what_is_withdrawn_between_plan_and_dial_denies_the_call(book: Book) -> None:
    lead, _ = await a_lead(book)
    async with book.writing() as w:
        campaign = vouched(await w.session.get(Campaign, lead.campaign_id))
        contact = vouched(await w.session.get(Contact, lead.contact_id))
        assert (await guarding.ask_guard(w, campaign, contact, Purpose.commercial)).allowed
    assert await take_back(book, lead, "commercial")
    assert await permitted(book, lead, Purpose.commercial) == ("consent.commercial",)
    assert await permitted(book, lead, Purpose.requested) == ()


async def test_who_no_longer_wants_the_call_he_asked_for_is_not_dialled_and_leaves_the_line(book: Book) -> None:
    lead, task = await a_lead(book)
    assert await permitted(book, lead, Purpose.requested) == ()
    assert await take_back(book, lead, "requested")
    assert await permitted(book, lead, Purpose.requested) == ("consent.withdrawn",)
    assert await permitted(book, lead, Purpose.service) == ()
    async with book.reading() as r:
        assert vouched(await r.session.get(Task, task.id)).state is TaskState.withdrawn


async def test_offers_are_stopped_for_the_person_in_every_request_of_his(book: Book) -> None:
    lead, _ = await a_lead(book)
    async with book.writing() as w:
        other = Lead(
            campaign_id=lead.campaign_id, site_id=None, contact_id=lead.contact_id, intent=lead.intent, claims={},
            source={}, locale="es", status_hash=b"other", created_at=w.now,
        )
        w.session.add(other)
        await w.session.flush()
        w.session.add(Receipt(
            campaign_id=lead.campaign_id, contact_id=lead.contact_id, lead_id=other.id,
            purposes=["requested", "commercial"], text="Sí", text_sha256="00", version="1", method="checkbox",
            address="", user_agent="", page="", given_at=w.now,
        ))
    assert await take_back(book, lead, "commercial")
    assert await take_back(book, lead, "requested")
    assert await permitted(book, other, Purpose.commercial) == ("consent.commercial",)
    assert await permitted(book, other, Purpose.requested) == ()


async def test_agreeing_again_counts_again(book: Book) -> None:
    lead, _ = await a_lead(book)
    await take_back(book, lead, "commercial")
    async with book.writing() as w:
        w.session.add(Receipt(
            campaign_id=lead.campaign_id, contact_id=lead.contact_id, lead_id=lead.id, purposes=["commercial"],
            text="Sí", text_sha256="00", version="2", method="checkbox", address="", user_agent="", page="",
            given_at=w.now,
        ))
    assert await permitted(book, lead, Purpose.commercial) == ()


async def test_taking_back_twice_at_once_is_one_withdrawal_and_one_fact(book: Book) -> None:
    lead, _ = await a_lead(book)
    taken = await asyncio.gather(*(take_back(book, lead, "commercial") for _ in range(4)))
    assert sorted(taken) == [False, False, False, True]
    async with book.reading() as r:
        assert len(await r.session.scalars(select(Withdrawal))) == 1
        facts = await r.session.scalars(select(Fact).where(Fact.kind == "consent.withdrawn"))
    assert [fact.data for fact in facts] == [{"purpose": "commercial", "method": "link", "receipts": 1}]


async def test_what_was_never_given_cannot_be_taken_back(book: Book) -> None:
    lead, task = await a_lead(book)
    assert not await take_back(book, lead, "recording")
    async with book.reading() as r:
        assert vouched(await r.session.get(Task, task.id)).state is TaskState.queued
        assert not await r.session.scalars(select(Withdrawal))


@pytest.mark.parametrize("statement", [
    "update receipts set text = 'No'", "delete from receipts", "update withdrawals set purpose = 'x'",
    "delete from withdrawals",
])  # fmt: skip
async def test_receipts_and_withdrawals_are_never_changed_or_removed(book: Book, statement: str) -> None:
    lead, _ = await a_lead(book)
    await take_back(book, lead, "commercial")
    with pytest.raises(DBAPIError, match="never changed"):
        async with book.writing() as w:
            await w.session.execute(text(statement))
