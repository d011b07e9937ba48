"""Consent that comes later: from then on the person's quiet quotes are looked after."""

import pytest
from sqlalchemy import update

from router.actions import consenting, importing, intake, nurturing
from router.actions.consenting import Way
from router.actions.enrolling import QUOTE_CHECK
from router.actions.withdrawing import withdraw
from router.book import Book
from router.importer import Importer
from router.model.cadences import Enrolment
from router.model.campaigns import Queue
from router.model.consent import Receipt
from router.model.contacts import Contact
from router.model.errors import Conflict
from router.model.facts import Fact
from router.model.intake import Agreed, Wanted
from router.model.leads import Intent, Lead
from router.model.quotes import Quote
from router.model.tasks import Disposition, Task, TaskState
from router.model.vault import new_token
from router.model.zones import ZoneSource
from tests import making
from tests.actions.test_cadences import CALL, SMS, STALE, all_of, began, calls, end_call, quiet, ring, texts
from tests.actions.test_elsewhere import checked, due, row
from tests.actions.test_elsewhere import queue as queue
from tests.conftest import Clock

OFFERS = Agreed(("commercial",), "Sí, quiero ofertas", "1")


@pytest.fixture
async def quote(book: Book, clock: Clock) -> Quote:
    """A quiet quote of somebody who has taken his consent to offers back: looked at, and left alone."""
    async with book.writing() as w:
        quote = await quiet(w, SMS, {**CALL, "delay": 4})
        assert await withdraw(w, quote.lead_id, "commercial", method="link")
        await w.session.execute(update(Contact).values(zone="Europe/Madrid", zone_source=ZoneSource.stated))
    clock.forward(STALE)
    async with book.writing() as w:
        await nurturing.check_quote(w, quote.id)
    clock.forward(3600)
    await ring(book)
    assert await all_of(book, Enrolment) == []
    return quote


async def test_who_agrees_on_his_page_is_written_to_about_his_quote(book: Book, quote: Quote) -> None:
    async with book.writing() as w:
        assert await consenting.give(w, quote.lead_id, OFFERS, Way("link", address="203.0.113.0/24", page="/s/consent"))
        assert not await consenting.give(w, quote.lead_id, OFFERS, Way("link")), "twice is once"
    for _ in range(2):
        await ring(book)
    (text,) = await texts(book)
    (enrolment,) = await all_of(book, Enrolment)
    assert (text.attempt_id is not None, enrolment.quote_id) == (True, quote.id)
    receipt = (await all_of(book, Receipt))[-1]
    assert (receipt.purposes, receipt.text, receipt.method, receipt.address) == (
        ["commercial"], "Sí, quiero ofertas", "link", "203.0.113.0/24")
    (fact,) = [fact for fact in await all_of(book, Fact) if fact.kind == "consent.given"]
    assert fact.data == {"purposes": ["commercial"], "method": "link", "receipt": receipt.id}


@pytest.mark.parametrize("intent", [Intent.form, Intent.chat])
async def test_who_agrees_with_a_new_request_is_written_to_about_his_old_quote(
    book: Book, quote: Quote, intent: Intent
) -> None:
    async with book.writing() as w:
        line = (await w.session.get(Queue, 1)).line  # type: ignore[union-attr]
        asked = Wanted(line=line, phone="+12025550101", name="Ana", locale="es", intent=intent, method="form",
                       status_token=new_token(), work=None, agreed=(OFFERS,))
        await intake.take_in(w, [asked])
    await ring(book)
    assert len(await all_of(book, Enrolment)) == 1


async def test_a_new_request_without_consent_to_offers_starts_nothing(book: Book, quote: Quote) -> None:
    async with book.writing() as w:
        line = (await w.session.get(Queue, 1)).line  # type: ignore[union-attr]
        asked = Wanted(line=line, phone="+12025550101", name="Ana", locale="es", intent=Intent.form, method="form",
                       status_token=new_token(), work=None, agreed=(Agreed(("requested",), "Llámenme", "1"),))
        await intake.take_in(w, [asked])
    await ring(book)
    assert await all_of(book, Enrolment) == []


async def test_the_agent_notes_what_the_person_says_while_they_talk_and_at_no_other_time(
    book: Book, quote: Quote
) -> None:
    async with book.writing() as w:
        line, lead = await w.session.get(Queue, 1), await w.session.get(Lead, quote.lead_id)
        assert line is not None
        assert lead is not None
        task = await making.task(w, line, lead, agent_id=1, state=TaskState.connecting)
    for agent_id, state in ((1, TaskState.connecting), (2, TaskState.engaged)):
        async with book.writing() as w:
            await w.session.execute(update(Task).where(Task.id == task.id).values(state=state))
        with pytest.raises(Conflict):
            async with book.writing() as w:
                await consenting.spoken(w, task.id, agent_id, OFFERS, "es")
    async with book.writing() as w:
        await consenting.spoken(w, task.id, 1, OFFERS, "es")
    (fact,) = [fact for fact in await all_of(book, Fact) if fact.kind == "consent.given"]
    assert (fact.agent_id, fact.data["method"]) == (1, "voice")


async def test_who_has_said_his_last_word_about_the_quote_is_not_asked_again(book: Book, clock: Clock) -> None:
    quote = await began(book, clock, CALL)
    await end_call(book, Disposition.bought_elsewhere)
    clock.forward(86_400)
    async with book.writing() as w:
        await withdraw(w, quote.lead_id, "commercial", method="link")
        await consenting.give(w, quote.lead_id, OFFERS, Way("link"))
    await ring(book)
    assert (len(await all_of(book, Enrolment)), len(await calls(book))) == (1, 1)


async def test_many_who_agree_by_a_list_are_not_all_looked_at_in_the_same_moment(book: Book, queue: Queue) -> None:
    await taken(book, queue, *(row(n, consent=";;;") for n in range(101, 121)))
    assert await due(book, QUOTE_CHECK) == []
    await taken(book, queue, *(row(n).replace("P-", "R-") for n in range(101, 121)))
    moments = await due(book, QUOTE_CHECK)
    assert len(moments) == 40
    assert len({moment.replace(second=0) for moment in moments}) > 15


async def taken(book: Book, queue: Queue, *rows: str) -> None:
    number = await checked(book, queue, *rows)
    async with book.writing() as w:
        await importing.start(w, number)
    await Importer(book).sweep()
