"""Importing a list: looked at first, taken in by rows, never ringing anybody twice."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text

from router.actions import dispatch, importing, listing, supervising, suppressing
from router.actions.importing import LISTED_AGAIN
from router.actions.intake import take_in
from router.alarms import Alarms
from router.app import ALARMS
from router.book import Book
from router.importer import Importer
from router.model.agents import Agent
from router.model.cadences import Attempt
from router.model.campaigns import Campaign, Queue
from router.model.consent import Receipt
from router.model.errors import Conflict, Invalid
from router.model.imports import Import, ImportRow, ImportState
from router.model.intake import Agreed, Wanted, Work
from router.model.leads import Intent, Lead
from router.model.sheets import read_sheet
from router.model.suppressions import Suppression
from router.model.tasks import TIER_LIST, TIER_NOW, Task, TaskState
from router.model.vault import new_token
from router.ports import LegStage
from router.store import imports
from tests import making
from tests.actions.telephones import Line
from tests.conftest import Clock
from tests.invariants import check

BASIS = {"source": "the fair in Valencia", "given_on": "2026-10-01"}


@pytest.fixture
async def queue(book: Book) -> Queue:
    async with book.writing() as w:
        await making.agent(w, "eva", ready=False)
        return await making.queue(w, await making.campaign(w))


def numbers(count: int, first: int = 100) -> str:
    """A list with so many persons, whose numbers are nobody's."""
    return "Phone;Name\n" + "".join(f"+1202555{first + n:04d};Person {n}\n" for n in range(count))


async def uploaded(book: Book, queue: Queue, text: str, name: str = "list.csv") -> int:
    sheet = read_sheet(text.encode())
    async with book.writing() as w:
        made = importing.begin(w, queue, 1, sheet, file_name=name, sha256=text.encode().ljust(32)[:32])
        await w.session.flush()
    async with book.writing() as w:
        await imports.add_rows(w.session, made.id, 1, sheet.rows)
        await importing.received(w, made.id)
    return made.id


async def checked(book: Book, queue: Queue, text: str, **basis: str) -> int:
    number = await uploaded(book, queue, text)
    async with book.writing() as w:
        found = await w.session.get(Import, number)
        assert found is not None
        await importing.check(w, number, found.mapping, {**BASIS, **basis})
    await Importer(book).sweep()
    return number


async def taken_in(book: Book, queue: Queue, text: str) -> int:
    number = await checked(book, queue, text)
    async with book.writing() as w:
        await importing.start(w, number)
    await Importer(book).sweep()
    return number


async def the(book: Book, number: int) -> Import:
    async with book.reading() as r:
        found = await r.session.get(Import, number)
        assert found is not None
        await check(r.session)
        return found


async def outcomes(book: Book, number: int) -> list[tuple[str, str]]:
    async with book.reading() as r:
        rows = await r.session.scalars(select(ImportRow).where(ImportRow.import_id == number).order_by(
            ImportRow.number))
        return [(str(row.outcome or row.expected or ""), row.reason) for row in rows]


async def count(book: Book, noun: Any) -> int:
    async with book.reading() as r:
        return await r.session.scalar(select(func.count()).select_from(noun)) or 0


async def test_a_dry_run_tells_of_each_row_and_stores_nobody(book: Book, queue: Queue) -> None:
    async with book.writing() as w:
        w.session.add(Suppression(phone="+12025550104", reason="stop", created_at=w.now))
        await making.task(w, queue, await making.lead(w, queue, "+12025550105"))
    before = await count(book, Lead)
    number = await checked(book, queue, "\n".join([
        "Teléfono,Nombre", "202-555-0101,Ana", "+1 202 555 0102,Eva", "+12025550102,Eva again", "banana,x", ",y",
        "2.0255501E+09,z", "+12025550104,stopped", "+12025550105,waits", "+34803123456,premium", "+34600123456,real",
    ]))
    assert await outcomes(book, number) == [
        ("refused", "phone_unknown"), ("taken", ""), ("duplicate", "in_file"), ("refused", "phone_unreadable"),
        ("refused", "phone_missing"), ("refused", "phone_rounded"), ("refused", "suppressed.stop"),
        ("attached", "waits"), ("refused", "phone_kind"), ("refused", "demo.number"),
    ]
    assert (await the(book, number)).state is ImportState.checked
    assert await count(book, Lead) == before


async def test_rows_become_leads_with_a_receipt_and_a_call_behind_everybody_who_asked(
    book: Book, queue: Queue
) -> None:
    number = await taken_in(book, queue, numbers(1))
    async with book.reading() as r:
        (lead,), (task,) = await r.session.scalars(select(Lead)), await r.session.scalars(select(Task))
        (receipt,) = await r.session.scalars(select(Receipt))
    assert (lead.intent, lead.source["import"], lead.claims["name"]) == (Intent.list, number, "Person 0")
    assert (task.tier, task.state) == (TIER_LIST, TaskState.queued)
    assert (receipt.purposes, receipt.method, receipt.client_at) == (
        ["commercial"], "list", datetime(2026, 10, 1, tzinfo=UTC))
    assert "the fair in Valencia" in receipt.text
    assert (await the(book, number)).state is ImportState.done


@pytest.mark.parametrize("basis", [{"source": ""}, {"given_on": ""}, {"given_on": "2027-01-01"}])
async def test_without_a_stated_consent_or_a_column_nothing_is_even_checked(
    book: Book, queue: Queue, basis: dict[str, str]
) -> None:
    with pytest.raises(Invalid):
        await checked(book, queue, numbers(1), **basis)


async def test_a_consent_column_decides_row_by_row(book: Book, queue: Queue) -> None:
    number = await checked(
        book, queue, "phone;consent;consent date\n+12025550101;Sí;\n+12025550102;no;\n+12025550103;;\n"
        "+12025550104;yes;2099-01-01\n+12025550105;да;03/05/2026\n", source="", given_on="",
    )
    assert await outcomes(book, number) == [
        ("taken", ""), ("refused", "no_consent"), ("refused", "no_consent"), ("refused", "consent_date"), ("taken", ""),
    ]


async def test_the_same_list_uploaded_twice_rings_nobody_twice(book: Book, queue: Queue, clock: Clock) -> None:
    await taken_in(book, queue, numbers(3))
    again = await taken_in(book, queue, numbers(3))
    other = await taken_in(book, queue, numbers(3) + "+12025550150;New\n")
    assert await outcomes(book, again) == [("duplicate", "listed")] * 3
    assert await outcomes(book, other) == [*[("duplicate", "listed")] * 3, ("taken", "")]
    assert (await count(book, Lead), await count(book, Task)) == (4, 4)
    clock.forward(LISTED_AGAIN.total_seconds() + 1)
    assert await outcomes(book, await taken_in(book, queue, numbers(3))) == [("duplicate", "listed")] * 3
    assert await count(book, Lead) == 4


class Killed(Exception):
    """The process ends before the commit."""


async def _killed_after_a_step(book: Book) -> None:
    async with book.writing() as w:
        found = await imports.claim(w.session)
        assert found is not None
        assert await importing.step(w, found)
        raise Killed


async def test_killed_between_two_chunks_it_goes_on_where_it_stood(book: Book, queue: Queue) -> None:
    number = await checked(book, queue, numbers(100) + "".join(f"+1212555{100 + n:04d};x\n" for n in range(50)))
    async with book.writing() as w:
        await importing.start(w, number)
    async with book.writing() as w:
        found = await imports.claim(w.session)
        assert found is not None
        assert await importing.step(w, found)

    with pytest.raises(Killed):
        await _killed_after_a_step(book)
    assert ((await the(book, number)).place, await count(book, Lead)) == (64, 64)
    await Importer(book).sweep()
    assert ((await the(book, number)).counts["taken"], await count(book, Lead), await count(book, Task)) == (150,) * 3


async def test_two_replicas_never_work_at_one_import(book: Book, queue: Queue) -> None:
    number = await checked(book, queue, numbers(10))
    async with book.writing() as w:
        await importing.start(w, number)
    async with book.writing() as first, book.writing() as second:
        assert await imports.claim(first.session) is not None
        assert await imports.claim(second.session) is None


async def test_it_can_be_paused_resumed_and_canceled_and_starts_only_once(book: Book, queue: Queue) -> None:
    number = await checked(book, queue, numbers(3))
    async with book.writing() as w:
        await importing.start(w, number)
        await importing.pause(w, number)
    await Importer(book).sweep()
    assert await count(book, Lead) == 0
    async with book.writing() as w:
        await importing.resume(w, number)
    with pytest.raises(Conflict):
        async with book.writing() as w:
            await importing.start(w, number)
    await Importer(book).sweep()
    assert (await the(book, number)).state is ImportState.done
    with pytest.raises(Conflict):
        async with book.writing() as w:
            await importing.cancel(w, number)


async def test_a_row_that_cannot_be_stored_fails_none_of_its_neighbours(book: Book, queue: Queue) -> None:
    number = await uploaded(book, queue, numbers(3))
    async with book.writing() as w:
        found = await w.session.get(Import, number)
        row = await w.session.get(ImportRow, (number, 2))
        assert found is not None
        assert row is not None
        row.cells = [row.cells[0], "a lone surrogate: \ud800".encode("utf-8", "replace").decode() + "x" * 3000]
        await importing.check(w, number, found.mapping, BASIS)
    await Importer(book).sweep()
    assert await outcomes(book, number) == [("taken", ""), ("refused", "too_long"), ("taken", "")]


async def asks(book: Book, queue: Queue, phone: str) -> None:
    """The person himself asks to be called now."""
    async with book.writing() as w:
        await take_in(w, [Wanted(
            line=queue.line, phone=phone, name="", locale="es",
            intent=Intent.call_now, method="widget", status_token=new_token(), work=Work(),
            agreed=(Agreed(("requested",), "Sí", "1"),),
        )])


async def test_who_is_on_a_list_and_asks_to_be_called_waits_as_one_who_asked(book: Book, queue: Queue) -> None:
    await taken_in(book, queue, numbers(1))
    await asks(book, queue, "+12025550100")
    async with book.reading() as r:
        (task,) = await r.session.scalars(select(Task))
    assert (task.tier, task.lane) == (TIER_NOW, f"{queue.campaign_id}/{queue.id}/0/0.0/call/")


async def dialled(book: Book, task_id: int, until: Callable[[], object] = lambda: None) -> Attempt | None:
    """The agent takes the task and, `until` then, picks his telephone up; what the guard said then."""
    async with book.writing() as w:
        agent = await making.agent(w, "leo")
        await dispatch.run_round(w, 1)
        call = await dispatch.accept(w, 1, agent.id)
    assert call is not None
    line = Line(book, task_id, agent.id, call.id)
    until()
    await line.place("agent")
    await line.say("agent", LegStage.answered)
    async with book.reading() as r:
        return await r.session.scalar(select(Attempt))


@pytest.mark.parametrize(("asked", "purpose"), [(False, "commercial"), (True, "requested")])
async def test_a_list_is_dialled_as_commercial_unless_its_person_asks(
    book: Book, queue: Queue, asked: bool, purpose: str
) -> None:
    await taken_in(book, queue, numbers(1))
    if asked:
        await asks(book, queue, "+12025550100")
    attempt = await dialled(book, 1)
    assert attempt is not None
    assert (attempt.purpose, attempt.verdict) == (purpose, "allow")


SPANISH = "phone;name\n600123456;Ana\n600123457;Eva\n"


async def test_outside_calling_hours_a_list_waits_until_they_begin(book: Book, queue: Queue, clock: Clock) -> None:
    await _standard(book, queue)
    await taken_in(book, queue, SPANISH)
    async with book.reading() as r:
        assert {task.state for task in await r.session.scalars(select(Task))} == {TaskState.queued}
    clock.now = datetime(2026, 11, 23, 19, 0, 1, tzinfo=UTC)  # one second past eight in the evening in Madrid
    await Importer(book).rest()
    async with book.reading() as r:
        assert {task.state for task in await r.session.scalars(select(Task))} == {TaskState.scheduled}
        await check(r.session)
    late = await taken_in(book, queue, "phone\n600123458\n")
    assert (await the(book, late)).counts == {"taken": 1}
    clock.now = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)  # a Spanish mobile may be on the Canary Islands
    await Alarms(book, ALARMS).sweep()
    await Importer(book).rest()
    async with book.reading() as r:
        assert [task.state for task in await r.session.scalars(select(Task))] == [TaskState.queued] * 3
        await check(r.session)


async def test_a_list_call_that_may_not_be_made_when_it_is_dialled_is_put_off_and_not_lost(
    book: Book, queue: Queue, clock: Clock
) -> None:
    await _standard(book, queue)
    await taken_in(book, queue, "phone\n600123456\n")
    clock.now = datetime(2026, 11, 23, 18, 59, 58, tzinfo=UTC)
    attempt = await dialled(book, 1, lambda: clock.forward(3))
    assert attempt is not None
    assert attempt.verdict == "defer"
    async with book.reading() as r:
        (task,) = await r.session.scalars(select(Task))
        await check(r.session)
    assert (task.state, task.agent_id) == (TaskState.scheduled, None)


async def test_a_list_call_that_may_not_be_made_rings_at_no_agent(book: Book, queue: Queue, clock: Clock) -> None:
    """Whether its hour is over, or its person has said stop since."""
    await _standard(book, queue)
    await taken_in(book, queue, SPANISH)
    async with book.writing() as w:
        await making.agent(w, "leo")
        await suppressing.suppress_number(w, "+34600123457", "stop")
    clock.now = datetime(2026, 11, 23, 19, 0, 1, tzinfo=UTC)
    async with book.writing() as w:
        leo = await w.session.scalar(select(Agent).where(Agent.login == "leo"))
        assert leo is not None
        leo.heartbeat_at = w.now
        await w.session.flush()
        assert await dispatch.run_round(w, 1) == 0
    async with book.reading() as r:
        tasks = await r.session.scalars(select(Task).order_by(Task.id))
        told = [row[0]["rules"] for row in await r.session.rows(text(
            "select data from facts where kind like 'guard.%' and data->>'when' = 'offer' order by id"))]
        await check(r.session)
    assert [task.state for task in tasks] == [TaskState.scheduled, TaskState.withdrawn]
    assert told == [["standard.hours"], ["suppressed.stop"]]


async def test_a_paused_campaigns_list_rings_at_no_agent(book: Book, queue: Queue) -> None:
    await taken_in(book, queue, numbers(2))
    async with book.writing() as w:
        campaign = await w.session.locked(Campaign, queue.campaign_id)
        assert campaign is not None
        campaign.paused = True
    await Importer(book).rest()
    async with book.reading() as r:
        assert {task.state for task in await r.session.scalars(select(Task))} == {TaskState.scheduled}


async def test_a_campaign_that_goes_on_wakes_its_lists_and_not_what_rests_for_its_hours(
    book: Book, queue: Queue, clock: Clock
) -> None:
    async with book.writing() as w:
        other = await making.queue(w, await making.campaign(w, "sol"), "sol")
    await taken_in(book, queue, numbers(70))
    async with book.writing() as w:
        (deferred,) = await w.session.scalars(select(Task).limit(1))
        await listing.postpone(w, deferred.id, clock.now + timedelta(minutes=10))
        theirs = await making.task(w, other, await making.lead(w, other, "+12025550999"), tier=TIER_LIST)
        for campaign in (queue.campaign_id, other.campaign_id):
            await supervising.set_paused(w, campaign, True, 1)
    await Importer(book).rest()
    clock.forward(60)
    async with book.writing() as w:
        await supervising.set_paused(w, queue.campaign_id, False, 1)
    alarms = Alarms(book, ALARMS)
    while await alarms.sweep():
        pass
    async with book.reading() as r:
        rest = await r.session.scalars(select(Task.id).where(Task.state == TaskState.scheduled))
        assert set(rest) == {deferred.id, theirs.id}
        assert await r.session.scalar(select(func.count()).where(Task.state == TaskState.queued)) == 69
        await check(r.session)


async def test_a_campaign_paused_again_at_once_wakes_nothing(book: Book, queue: Queue) -> None:
    await taken_in(book, queue, numbers(2))
    for paused in (True, False, True):
        async with book.writing() as w:
            await supervising.set_paused(w, queue.campaign_id, paused, 1)
        await Importer(book).rest()
    await Alarms(book, ALARMS).sweep()
    async with book.reading() as r:
        assert {task.state for task in await r.session.scalars(select(Task))} == {TaskState.scheduled}


async def _standard(book: Book, queue: Queue) -> None:
    async with book.writing() as w:
        campaign = await w.session.locked(Campaign, queue.campaign_id)
        assert campaign is not None
        campaign.rule_pack = "standard"


@pytest.mark.parametrize(("seconds", "rows"), [(0.5, 32), (0.001, 64), (0.1, 64)])
async def test_a_slow_machine_gets_smaller_transactions(book: Book, seconds: float, rows: int) -> None:
    importer = Importer(book)
    importer._fit(seconds)
    assert importer.most == rows
