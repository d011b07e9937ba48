"""Nurturing: the guard's recorded answers, and what becomes of a quote that has gone quiet."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from router.actions import dispatch, guarding, wrapping
from router.actions.enrolling import QUOTE_CHECK, STEP_DUE
from router.actions.guarding import permit, refund
from router.actions.nurturing import check_quote, quote_ended
from router.actions.stepping import step_due
from router.book import Book, Writing
from router.model.alarms import Alarm, AlarmState
from router.model.budgets import Budget
from router.model.cadences import Attempt, Enrolment, EnrolmentState, Step, StepState
from router.model.campaigns import Campaign
from router.model.consent import Receipt
from router.model.contacts import Contact
from router.model.guard import Purpose
from router.model.packs import shipped
from router.model.quotes import Quote, QuoteState
from router.model.suppressions import Suppression
from router.model.tasks import TIER_STALE, Disposition, Task, TaskKind, TaskState
from router.ports import LegOutcome, LegStage
from router.store import alarms, facts
from tests import making
from tests.actions.telephones import accepted
from tests.conftest import MONDAY_NOON, Clock
from tests.invariants import check

STALE = 100


async def quiet_quote(
    w: Writing, *, phone: str = "+12025550101", state: QuoteState = QuoteState.sent, **campaign: Any
) -> Quote:
    """A sent quote of a lead whose call is over."""
    brand = await making.campaign(w, **{"stale_seconds": STALE, **campaign})
    await making.cadence(w, brand, {}, {"delay": 4}, {"delay": 1, "unit": "bd"})
    queue = await making.queue(w, brand)
    lead = await making.lead(w, queue, phone)
    await making.task(w, queue, lead, state=TaskState.closed, disposition=Disposition.quote_sent)
    return await another_quote(w, lead.contact_id, lead.id, queue.campaign_id, state=state)


async def another_quote(
    w: Writing, contact_id: int, lead_id: int, campaign_id: int, *, state: QuoteState = QuoteState.sent
) -> Quote:
    agent = await making.agent(w, f"agent{len(await w.session.scalars(select(Quote)))}", ready=False)
    quote = Quote(
        campaign_id=campaign_id,
        contact_id=contact_id,
        lead_id=lead_id,
        agent_id=agent.id,
        number=f"Q-{agent.id}",
        state=state,
        locale="es",
        currency="EUR",
        lines=[],
        total_once=0,
        total_month=0,
        valid_until=w.now + timedelta(days=30),
        created_at=w.now,
        idle_base=w.now,
        sent_at=w.now,
    )
    w.session.add(quote)
    await w.session.flush()
    return quote


@pytest.fixture
async def quote(book: Book) -> Quote:
    async with book.writing() as w:
        return await quiet_quote(w)


async def look(book: Book, quote: Quote) -> None:
    """The alarm rings: done first, then its handler, as the sweep does it."""
    async with book.writing() as w:
        await alarms.cancel(w.session, QUOTE_CHECK, quote.id, w.now)
        await check_quote(w, quote.id)
    async with book.reading() as r:
        await check(r.session)


async def all_of(book: Book, noun: Any) -> list[Any]:
    async with book.reading() as r:
        return list(await r.session.scalars(select(noun).order_by(noun.id)))


async def due(book: Book) -> list[datetime]:
    return [
        one.due_at for one in await all_of(book, Alarm) if one.state is AlarmState.pending and one.kind == QUOTE_CHECK
    ]


async def calls(book: Book) -> list[Task]:
    return [task for task in await all_of(book, Task) if task.kind is TaskKind.nurture]


async def finish_call(book: Book, disposition: Disposition) -> None:
    """The waiting nurture call is held and comes to this end."""
    (waiting,) = [task for task in await calls(book) if task.state is TaskState.queued]
    async with book.writing() as w:
        for state in (TaskState.reserved, TaskState.connecting, TaskState.engaged, TaskState.wrapping):
            assert await w.move(Task, waiting.id, state)
        assert await wrapping.close_task(w, waiting.id, disposition)


async def test_a_quote_that_is_still_fresh_is_looked_at_again_when_it_is_not(
    book: Book, clock: Clock, quote: Quote
) -> None:
    clock.forward(STALE - 1)
    await look(book, quote)
    assert await calls(book) == []
    assert await due(book) == [MONDAY_NOON + timedelta(seconds=STALE)]


async def test_a_quiet_quote_enrols_its_person_and_queues_a_call(book: Book, clock: Clock, quote: Quote) -> None:
    clock.forward(STALE)
    with book.hub.watch("dispatch") as dispatch:
        await look(book, quote)
        assert await dispatch.changed()
    (task,), (enrolment,) = await calls(book), await all_of(book, Enrolment)
    assert (task.state, task.tier, task.quote_id, task.lead_id) == (
        TaskState.queued,
        TIER_STALE,
        quote.id,
        quote.lead_id,
    )
    assert (enrolment.state, enrolment.reason) == (EnrolmentState.awaiting_agent, "never_opened")
    assert await due(book) == []
    async with book.reading() as r:
        told = [fact.kind for fact in await facts.of_lead(r.session, quote.lead_id)]
    assert told == [
        "enrolment.active", "step.planned", "guard.allow", "enrolment.awaiting_agent", "step.waiting", "task.queued",
    ]  # fmt: skip


async def test_an_opened_quote_says_so(book: Book, clock: Clock) -> None:
    async with book.writing() as w:
        quote = await quiet_quote(w, state=QuoteState.opened)
        quote.last_open_at = w.now
    clock.forward(STALE)
    await look(book, quote)
    assert (await all_of(book, Enrolment))[0].reason == "opened_unsigned"


async def test_one_quiet_is_one_call_however_often_and_wherever_it_is_looked_at(
    book: Book, clock: Clock, quote: Quote
) -> None:
    shipped()  # reading the packs' files for the first time is no part of the race
    clock.forward(STALE)
    await asyncio.gather(*(look(book, quote) for _ in range(6)))
    await look(book, quote)
    assert len(await calls(book)) == len(await all_of(book, Enrolment)) == 1


@pytest.mark.parametrize("state", [one for one in QuoteState if one not in (QuoteState.sent, QuoteState.opened)])
async def test_a_quote_that_is_not_open_is_left_alone(book: Book, clock: Clock, state: QuoteState) -> None:
    async with book.writing() as w:
        quote = await quiet_quote(w, state=state)
    clock.forward(STALE)
    await look(book, quote)
    assert (await calls(book), await due(book)) == ([], [])


async def test_the_guards_later_moves_the_alarm(book: Book, clock: Clock) -> None:
    clock.now = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
    async with book.writing() as w:
        quote = await quiet_quote(w, phone="+34600000001", rule_pack="standard")
    clock.forward(STALE)
    await look(book, quote)
    assert await due(book) == [datetime(2026, 11, 23, 10, 0, tzinfo=UTC)], "ten o'clock on the Canaries too"
    assert await calls(book) == []
    clock.now = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
    await look(book, quote)
    assert len(await calls(book)) == 1


async def test_after_the_guards_no_it_is_looked_at_only_when_something_changes(
    book: Book, clock: Clock, quote: Quote
) -> None:
    async with book.writing() as w:
        w.session.add(Suppression(phone="+12025550101", reason="stop", created_at=w.now))
    clock.forward(STALE)
    await look(book, quote)
    assert (await calls(book), await all_of(book, Enrolment)) == ([], [])
    assert all(at > clock.now + timedelta(days=20) for at in await due(book)), "when it is about to expire"


async def test_who_was_not_reached_is_called_again_as_his_cadence_says(
    book: Book, clock: Clock, quote: Quote
) -> None:
    clock.forward(STALE)
    await look(book, quote)
    for turn in (1, 2, 3):
        assert len(await calls(book)) == turn
        await finish_call(book, Disposition.no_answer)
        await steps_due(book, clock)
    (enrolment,) = await all_of(book, Enrolment)
    assert (enrolment.state, enrolment.exit_reason, enrolment.calls) == (EnrolmentState.exited, "done", 3)
    assert [step.state for step in await all_of(book, Step)] == [StepState.done] * 3


async def steps_due(book: Book, clock: Clock) -> None:
    """Time passes until the planned step's alarm rings."""
    for alarm in await all_of(book, Alarm):
        if alarm.state is AlarmState.pending and alarm.kind == STEP_DUE:
            clock.now = max(clock.now, alarm.due_at)
            async with book.writing() as w:
                assert await alarms.take(w.session, alarm.id, w.now)
                await step_due(w, alarm.subject_id)


async def test_who_was_reached_begins_another_quiet(book: Book, clock: Clock, quote: Quote) -> None:
    clock.forward(STALE)
    await look(book, quote)
    clock.forward(30)
    await finish_call(book, Disposition.callback)
    assert await due(book) == [clock.now + timedelta(seconds=STALE)]
    clock.forward(STALE)
    await look(book, quote)
    assert [one.state for one in await all_of(book, Enrolment)] == [
        EnrolmentState.exited,
        EnrolmentState.awaiting_agent,
    ]
    assert len(await calls(book)) == 2


@pytest.mark.parametrize(
    "disposition", [Disposition.not_interested, Disposition.do_not_call, Disposition.wrong_number, Disposition.sold]
)
async def test_after_a_final_word_nobody_calls_again(
    book: Book, clock: Clock, quote: Quote, disposition: Disposition
) -> None:
    clock.forward(STALE)
    await look(book, quote)
    await finish_call(book, disposition)
    assert await due(book) == []
    assert (await all_of(book, Enrolment))[0].exit_reason == disposition


async def test_of_two_quiet_quotes_of_a_person_the_newer_one_counts(book: Book, clock: Clock, quote: Quote) -> None:
    async with book.writing() as w:
        second = await another_quote(w, quote.contact_id, quote.lead_id, quote.campaign_id)
    clock.forward(STALE)
    await look(book, quote)
    assert await calls(book) == []
    assert await due(book) == [clock.now + timedelta(seconds=STALE)], "it is not forgotten"
    await look(book, second)
    assert [task.quote_id for task in await calls(book)] == [second.id]


async def test_a_quiet_quote_waits_while_its_person_is_inside_the_cadence_of_another(
    book: Book, clock: Clock, quote: Quote
) -> None:
    clock.forward(STALE)
    await look(book, quote)
    async with book.writing() as w:
        second = await another_quote(w, quote.contact_id, quote.lead_id, quote.campaign_id)
    await finish_call(book, Disposition.no_answer)
    clock.forward(STALE)
    await look(book, second)
    assert [task.quote_id for task in await calls(book)] == [quote.id]
    assert await due(book) == [clock.now + timedelta(seconds=STALE)], "it is not forgotten"


async def test_a_signature_ends_the_cadence_and_withdraws_the_waiting_call(
    book: Book, clock: Clock, quote: Quote
) -> None:
    clock.forward(STALE)
    await look(book, quote)
    for _ in range(2):
        async with book.writing() as w:
            await quote_ended(w, quote.id, "signed")
    (task,), (enrolment,) = await calls(book), await all_of(book, Enrolment)
    assert (task.state, enrolment.state, enrolment.exit_reason) == (
        TaskState.withdrawn,
        EnrolmentState.exited,
        "signed",
    )
    async with book.reading() as r:
        told = [fact.kind for fact in await facts.of_lead(r.session, quote.lead_id)]
        await check(r.session)
    assert told[-3:] == ["enrolment.exited", "task.withdrawn", "step.canceled"]


async def test_a_signature_before_the_quiet_cancels_the_look(book: Book, quote: Quote) -> None:
    await look(book, quote)
    assert len(await due(book)) == 1
    async with book.writing() as w:
        await quote_ended(w, quote.id, "signed")
    assert await due(book) == []


async def test_a_call_that_is_already_held_goes_on_after_the_signature(book: Book, clock: Clock, quote: Quote) -> None:
    clock.forward(STALE)
    await look(book, quote)
    async with book.writing() as w:
        await making.agent(w, "ana")
        assert await dispatch.run_round(w, 1) == 1
    async with book.writing() as w:
        await quote_ended(w, quote.id, "signed")
    assert (await calls(book))[0].state is TaskState.reserved


# The guard's answers as rows


async def ask(book: Book, purpose: Purpose = Purpose.commercial, campaign_id: int = 1) -> tuple[int, str]:
    async with book.writing() as w:
        campaign = await w.session.get(Campaign, campaign_id)
        contact = await w.session.scalar(select(Contact).where(Contact.campaign_id == campaign_id))
        assert campaign is not None
        assert contact is not None
        attempt, verdict = await permit(w, campaign, contact, channel="call", purpose=purpose, lead_id=None)
        return attempt.id, verdict.word


@pytest.fixture
async def callable_person(book: Book) -> None:
    """A person in two campaigns with the standard rules."""
    async with book.writing() as w:
        for key in ("luz", "gas"):
            queue = await making.queue(w, await making.campaign(w, key, rule_pack="standard"))
            await making.lead(w, queue, "+34600000001")


@pytest.mark.usefixtures("callable_person")
async def test_every_answer_is_recorded_with_its_rules(book: Book, clock: Clock) -> None:
    key, word = await ask(book)
    (attempt,) = await all_of(book, Attempt)
    assert (attempt.id, attempt.verdict, attempt.at, bool(attempt.rules), word) == (
        key,
        "allow",
        clock.now,
        True,
        "allow",
    )
    assert (await ask(book))[1] == "defer"
    assert [one.verdict for one in await all_of(book, Attempt)] == ["allow", "defer"]


@pytest.mark.usefixtures("callable_person")
async def test_caps_count_by_number_across_campaigns(book: Book, clock: Clock) -> None:
    assert (await ask(book))[1] == "allow"
    clock.forward(3 * 3600)
    assert (await ask(book, campaign_id=2))[1] == "allow"
    clock.forward(3 * 3600)
    assert (await ask(book))[1] == (await ask(book, campaign_id=2))[1] == "defer"


@pytest.mark.usefixtures("callable_person")
async def test_two_at_once_never_share_the_last_place(book: Book) -> None:
    words = [word for _, word in await asyncio.gather(*(ask(book, campaign_id=1 + n % 2) for n in range(8)))]
    assert sorted(words) == ["allow"] + ["defer"] * 7


@pytest.mark.usefixtures("callable_person")
async def test_a_try_that_never_rang_gives_its_place_and_money_back_once(book: Book) -> None:
    key, _ = await ask(book)
    async with book.writing() as w:
        w.spend(10, {"number:+34600000001": 300, "campaign:1": 20_000, "all": 100_000})
    for _ in range(2):
        async with book.writing() as w:
            await refund(w, key)
    assert (await ask(book))[1] == "allow"
    async with book.reading() as r:
        assert {row.used for row in await r.session.scalars(select(Budget))} == {0}


@pytest.mark.usefixtures("callable_person")
async def test_a_suppression_counts_in_every_campaign_for_every_purpose_until_lifted(book: Book) -> None:
    async with book.writing() as w:
        w.session.add(Suppression(phone="+34600000001", reason="stop", created_at=w.now))
    for purpose in Purpose:
        assert (await ask(book, purpose))[1] == (await ask(book, purpose, 2))[1] == "deny"
    async with book.writing() as w:
        for one in await w.session.scalars(select(Suppression)):
            one.lifted_at = w.now
    assert (await ask(book))[1] == "allow"


@pytest.mark.usefixtures("callable_person")
async def test_consent_is_what_the_receipts_of_the_person_say(book: Book) -> None:
    async with book.writing() as w:
        contact = Contact(campaign_id=1, phone="+34600000002", name="x", locale="es", created_at=w.now)
        w.session.add(contact)
        await w.session.flush()
        campaign = await w.session.get(Campaign, 1)
        assert campaign is not None
        assert (await guarding.ask_guard(w, campaign, contact, Purpose.commercial)).rules == ("consent.commercial",)
        w.session.add(
            Receipt(
                campaign_id=1,
                contact_id=contact.id,
                lead_id=None,
                purposes=["commercial"],
                text="",
                text_sha256="",
                version="1",
                method="x",
                address="",
                user_agent="",
                page="",
                given_at=w.now,
            )
        )
        assert (await guarding.ask_guard(w, campaign, contact, Purpose.commercial)).allowed


async def test_a_quote_is_not_quiet_while_somebody_talks_with_the_person_and_rests_anew_afterwards(
    book: Book, clock: Clock
) -> None:
    line = await accepted(book, stale_seconds=STALE)
    await line.both_there()
    task = await line.task()
    async with book.writing() as w:
        quote = await another_quote(w, task.contact_id, task.lead_id, task.campaign_id)
    clock.forward(STALE)
    await look(book, quote)
    assert await calls(book) == []
    assert await due(book) == [clock.now + timedelta(seconds=STALE)]
    await line.say("customer", LegStage.ended, LegOutcome.completed)
    (rested,) = await all_of(book, Quote)
    assert rested.idle_base == clock.now
