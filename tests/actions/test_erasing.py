"""Forgetting a person: nothing personal is left anywhere but in what evidence needs."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import DBAPIError

from integrations.trust import EmbeddedTrust
from router.actions import entering, erasing, quoting, revoking, sealing, suppressing
from router.book import Book
from router.model import Base
from router.model.base import vouched
from router.model.blobs import Blob
from router.model.budgets import Budget
from router.model.campaigns import Queue
from router.model.contacts import Contact
from router.model.errors import Conflict
from router.model.evidence import broken_at
from router.model.facts import Fact
from router.model.quotes import Quote, QuoteState
from router.model.signings import Signing, SigningState
from router.model.tasks import Task, TaskState
from router.store import erasing as rows
from router.store import evidence, ledger, suppressions
from tests import closing, making
from tests.conftest import Clock

PERSONAL = ("Carmen", "12025550101", "Telephone/1", "secreto")
KEPT = {"receipts", "suppressions", "budgets"}
"""Tables in which a word of an erased person may stand, whatever he signed: what the day has spent on a number is
forgotten with the day."""
OF_A_SALE = KEPT | {"evidence", "quotes", "signings", "attempts", "legs"}


async def holding_words(book: Book, *but: str) -> set[str]:
    """The tables in which something personal stands."""
    found = set()
    async with book.reading() as r:
        for table in Base.metadata.sorted_tables:
            rows = await r.session.rows(text(f"select t::text from {table.name} t"))  # noqa: S608
            if any(word in row[0] for row in rows for word in PERSONAL if word not in but):
                found.add(table.name)
    return found


async def talked_over(book: Book) -> None:
    async with book.writing() as w:
        task = vouched(await w.session.scalar(select(Task)))
        for state in (TaskState.wrapping, TaskState.closed):
            await w.move(Task, task.id, state)
        await w.session.execute(text(
            "update leads set claims = '{\"message\": \"secreto\"}', fields = '{\"iban\": \"secreto\"}'"
        ))


async def erase(book: Book) -> None:
    async with book.writing() as w:
        contact = vouched(await w.session.scalar(select(Contact)))
        await erasing.erase(w, contact.id, agent_id=1)


async def test_of_somebody_who_signed_nothing_not_even_what_he_saw_is_left(book: Book) -> None:
    held = await closing.coded(book)
    await talked_over(book)
    async with book.writing() as w:
        await w.session.execute(text("update deliveries set state = 'done'"))
        while await ledger.enter(w.session):
            pass
    assert {"contacts", "leads", "quotes", "deliveries"} <= await holding_words(book)
    await erase(book)
    assert await holding_words(book) <= KEPT
    quote, now = await closing.quote_of(book, held), await closing.now(book, held)
    assert (quote.state, now.state) == (QuoteState.void, SigningState.void)
    async with book.reading() as r:
        assert list(await evidence.of_signing(r.session, held.id)) == []
        assert await entering.faults(r.session) == [], "the ledger holds without what was forgotten"
        assert await r.session.scalar(select(func.count()).select_from(Blob)) == 0, "his offer's document"
        told = await r.session.scalar(select(Fact).where(Fact.kind == "contact.erased"))
        assert (await r.session.scalar(select(Contact))).erased_at is not None  # type: ignore[union-attr]
    assert vouched(told).data == {"contacts": [quote.contact_id], "evidence": False}


async def test_what_was_signed_stays_whole_with_its_evidence(book: Book) -> None:
    held = await closing.signed(book)
    await talked_over(book)
    async with book.writing() as w:
        await w.session.execute(text("update deliveries set state = 'done'"))
    before = await closing.quote_of(book, held)
    await erase(book)
    assert await holding_words(book) <= OF_A_SALE
    quote, now = await closing.quote_of(book, held), await closing.now(book, held)
    assert (quote.state, quote.canonical, quote.pdf_sha256) == (QuoteState.signed, before.canonical, before.pdf_sha256)
    assert (now.phone, now.name_typed, now.state) == (held.phone, "Carmen Ruiz", SigningState.signed)
    async with book.reading() as r:
        assert broken_at(await evidence.of_signing(r.session, held.id)) is None
        assert await r.session.scalar(select(func.count()).select_from(Blob)) >= 1


def test_every_table_about_signings_is_thought_of() -> None:
    about = {
        table.name for table in Base.metadata.sorted_tables
        if any(key.target_fullname == "signings.id" for column in table.columns for key in column.foreign_keys)
    }
    kept = {"number_searches"}  # nothing personal stands there
    assert kept <= about
    said = " ".join(statement.text for statement in rows._DROP)
    assert {name for name in about - kept if f" {name} " not in said} == set()


async def test_evidence_is_deleted_only_of_what_was_forgotten(book: Book) -> None:
    held = await closing.signed(book)
    for change in ("delete from evidence", "update evidence set kind = 'opened'"):
        with pytest.raises(DBAPIError, match="never changed"):
            async with book.writing() as w:
                await w.session.execute(text(change))
    async with book.reading() as r:
        assert await evidence.of_signing(r.session, held.id)


@pytest.mark.parametrize(("days", "passed", "gone"), [(0, 9000, False), (1827, 1826, False), (1827, 1828, True)])
async def test_what_was_signed_is_forgotten_when_its_evidence_was_kept_long_enough(
    book: Book, trust: EmbeddedTrust, clock: Clock, days: int, passed: int, gone: bool
) -> None:
    await sealing.ensure_authority(book, trust, "Luz Clara SL")
    held = await closing.sealed(book, trust, campaign={"evidence_days": days})
    await revoking.withdraw(book, held.id, closing.CUSTOMER)
    await talked_over(book)
    async with book.writing() as w:
        await w.session.execute(text("update deliveries set state = 'done'"))
    clock.now += timedelta(days=passed)
    async with book.writing() as w:
        await erasing.sweep(w, 1)
    async with book.reading() as r:
        contact = vouched(await r.session.scalar(select(Contact)))
        signing = vouched(await r.session.get(Signing, held.id))
        events = await evidence.of_signing(r.session, held.id)
        documents = await r.session.scalar(select(func.count()).select_from(Blob))
        assert await entering.faults(r.session) == []
    assert ((contact.erased_at is not None), (signing.forgotten_at is not None)) == (gone, gone)
    assert (events == [], documents == 0, signing.sealed_sha256 is None) == (gone, gone, gone)
    assert (await holding_words(book) <= KEPT) == gone


async def test_nobody_is_forgotten_while_somebody_talks_with_him(book: Book) -> None:
    await closing.opened(book)
    with pytest.raises(Conflict):
        await erase(book)
    assert "contacts" in await holding_words(book)


async def test_who_did_not_want_to_be_contacted_is_still_not_when_he_is_forgotten(book: Book) -> None:
    await closing.sent(book)
    await talked_over(book)
    async with book.writing() as w:
        contact = vouched(await w.session.scalar(select(Contact)))
        await suppressing.suppress(w, contact, "asked")
    await erase(book)
    async with book.reading() as r:
        assert await suppressions.of_person(r.session, "+12025550101", [])


async def test_a_waiting_call_is_dropped(book: Book) -> None:
    await closing.sent(book)
    await talked_over(book)
    async with book.writing() as w:
        queue = vouched(await w.session.scalar(select(Queue)))
        quote = vouched(await w.session.scalar(select(Quote)))
        await w.session.execute(update(Task).values(kind="call"))
        lead = vouched(await w.session.get(making.Lead, quote.lead_id))
        await making.task(w, queue, lead, state=TaskState.scheduled)
    await erase(book)
    async with book.reading() as r:
        states = await r.session.scalars(select(Task.state).order_by(Task.id))
    assert list(states) == [TaskState.closed, TaskState.withdrawn]


@pytest.mark.parametrize(("days", "passed", "gone"), [(0, 4000, False), (30, 29, False), (30, 31, True)])
async def test_campaigns_forget_whom_nothing_has_happened_about(
    book: Book, clock: Clock, days: int, passed: int, gone: bool
) -> None:
    sale = await closing.drafted(book, campaign={"retention_days": days})
    await talked_over(book)
    clock.now += timedelta(days=passed)
    async with book.writing() as w:
        await erasing.sweep(w, 1)
    async with book.reading() as r:
        contact = vouched(await r.session.scalar(select(Contact)))
        quote = vouched(await r.session.get(Quote, sale.quote_id))
    assert ((contact.erased_at is not None), contact.phone == "") == (gone, gone)
    assert (quote.state is QuoteState.void) == gone


async def test_what_was_spent_on_a_number_is_forgotten_after_its_day(book: Book, clock: Clock) -> None:
    await closing.sent(book)
    counted = select(func.count()).select_from(Budget).where(Budget.scope.like("number:%"))
    for days, left in ((0, 1), (1, 0)):
        clock.now += timedelta(days=days)
        async with book.writing() as w:
            await erasing.sweep(w, 1)
            assert await w.session.scalar(counted) == left


async def test_a_revision_of_somebody_forgotten_cannot_be_sent(book: Book) -> None:
    sale, held = await closing.sent(book)
    await talked_over(book)
    await erase(book)
    with pytest.raises(Conflict):
        async with book.writing() as w:
            await quoting.send_again(w, quote_id=sale.quote_id, agent_id=sale.agent_id)
    async with book.reading() as r:
        assert vouched(await r.session.get(Signing, held.id)).phone == ""
