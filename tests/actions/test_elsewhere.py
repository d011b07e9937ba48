"""Quotes from elsewhere: looked at first, kept once, watched in turn, and never a reason to pester anybody."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from router.actions import elsewhere, importing, nurturing, quoting
from router.actions.elsewhere import PACE, QUOTE_LAPSE
from router.actions.nurturing import QUOTE_CHECK
from router.alarms import Alarms
from router.app import ALARMS
from router.book import Book
from router.importer import Importer
from router.model.alarms import Alarm, AlarmState
from router.model.cadences import Enrolment
from router.model.campaigns import Campaign, Queue
from router.model.consent import Receipt, Withdrawal
from router.model.contacts import Contact
from router.model.errors import Conflict, Forbidden, Invalid
from router.model.facts import Fact
from router.model.imports import Import, ImportKind, ImportRow, ImportState
from router.model.leads import Lead
from router.model.money import Line
from router.model.quotes import Quote, QuoteState
from router.model.sheets import read_sheet
from router.model.suppressions import Suppression
from router.model.tasks import Disposition, Task, TaskKind
from router.store import imports
from tests import making
from tests.conftest import MONDAY_NOON, Clock
from tests.invariants import check

HEAD = "number;phone;name;total;sent;valid until;state;agent;consent;consent text;consent date;consent page\n"
AGREED = "commercial;Sí, quiero ofertas;2026-05-01;https://luz.example/alta"
STALE = timedelta(days=3)


@pytest.fixture
async def queue(book: Book) -> Queue:
    async with book.writing() as w:
        await making.agent(w, "eva", ready=False)
        campaign = await making.campaign(w, stale_seconds=int(STALE.total_seconds()))
        return await making.queue(w, campaign)


def row(n: int, *, until: str = "2027-03-01", state: str = "open", agent: str = "", consent: str = AGREED,
        total: str = "1.234,50 €", sent: str = "2026-05-03", name: str = "Ana Ruiz") -> str:
    return f"P-{n};+1202555{n:04d};{name};{total};{sent};{until};{state};{agent};{consent}\n"


async def uploaded(book: Book, queue: Queue, text: str) -> int:
    sheet = read_sheet(text.encode())
    async with book.writing() as w:
        made = importing.begin(w, queue, 1, sheet, file_name="old.csv", sha256=text.encode().ljust(32)[:32],
                               kind=ImportKind.quotes)
        await w.session.flush()
        await imports.add_rows(w.session, made.id, 1, sheet.rows)
        await importing.received(w, made.id)
    return made.id


async def checked(book: Book, queue: Queue, *rows: str, **basis: str) -> int:
    number = await uploaded(book, queue, HEAD + "".join(rows))
    async with book.writing() as w:
        found = await w.session.get(Import, number)
        assert found is not None
        await importing.check(w, number, found.mapping, basis)
    await Importer(book).sweep()
    return number


async def taken_in(book: Book, queue: Queue, *rows: str, **basis: str) -> int:
    number = await checked(book, queue, *rows, **basis)
    async with book.writing() as w:
        await importing.start(w, number)
    await Importer(book).sweep()
    return number


async def outcomes(book: Book, number: int) -> list[tuple[str, str, str]]:
    async with book.reading() as r:
        await check(r.session)
        rows = await r.session.scalars(select(ImportRow).where(ImportRow.import_id == number).order_by(
            ImportRow.number))
        return [(str(row.outcome or row.expected or ""), row.reason, row.field) for row in rows]


async def all_of(book: Book, noun: Any) -> list[Any]:
    async with book.reading() as r:
        return list(await r.session.scalars(select(noun).order_by(noun.id)))


async def count(book: Book, noun: Any) -> int:
    async with book.reading() as r:
        return await r.session.scalar(select(func.count()).select_from(noun)) or 0


async def due(book: Book, kind: str) -> list[datetime]:
    return [one.due_at for one in await all_of(book, Alarm) if one.kind == kind and one.state is AlarmState.pending]


async def test_a_dry_run_says_who_could_be_contacted_and_why_others_not_and_stores_nobody(
    book: Book, queue: Queue
) -> None:
    async with book.writing() as w:
        w.session.add(Suppression(phone="+12025550104", reason="stop", created_at=w.now))
    number = await checked(
        book, queue, row(101), row(102, consent=";;;"), row(103, consent="yes;;;"), row(104), row(105, state="signed"),
        row(106, until="2026-06-01"), row(107, state="rechazado"), row(108, total="banana"), row(101),
        row(109, until="2026-01-01"), row(110, agent="nobody"), row(111, sent="1900-01-01"), row(112, name="漢"),
        row(113, sent="2999-01-01"), row(114, total="1e9"),
    )
    assert await outcomes(book, number) == [
        ("taken", "", ""), ("kept", "consent.commercial", ""), ("kept", "consent.unproven", ""),
        ("kept", "suppressed.stop", ""), ("kept", "ended.signed", ""), ("kept", "ended.expired", ""),
        ("kept", "ended.declined", ""), ("refused", "amount", "once"), ("duplicate", "in_file", ""),
        ("refused", "before_sent", "valid_until"), ("refused", "owner", "owner"), ("refused", "date_old", "sent"),
        ("refused", "name", "name"), ("refused", "date_future", "sent"), ("refused", "amount_rounded", "once"),
    ]
    (made,) = await all_of(book, Import)
    assert (made.state, made.checked["taken"], made.checked["kept.consent.commercial"]) == (ImportState.checked, 1, 1)
    assert [await count(book, noun) for noun in (Lead, Contact, Quote, Receipt)] == [0, 0, 0, 0]


async def test_a_quote_comes_in_with_its_person_and_the_consent_as_the_file_says_it(book: Book, queue: Queue) -> None:
    number = await taken_in(book, queue, row(101, agent="eva"))
    (quote,), (lead,), (receipt,) = [await all_of(book, noun) for noun in (Quote, Lead, Receipt)]
    assert (quote.state, quote.external_number, quote.total_once, quote.currency) == (
        QuoteState.sent, "P-101", 123450, "EUR")
    assert (quote.agent_id, quote.queue_id, quote.lead_id, quote.customer) == (1, queue.id, lead.id, "Ana Ruiz")
    assert quote.sent_at == quote.idle_base == datetime(2026, 5, 2, 22, tzinfo=UTC)  # midnight in Madrid
    assert quote.valid_until == datetime(2027, 3, 1, 23, tzinfo=UTC)
    assert (receipt.method, receipt.purposes, receipt.text, receipt.page) == (
        "import", ["commercial"], "Sí, quiero ofertas", "https://luz.example/alta")
    assert receipt.client_at == datetime(2026, 5, 1, tzinfo=UTC)
    assert (lead.source["import"], lead.source["row"]) == (number, 1)
    assert await outcomes(book, number) == [("taken", "", "")]
    assert await count(book, Task) == 0
    assert [fact.kind for fact in await all_of(book, Fact) if fact.lead_id == lead.id] == [
        "lead.created", "quote.imported"]


async def test_facts_carry_neither_names_nor_numbers_of_customers(book: Book, queue: Queue) -> None:
    await taken_in(book, queue, row(101))
    told = " ".join(str(fact.data) for fact in await all_of(book, Fact))
    assert "P-101" not in told
    assert "Ana" not in told
    assert "2025550101" not in told


async def test_without_consent_nobody_is_contacted_and_nothing_is_watched(
    book: Book, queue: Queue, clock: Clock
) -> None:
    await taken_in(book, queue, row(101, consent=";;;"), row(102, consent="commercial;;2026-05-01;"))
    assert (await count(book, Quote), await count(book, Receipt)) == (2, 0)
    assert await due(book, QUOTE_CHECK) == []
    clock.forward(5 * 86_400)
    async with book.writing() as w:
        await nurturing.check_quote(w, 1)
    assert await count(book, Task) == 0


async def test_a_consent_stated_for_the_whole_list_is_the_receipt_of_every_row_without_its_own(
    book: Book, queue: Queue
) -> None:
    text = "number;phone;name;total;sent\nP-1;+12025550101;Ana;10;2026-05-03\n"
    number = await uploaded(book, queue, text)
    async with book.writing() as w:
        found = await w.session.get(Import, number)
        assert found is not None
        await importing.check(w, number, found.mapping, {"source": "feria de Valencia", "given_on": "2026-05-01"})
    await Importer(book).sweep()
    async with book.writing() as w:
        await importing.start(w, number)
    await Importer(book).sweep()
    (receipt,) = await all_of(book, Receipt)
    assert receipt.text == "feria de Valencia · 2026-05-01 · old.csv #1"


async def test_an_old_list_gives_no_consent_anew_that_was_taken_back_with_us(book: Book, queue: Queue) -> None:
    async with book.writing() as w:
        await making.lead(w, queue, "+12025550101")
        w.session.add(Withdrawal(receipt_id=1, purpose="commercial", method="link", at=w.now))
    assert await outcomes(book, await taken_in(book, queue, row(101))) == [("kept", "consent.withdrawn", "")]
    assert len(await all_of(book, Receipt)) == 1
    assert await due(book, QUOTE_CHECK) == []


async def test_who_has_agreed_with_us_needs_no_consent_of_the_list(book: Book, queue: Queue) -> None:
    async with book.writing() as w:
        await making.lead(w, queue, "+12025550101")
    assert await outcomes(book, await taken_in(book, queue, row(101, consent=";;;"))) == [("taken", "", "")]
    assert [lead.contact_id for lead in await all_of(book, Lead)] == [1, 1]


@pytest.mark.parametrize(
    ("state", "until", "there"),
    [("signed", "2027-03-01", QuoteState.signed_elsewhere), ("lost", "2027-03-01", QuoteState.declined),
     ("expired", "2026-06-01", QuoteState.expired), ("open", "2026-06-01", QuoteState.expired)],
)
async def test_what_has_ended_elsewhere_is_kept_and_left_alone(
    book: Book, queue: Queue, state: str, until: str, there: QuoteState
) -> None:
    await taken_in(book, queue, row(101, state=state, until=until))
    (quote,) = await all_of(book, Quote)
    assert quote.state is there
    assert quote.ended_at is not None
    assert (await due(book, QUOTE_CHECK), await due(book, QUOTE_LAPSE)) == ([], [])


async def test_the_same_list_twice_makes_nothing_twice(book: Book, queue: Queue) -> None:
    await taken_in(book, queue, row(101), row(102))
    again = await taken_in(book, queue, row(101), row(102))
    assert await outcomes(book, again) == [("duplicate", "known", "")] * 2
    assert [await count(book, noun) for noun in (Quote, Lead, Receipt)] == [2, 2, 2]


async def test_a_known_quote_may_be_valid_for_longer_or_have_ended_and_nothing_else(book: Book, queue: Queue) -> None:
    await taken_in(book, queue, *(row(n) for n in range(101, 106)))
    number = await taken_in(
        book, queue, row(101, until="2027-06-01"), row(102, state="signed"), row(103, total="99"),
        row(104).replace("+12025550104", "+12025550199"), row(105, until="2026-05-10"),
    )
    assert await outcomes(book, number) == [
        ("updated", "valid_until", ""), ("updated", "ended.signed", ""), ("refused", "quote_changed", "number"),
        ("refused", "other_person", "number"), ("updated", "ended.expired", ""),
    ]
    quotes = await all_of(book, Quote)
    assert quotes[0].valid_until == datetime(2027, 6, 1, 22, tzinfo=UTC)
    assert [quote.state for quote in quotes] == [
        QuoteState.sent, QuoteState.signed_elsewhere, QuoteState.sent, QuoteState.sent, QuoteState.expired]
    assert len(await due(book, QUOTE_CHECK)) == 4  # three are open, and one has expired: is it worth one more call?
    assert await outcomes(book, await taken_in(book, queue, row(102))) == [("duplicate", "known", "")]


async def test_old_quotes_are_looked_at_one_by_one_and_only_within_calling_hours(
    book: Book, queue: Queue, clock: Clock
) -> None:
    async with book.writing() as w:
        campaign = await w.session.locked(Campaign, queue.campaign_id)
        assert campaign is not None
        campaign.rule_pack = "standard"
    clock.now = datetime(2026, 11, 24, 0, 57, tzinfo=UTC)  # three minutes to eight in the evening in Washington
    await taken_in(book, queue, *(row(n) for n in range(101, 104)))
    await taken_in(book, queue, row(104))
    morning = datetime(2026, 11, 24, 15, tzinfo=UTC)
    assert await due(book, QUOTE_CHECK) == [clock.now + PACE, morning, morning + PACE, morning + 2 * PACE]


async def test_what_is_not_quiet_yet_waits_for_its_own_day_in_a_line_of_its_own(
    book: Book, queue: Queue, clock: Clock
) -> None:
    await taken_in(book, queue, row(101, sent="2026-11-22"), row(102), row(103, sent="2026-11-22"))
    quiet = datetime(2026, 11, 24, 23, tzinfo=UTC)
    assert await due(book, QUOTE_CHECK) == [quiet + PACE, MONDAY_NOON + PACE, quiet + 2 * PACE]


async def test_a_quiet_quote_from_elsewhere_becomes_a_call_in_its_line_for_its_owner(
    book: Book, queue: Queue, clock: Clock
) -> None:
    await taken_in(book, queue, row(101, agent="eva"))
    clock.forward(PACE.total_seconds())
    await Alarms(book, ALARMS).sweep()
    (enrolment,) = await all_of(book, Enrolment)
    assert (enrolment.reason, await all_of(book, Task)) == ("idle", [])
    clock.forward(timedelta(hours=4).total_seconds())
    await Alarms(book, ALARMS).sweep()
    (task,) = await all_of(book, Task)
    assert (task.kind, task.queue_id, task.quote_id) == (TaskKind.nurture, queue.id, 1)


async def test_its_validity_ends_without_a_link_that_would_expire(book: Book, queue: Queue, clock: Clock) -> None:
    await taken_in(book, queue, row(101))
    clock.now = datetime(2027, 3, 1, 22, 59, tzinfo=UTC)
    async with book.writing() as w:
        await elsewhere.lapse(w, 1)
    assert (await all_of(book, Quote))[0].state is QuoteState.sent
    clock.forward(60)
    async with book.writing() as w:
        await elsewhere.lapse(w, 1)
    assert (await all_of(book, Quote))[0].state is QuoteState.expired
    assert await due(book, QUOTE_CHECK) == [clock.now]  # who let it expire may be asked once more


LINES = [Line("Panel", 1, 10_000, 2100)]


async def _calling(book: Book, queue: Queue, agent_id: int) -> Task:
    """The agent talks with the person about the quote."""
    async with book.writing() as w:
        lead = await w.session.get(Lead, 1)
        assert lead is not None
        return await making.task(w, queue, lead, kind=TaskKind.nurture, quote_id=1, agent_id=agent_id)


async def test_the_agent_who_talks_with_the_person_makes_a_quote_of_ours_of_it(book: Book, queue: Queue) -> None:
    await taken_in(book, queue, row(101, agent="eva"))
    async with book.writing() as w:
        leo = await making.agent(w, "leo", ready=False)
    with pytest.raises(Forbidden):
        async with book.writing() as w:
            await quoting.supersede(w, quote_id=1, agent_id=leo.id, lines=LINES)
    task = await _calling(book, queue, leo.id)
    async with book.writing() as w:
        await quoting.write(w, task, LINES, agent_id=leo.id)
    old, new = await all_of(book, Quote)
    assert (old.state, new.state, new.version, new.number) == (
        QuoteState.superseded, QuoteState.draft, 2, old.number)
    assert (new.external_number, new.agent_id, new.total_once) == (None, leo.id, 12_100)
    assert new.valid_until == MONDAY_NOON + timedelta(days=14)
    assert await due(book, QUOTE_CHECK) == []
    async with book.writing() as w:
        again = await quoting.write(w, task, LINES, agent_id=leo.id)
    assert again.number != old.number


async def test_a_quote_from_elsewhere_has_no_link_to_be_sent(book: Book, queue: Queue) -> None:
    await taken_in(book, queue, row(101, agent="eva"))
    with pytest.raises(Conflict):
        await quoting.send_offer(book, 1, 1)
    with pytest.raises(Conflict):
        async with book.writing() as w:
            await quoting.send_again(w, quote_id=1, agent_id=1)


@pytest.mark.parametrize("missing", ["number", "phone", "name", "total", "sent"])
async def test_without_a_column_that_is_needed_nothing_is_checked(book: Book, queue: Queue, missing: str) -> None:
    number = await uploaded(book, queue, HEAD + row(101))
    async with book.reading() as r:
        found = await r.session.get(Import, number)
        assert found is not None
    field = {"total": "once"}.get(missing, missing)
    mapping = {name: place for name, place in found.mapping.items() if name != field}
    with pytest.raises(Invalid) as refused:
        async with book.writing() as w:
            await importing.check(w, number, mapping, {})
    assert refused.value.pointer == f"/{field}"


async def test_two_lists_at_once_make_one_quote(book: Book, queue: Queue) -> None:
    numbers = [await checked(book, queue, row(101)) for _ in range(2)]
    for number in numbers:
        async with book.writing() as w:
            await importing.start(w, number)
    importer = Importer(book)
    while await importer.sweep():
        pass
    assert await count(book, Quote) == 1


async def test_a_call_that_was_declined_by_its_person_ends_the_nurturing(
    book: Book, queue: Queue, clock: Clock
) -> None:
    await taken_in(book, queue, row(101))
    clock.forward(PACE.total_seconds())
    await Alarms(book, ALARMS).sweep()
    clock.forward(timedelta(hours=4).total_seconds())
    await Alarms(book, ALARMS).sweep()
    (task,) = await all_of(book, Task)
    async with book.writing() as w:
        await nurturing.task_closed(w, task, Disposition.not_interested)
    assert await due(book, QUOTE_CHECK) == []


LINES_HEAD = "number;phone;name;sent;concept;quantity;unit price;tax;period;consent;consent text;consent date\n"


def line_row(n: int, concept: str, price: str, *, head: bool = True, quantity: str = "", period: str = "") -> str:
    person = f"+1202555{n:04d};Ana Ruiz;2026-05-03" if head else ";;"
    agreed = "commercial;Sí, quiero ofertas;2026-05-01" if head else ";;"
    return f"P-{n};{person};{concept};{quantity};{price};21;{period};{agreed}\n"


async def lines_checked(book: Book, queue: Queue, *rows: str) -> int:
    number = await uploaded(book, queue, LINES_HEAD + "".join(rows))
    async with book.writing() as w:
        found = await w.session.get(Import, number)
        assert found is not None
        await importing.check(w, number, found.mapping, {})
    await Importer(book).sweep()
    return number


async def test_rows_with_the_same_number_are_lines_of_one_quote_wherever_they_stand(book: Book, queue: Queue) -> None:
    number = await lines_checked(
        book, queue, line_row(101, "Panel", "100", quantity="2"), line_row(102, "Panel", "50"),
        line_row(101, "Cuota", "10", head=False, period="month"), line_row(103, "Panel", "banana"),
        line_row(103, "Montaje", "5", head=False), line_row(102, "Descuento", "-5"),
    )
    expected = [
        ("taken", "", ""), ("taken", "", ""), ("line", "", ""), ("refused", "amount", "price"),
        ("refused", "lines_other", ""), ("line", "", ""),
    ]
    assert await outcomes(book, number) == expected
    assert await count(book, Quote) == 0
    async with book.writing() as w:
        await importing.start(w, number)
    await Importer(book).sweep()
    assert await outcomes(book, number) == expected
    first, second = await all_of(book, Quote)
    assert [(one["label"], one["quantity"], one["unit_minor"], one["period"]) for one in first.lines] == [
        ("Panel", 2, 10_000, "once"), ("Cuota", 1, 1_000, "month")]
    assert (first.total_once, first.total_month, second.total_once) == (24_200, 1_210, 5_445)
    assert [one.quote_id for one in await rows_of(book, number)] == [1, 2, 1, None, None, 2]
    (made,) = await all_of(book, Import)
    assert (made.counts["taken"], made.counts["line"], made.counts["refused"]) == (2, 2, 2)


async def rows_of(book: Book, number: int) -> list[ImportRow]:
    async with book.reading() as r:
        return list(await r.session.scalars(
            select(ImportRow).where(ImportRow.import_id == number).order_by(ImportRow.number)))


async def row_by_row(book: Book) -> None:
    """Works at the list, a row a transaction."""
    going = True
    while going:
        async with book.writing() as w:
            claimed = await imports.claim(w.session)
            assert claimed is not None
            going = await importing.step(w, claimed, 1)


async def test_lines_of_a_quote_belong_together_also_when_its_rows_come_in_different_transactions(
    book: Book, queue: Queue
) -> None:
    number = await uploaded(book, queue, LINES_HEAD + "".join([
        line_row(101, "Panel", "100"), line_row(102, "Panel", "50"), line_row(101, "Cuota", "10", head=False),
        line_row(102, "Montaje", "x", head=False), line_row(101, "Porte", "1", head=False),
    ]))
    async with book.writing() as w:
        found = await w.session.get(Import, number)
        assert found is not None
        await importing.check(w, number, found.mapping, {})
    expected = [
        ("taken", "", ""), ("refused", "lines_other", ""), ("line", "", ""), ("refused", "amount", "price"),
        ("line", "", ""),
    ]
    await row_by_row(book)
    assert await outcomes(book, number) == expected
    async with book.writing() as w:
        await importing.start(w, number)
    await row_by_row(book)
    assert await outcomes(book, number) == expected
    (quote,) = await all_of(book, Quote)
    assert [one["label"] for one in quote.lines] == ["Panel", "Cuota", "Porte"]
    assert [one.quote_id for one in await rows_of(book, number)] == [1, None, 1, None, 1]


async def test_a_quote_of_too_many_lines_is_refused_with_all_its_rows(book: Book, queue: Queue) -> None:
    number = await lines_checked(book, queue, *(line_row(101, f"Pieza {n}", "1") for n in range(70)))
    assert await outcomes(book, number) == [("refused", "lines", "lines"), *[("refused", "lines_other", "")] * 69]


async def test_a_list_of_lines_twice_makes_no_quote_twice(book: Book, queue: Queue) -> None:
    for expected in (["taken", "line"], ["duplicate", "line"]):
        number = await lines_checked(book, queue, line_row(101, "Panel", "100"), line_row(101, "Cuota", "10"))
        async with book.writing() as w:
            await importing.start(w, number)
        await Importer(book).sweep()
        assert [row[0] for row in await outcomes(book, number)] == expected
    assert await count(book, Quote) == 1


@pytest.mark.parametrize(
    ("mapping", "pointer"),
    [({"price": 4, "once": 5}, "/price"), ({"once": 5, "quantity": 6}, "/price"), ({"line": 4}, "/once")],
)
async def test_a_list_holds_prices_of_lines_or_totals(
    book: Book, queue: Queue, mapping: dict[str, int], pointer: str
) -> None:
    number = await uploaded(book, queue, HEAD + row(101))
    with pytest.raises(Invalid) as refused:
        async with book.writing() as w:
            await importing.check(w, number, {"number": 0, "phone": 1, "name": 2, "sent": 3, **mapping}, {})
    assert refused.value.pointer == pointer
