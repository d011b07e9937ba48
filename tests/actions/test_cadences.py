"""Cadences: steps at their moment, texts with the guard's yes, and an end whatever happens."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from router.actions import cadencing, configuring, enrolling, hearing, nurturing, publishing, stepping, wrapping
from router.alarms import Alarms
from router.app import ALARMS
from router.book import Book, Writing
from router.inquirer import Inquirer
from router.model.alarms import Alarm, AlarmState
from router.model.cadences import AnswerRate, CadenceVersion, Enrolment, EnrolmentState, Step
from router.model.campaigns import Campaign
from router.model.configuration import read
from router.model.consent import Receipt
from router.model.contacts import Contact
from router.model.deliveries import Delivery, DeliveryKind
from router.model.errors import Conflict, Invalid
from router.model.leads import Intent, Lead
from router.model.quotes import Quote, QuoteState
from router.model.registers import Inquiry
from router.model.signings import Signing, SigningState
from router.model.suppressions import Suppression
from router.model.tasks import TIER_HOT, Disposition, Task, TaskKind, TaskState
from router.model.vault import hash_token
from router.model.zones import ZoneSource
from router.ports import Channel, MessageArrived, RegisterAnswer, RegisterDoor
from router.store import addresses, cadences, facts, packs
from tests import making
from tests.actions.test_nurturing import another_quote
from tests.conftest import Clock
from tests.invariants import check

STALE = 100
PHONE = "+12025550101"
SMS = {"channel": "sms", "template": "offer_again"}
CALL: dict[str, Any] = {}


async def quiet(w: Writing, *steps: dict[str, Any], **campaign: Any) -> Quote:
    """A sent quote with a link, in a campaign with this cadence."""
    brand = await making.campaign(w, **{"stale_seconds": STALE, **campaign})
    await making.cadence(w, brand, *steps)
    queue = await making.queue(w, brand)
    lead = await making.lead(w, queue, PHONE)
    await making.task(w, queue, lead, state=TaskState.closed, disposition=Disposition.quote_sent)
    quote = await another_quote(w, lead.contact_id, lead.id, queue.campaign_id)
    w.session.add(Signing(
        quote_id=quote.id, campaign_id=quote.campaign_id, contact_id=quote.contact_id, lead_id=quote.lead_id,
        state=SigningState.delivered, phone=PHONE, link_hash=hash_token("link"), expires_at=quote.valid_until,
        created_at=w.now,
    ))
    await w.session.flush()
    return quote


async def began(book: Book, clock: Clock, *steps: dict[str, Any], **campaign: Any) -> Quote:
    """A quiet quote whose cadence has begun: its first step's moment has come."""
    async with book.writing() as w:
        quote = await quiet(w, *steps, **campaign)
        await w.session.execute(
            update(Contact).where(Contact.id == quote.contact_id)
            .values(zone="Europe/Madrid", zone_source=ZoneSource.stated)
        )
    clock.forward(STALE)
    async with book.writing() as w:
        await nurturing.check_quote(w, quote.id)
    await ring(book)
    return quote


async def ring(book: Book) -> None:
    """The alarms that are due, as the sweep rings them; no rule is broken afterwards, and none failed."""
    await Alarms(book, ALARMS).sweep()
    async with book.reading() as r:
        await check(r.session)
    assert [one for one in await all_of(book, Alarm) if one.failures] == []


async def all_of(book: Book, noun: Any) -> list[Any]:
    async with book.reading() as r:
        return list(await r.session.scalars(select(noun).order_by(noun.id)))


async def the_enrolment(book: Book) -> Enrolment:
    found = await all_of(book, Enrolment)
    assert found
    return found[-1]


async def steps(book: Book) -> list[tuple[int, str]]:
    return [(step.n, step.state.value) for step in sorted(await all_of(book, Step), key=lambda one: one.n)]


async def texts(book: Book) -> list[Delivery]:
    return [one for one in await all_of(book, Delivery) if one.kind is DeliveryKind.message]


async def calls(book: Book) -> list[Task]:
    return [task for task in await all_of(book, Task) if task.kind is TaskKind.nurture]


async def end_call(book: Book, disposition: Disposition) -> None:
    (task,) = [one for one in await calls(book) if one.state is TaskState.queued]
    async with book.writing() as w:
        for state in (TaskState.reserved, TaskState.connecting, TaskState.engaged, TaskState.wrapping):
            assert await w.move(Task, task.id, state)
        assert await wrapping.close_task(w, task.id, disposition)


async def told(book: Book, lead_id: int) -> list[str]:
    async with book.reading() as r:
        return [fact.kind for fact in await facts.of_lead(r.session, lead_id)]


def says(text: str, **values: Any) -> MessageArrived:
    return MessageArrived(**{
        "carrier_id": f"SM-{text}", "sender": PHONE, "to": "+34910000000", "text": text, "channel": Channel.sms,
        **values,
    })  # fmt: skip


# Steps


async def test_a_text_leaves_with_a_new_link_beside_which_the_first_stays_good(book: Book, clock: Clock) -> None:
    quote = await began(book, clock, SMS, {**CALL, "delay": 4})
    (text,) = await texts(book)
    (signing,) = await all_of(book, Signing)
    body = book.vault.open("texts", text.sealed_text or b"").decode()
    token = body.split("/q/")[1].split()[0]
    assert (hash_token(token), signing.link_hash) == (signing.again_hash, hash_token("link"))
    assert "[link]" in (text.shown_text or "")
    assert token not in (text.shown_text or "")
    assert "STOP" in body, "how to stop"
    assert text.attempt_id is not None
    assert await steps(book) == [(1, "done"), (2, "planned")]
    assert (await the_enrolment(book)).messages == 1
    (fresh,) = await all_of(book, Quote)
    assert fresh.idle_base == quote.idle_base, "our own text moves nothing"


async def test_a_step_by_mail_leaves_by_mail_where_he_gave_an_address_and_else_takes_another_way(
    book: Book, clock: Clock
) -> None:
    book.can_mail = True
    by_mail = {"channel": "email", "otherwise": ["sms"], "template": "offer_again"}
    async with book.writing() as w:
        quote = await quiet(w, by_mail, {**by_mail, "delay": 1}, mail_from="hola@luzclara.example")
        lead = await w.session.get(Lead, quote.lead_id)
        assert lead is not None
        lead.claims = {"email": "carmen@ruiz.example"}
    clock.forward(STALE)
    async with book.writing() as w:
        await nurturing.check_quote(w, quote.id)
    await ring(book)
    (mail,) = [one for one in await all_of(book, Delivery) if one.kind is DeliveryKind.mail]
    assert "[link]" in (mail.shown_text or "")
    async with book.writing() as w:
        await addresses.suppress(w.session, "carmen@ruiz.example", "unsubscribed", w.now)
    clock.forward(3600)
    await ring(book)
    assert [one.kind for one in await all_of(book, Delivery)] == [DeliveryKind.mail, DeliveryKind.message]
    assert [one.way for one in await all_of(book, Step)] == ["email", "sms"]


async def test_the_call_comes_after_its_delay_and_waits_for_an_agent(book: Book, clock: Clock) -> None:
    await began(book, clock, SMS, {**CALL, "delay": 4, "tier": 5})
    clock.forward(4 * 3600 - 1)
    await ring(book)
    assert await calls(book) == []
    clock.forward(1)
    await ring(book)
    (call,) = await calls(book)
    assert (call.state, call.tier) == (TaskState.queued, 5)
    assert (await the_enrolment(book)).state is EnrolmentState.awaiting_agent


async def test_a_step_never_happens_twice_however_often_its_alarm_rings(book: Book, clock: Clock) -> None:
    await began(book, clock, SMS, CALL)
    (step, _) = await all_of(book, Step)

    async def again() -> None:
        async with book.writing() as w:
            await stepping.step_due(w, step.id)

    for _ in range(3):
        await again()
    assert len(await texts(book)) == 1


async def test_a_step_before_its_moment_waits_for_it(book: Book, clock: Clock) -> None:
    await began(book, clock, SMS, {**SMS, "delay": 2})
    async with book.writing() as w:
        await stepping.step_due(w, 2)
    assert len(await texts(book)) == 1
    assert len([one for one in await all_of(book, Alarm)
                if one.state is AlarmState.pending and one.kind == enrolling.STEP_DUE]) == 1


async def test_late_steps_are_planned_anew_and_leave_in_no_burst(book: Book, clock: Clock) -> None:
    async with book.writing() as w:
        await quiet(w, SMS, {**SMS, "delay": 1, "not_after": 60})
        campaign = await w.session.get(Campaign, 1)
        queue = await making.queue(w, campaign, "more") if campaign else None
        assert queue is not None
        for number in range(2, 8):
            lead = await making.lead(w, queue, f"+1202555010{number}")
            quote = await another_quote(w, lead.contact_id, lead.id, 1)
            w.session.add(Signing(
                quote_id=quote.id, campaign_id=1, contact_id=quote.contact_id, lead_id=quote.lead_id,
                state=SigningState.delivered, phone=PHONE, link_hash=hash_token(f"link{number}"),
                expires_at=quote.valid_until, created_at=w.now,
            ))
            await making.task(w, queue, lead, state=TaskState.closed)
    clock.forward(STALE)
    for quote in await all_of(book, Quote):
        async with book.writing() as w:
            await nurturing.check_quote(w, quote.id)
    await ring(book)
    assert len(await texts(book)) == 7
    clock.forward(24 * 3600)  # the house was down
    await ring(book)
    assert len(await texts(book)) == 7, "nothing leaves at once"
    again = [one.due_at for one in await all_of(book, Step) if one.n == 2]
    assert len(set(again)) == 7
    assert all(clock.now <= at < clock.now + timedelta(minutes=30) for at in again)
    clock.forward(30 * 60)
    await ring(book)
    assert len(await texts(book)) == 14, "nothing is lost"


async def test_the_guards_later_puts_a_step_off_with_its_reason(book: Book, clock: Clock) -> None:
    async with book.writing() as w:
        quote = await quiet(w, SMS, countries=["US", "ES"], rule_pack="standard", timezone="Europe/Madrid")
    clock.now = datetime.fromisoformat("2026-11-26T15:00+00:00")
    async with book.writing() as w:
        await nurturing.check_quote(w, quote.id)
        w.session.add(Receipt(
            campaign_id=1, contact_id=quote.contact_id, lead_id=quote.lead_id, purposes=["commercial"], text="",
            text_sha256="", version="1", method="x", address="", user_agent="", page="", given_at=w.now,
        ))
    clock.now = datetime.fromisoformat("2026-11-27T01:30+00:00")
    await ring(book)
    assert await texts(book) == []


async def test_a_taken_back_consent_ends_it_before_the_next_text(book: Book, clock: Clock) -> None:
    quote = await began(book, clock, SMS, {**SMS, "delay": 1})
    async with book.writing() as w:
        w.session.add(Suppression(phone=PHONE, reason="asked", created_at=w.now))
    clock.forward(3600)
    await ring(book)
    enrolment = await the_enrolment(book)
    assert (len(await texts(book)), enrolment.exit_reason) == (1, "suppressed.asked")
    assert quote.id == enrolment.quote_id


async def test_a_paused_campaign_rests_and_goes_on(book: Book, clock: Clock) -> None:
    await began(book, clock, SMS, {**SMS, "delay": 1})
    async with book.writing() as w:
        campaign = await w.session.get(Campaign, 1)
        assert campaign is not None
        campaign.paused = True
    clock.forward(3600)
    await ring(book)
    assert len(await texts(book)) == 1
    async with book.writing() as w:
        campaign = await w.session.get(Campaign, 1)
        assert campaign is not None
        campaign.paused = False
    clock.forward(15 * 60)
    await ring(book)
    assert len(await texts(book)) == 2


REGISTER = """
[[registers]]
id = "demo-register"
words = "A register is consulted before calls."
source = "a test"
verified = true
channels = ["call"]
key = "tps"
max_age_days = 28
"""
SERVICE = """
[[registers]]
name = "tps"
url = "https://register.example/check"
secret = "known by this"
"""


class Unlisted:
    """A register that lists nobody."""

    async def ask(self, door: RegisterDoor, phone: str) -> RegisterAnswer:
        return RegisterAnswer(False)


async def test_what_waits_for_a_registers_answer_is_neither_lost_nor_early(book: Book, clock: Clock) -> None:
    inquirer = Inquirer(book, {"http": Unlisted()})
    async with book.writing() as w:
        await publishing.publish(w, packs.of_program()["demo"].replace("version = 1", "version = 2", 1) + REGISTER)
        await configuring.apply(w, read(SERVICE), {})
        quote = await quiet(w, SMS, {**CALL, "delay": 3}, {**CALL, "delay": 1})
    clock.forward(STALE)
    async with book.writing() as w:
        await nurturing.check_quote(w, quote.id)
    assert await all_of(book, Enrolment) == [], "the register has not answered"
    await inquirer.sweep()
    clock.forward(60)
    async with book.writing() as w:
        await nurturing.check_quote(w, quote.id)
        await w.session.execute(update(Inquiry).values(until=w.now - timedelta(seconds=1)))
    await ring(book)
    assert (len(await texts(book)), await steps(book)) == (1, [(1, "done"), (2, "planned")])
    due = (await all_of(book, Step))[1].due_at
    assert due >= clock.now + timedelta(hours=3), "a call planned for later is not brought forward"
    clock.now = due
    await ring(book)
    assert (await calls(book), (await all_of(book, Step))[1].due_at) == ([], due + timedelta(minutes=1))
    clock.forward(60)
    await inquirer.sweep()
    await ring(book)
    assert len(await calls(book)) == 1


# Calls and what follows from them


async def test_a_busy_line_is_called_once_more_in_ten_minutes(book: Book, clock: Clock) -> None:
    await began(book, clock, CALL, {**CALL, "delay": 4})
    await end_call(book, Disposition.busy)
    assert await steps(book) == [(1, "planned")]
    clock.forward(600)
    await ring(book)
    await end_call(book, Disposition.busy)
    enrolment = await the_enrolment(book)
    assert (enrolment.calls, enrolment.outcomes) == (2, ["busy", "busy"])
    assert await steps(book) == [(1, "done"), (2, "planned")]


async def test_who_did_not_answer_is_called_in_another_part_of_the_day_and_told_by_text(
    book: Book, clock: Clock
) -> None:
    await began(book, clock, CALL, {**CALL, "delay": 1})
    await end_call(book, Disposition.no_answer)
    await ring(book)
    (text,) = await texts(book)
    assert text.purpose == "missed_you"
    (first, second) = await all_of(book, Step)
    assert second.due_at >= clock.now + timedelta(hours=2)
    assert first.band == "13-16", "noon in London is one o'clock in Madrid"
    async with book.reading() as r:
        assert await cadences.tried_bands(r.session, 1, r.now) == ("13-16",)


async def test_a_call_nobody_takes_is_hurried_once_and_then_left_out(book: Book, clock: Clock) -> None:
    await began(book, clock, CALL, {**SMS, "delay": 1})
    clock.forward(8 * 3600)
    await ring(book)
    (call,) = await calls(book)
    assert (call.state, call.tier) == (TaskState.queued, 5)
    clock.forward(8 * 3600)
    await ring(book)
    assert (await calls(book))[0].state is TaskState.withdrawn
    assert await steps(book) == [(1, "skipped"), (2, "planned")]
    assert next(one.reason for one in await all_of(book, Step)) == "unstaffed"


async def test_a_wrong_number_ends_all_that_needs_it(book: Book, clock: Clock) -> None:
    await began(book, clock, CALL, {**SMS, "delay": 1})
    await end_call(book, Disposition.wrong_number)
    enrolment = await the_enrolment(book)
    assert (enrolment.state, enrolment.exit_reason) == (EnrolmentState.exited, "wrong_number")


async def test_what_nobody_classified_waits_for_a_supervisor(book: Book, clock: Clock) -> None:
    await began(book, clock, CALL, {**SMS, "delay": 1})
    await end_call(book, Disposition.unclassified)
    clock.forward(30 * 24 * 3600)
    await ring(book)
    enrolment = await the_enrolment(book)
    assert (enrolment.state, enrolment.paused_reason, await texts(book)) == (EnrolmentState.paused, "unclassified", [])


async def test_a_supervisor_lets_him_go_on_or_out(book: Book, clock: Clock) -> None:
    await began(book, clock, CALL, SMS)
    await end_call(book, Disposition.unclassified)
    async with book.writing() as w:
        await cadencing.decide(w, 1, go_on=True, agent_id=1)
    await ring(book)
    assert len(await texts(book)) == 1
    with pytest.raises(Conflict):
        async with book.writing() as w:
            await cadencing.decide(w, 1, go_on=False, agent_id=1)


async def test_wants_information_rests_until_it_is_sent(book: Book, clock: Clock) -> None:
    quote = await began(book, clock, CALL, {**SMS, "delay": 1})
    await end_call(book, Disposition.needs_information)
    assert (await the_enrolment(book)).paused_reason == "needs_information"
    clock.forward(3600)
    async with book.writing() as w:
        await nurturing.information_sent(w, quote.contact_id)
    assert (await the_enrolment(book)).state is EnrolmentState.active
    clock.forward(3600 - 1)
    await ring(book)
    assert await texts(book) == [], "its delay counts from when it went on"
    clock.forward(1)
    await ring(book)
    assert len(await texts(book)) == 1


async def test_answers_are_counted_where_and_when_they_came(book: Book, clock: Clock) -> None:
    await began(book, clock, CALL, {**CALL, "delay": 1})
    await end_call(book, Disposition.no_answer)
    async with book.reading() as r:
        found = await r.session.scalars(select(AnswerRate))
    assert [(one.country, one.weekday, one.band, one.tries, one.answered) for one in found] == [
        ("US", 0, "13-16", 1.0, 0.0)
    ]


# Events


@pytest.mark.parametrize("state", [QuoteState.signed, QuoteState.declined, QuoteState.expired, QuoteState.void])
async def test_a_quotes_end_is_the_cadences_end(book: Book, clock: Clock, state: QuoteState) -> None:
    quote = await began(book, clock, SMS, {**SMS, "delay": 1})
    async with book.writing() as w:
        await nurturing.quote_ended(w, quote.id, state.value)
    clock.forward(3600)
    await ring(book)
    assert ((await the_enrolment(book)).exit_reason, len(await texts(book))) == (state.value, 1)
    assert await steps(book) == [(1, "done"), (2, "canceled")]


async def test_an_expired_quote_is_won_back_with_one_touch(book: Book, clock: Clock) -> None:
    async with book.writing() as w:
        quote = await quiet(w, SMS)
        await making.cadence(
            w, vouched_campaign(await w.session.get(Campaign, 1)), CALL, key="back", on=["expired_winback"]
        )
        row = await w.session.locked(Quote, quote.id)
        assert row is not None
        row.state, row.ended_at, row.valid_until = QuoteState.expired, w.now, w.now
        await nurturing.quote_ended(w, quote.id, "expired")
    await ring(book)
    assert len(await calls(book)) == 1
    await end_call(book, Disposition.callback)
    clock.forward(5 * 24 * 3600)
    await ring(book)
    assert len(await calls(book)) == len(await all_of(book, Enrolment)) == 1


def vouched_campaign(found: Campaign | None) -> Campaign:
    assert found is not None
    return found


async def test_a_stop_word_ends_everything_for_the_number(book: Book, clock: Clock) -> None:
    await began(book, clock, SMS, {**SMS, "delay": 1})
    async with book.writing() as w:
        await hearing.message_arrived(w, says("STOP"))
    clock.forward(3600)
    await ring(book)
    assert ((await the_enrolment(book)).exit_reason, len(await texts(book))) == ("stop", 1)


async def test_a_stop_word_in_the_second_of_a_text_comes_before_it_or_after_it(book: Book, clock: Clock) -> None:
    """However the two fall, no text is queued by a transaction that commits after the stop word's."""
    async with book.writing() as w:
        quote = await quiet(w, {**SMS, "delay": 1}, {**SMS, "delay": 1})
    clock.forward(STALE)
    async with book.writing() as w:
        await nurturing.check_quote(w, quote.id)
    clock.forward(3600)
    order: list[str] = []

    async def send() -> None:
        async with book.writing() as w:
            await stepping.step_due(w, 1)
            order.append("sent" if (await w.session.get(Step, 1)) and await _queued(w) else "nothing")

    async def stop() -> None:
        async with book.writing() as w:
            await hearing.message_arrived(w, says("STOP"))
            order.append("stopped")

    await asyncio.gather(send(), stop())
    sent = len(await texts(book))
    assert order in (["sent", "stopped"], ["stopped", "nothing"]), order
    assert sent == (order[0] == "sent")
    assert (await the_enrolment(book)).exit_reason == "stop"


async def _queued(w: Writing) -> bool:
    return bool(await w.session.scalars(select(Delivery).where(Delivery.kind == DeliveryKind.message)))


async def test_who_writes_is_left_alone_until_he_is_answered(book: Book, clock: Clock) -> None:
    quote = await began(book, clock, SMS, {**SMS, "delay": 1})
    async with book.writing() as w:
        await nurturing.wrote(w, quote.contact_id)
    enrolment = await the_enrolment(book)
    assert (enrolment.state, enrolment.paused_reason) == (EnrolmentState.paused, "inbound")
    assert (await all_of(book, Quote))[0].idle_base == clock.now
    clock.forward(3600)
    await ring(book)
    assert len(await texts(book)) == 1
    clock.forward(2 * 24 * 3600)
    await ring(book)
    assert (await the_enrolment(book)).state is EnrolmentState.active, "it is not forgotten"


async def test_a_promised_call_pauses_it_and_a_cancelled_one_lets_it_go_on(book: Book, clock: Clock) -> None:
    quote = await began(book, clock, SMS, {**SMS, "delay": 1})
    async with book.writing() as w:
        await nurturing.promised(w, quote.contact_id)
    assert await steps(book) == [(1, "done"), (2, "canceled")]
    async with book.writing() as w:
        await nurturing.promise_over(w, quote.contact_id)
    assert await steps(book) == [(1, "done"), (2, "planned")]


async def test_a_snooze_is_granted_for_ten_business_days(book: Book, clock: Clock) -> None:
    quote = await began(book, clock, SMS, {**SMS, "delay": 1})
    async with book.writing() as w:
        granted = await nurturing.snooze(w, quote.id, clock.now + timedelta(days=60), 1)
    assert granted == clock.now + timedelta(days=10)  # this campaign counts every day
    clock.now = granted - timedelta(seconds=1)
    await ring(book)
    assert (await the_enrolment(book)).paused_reason == "snooze"
    clock.now = granted
    await ring(book)
    assert (await the_enrolment(book)).state is EnrolmentState.active
    with pytest.raises(Invalid):
        async with book.writing() as w:
            await nurturing.snooze(w, quote.id, clock.now, 1)


async def test_two_who_are_found_to_be_one_are_in_one_cadence(book: Book, clock: Clock) -> None:
    await began(book, clock, SMS, {**SMS, "delay": 1})
    async with book.writing() as w:
        queue = await making.queue(w, vouched_campaign(await w.session.get(Campaign, 1)), "other")
        lead = await making.lead(w, queue, "+12025550102")
        await making.task(w, queue, lead, state=TaskState.closed)
        second = await another_quote(w, lead.contact_id, lead.id, 1)
    clock.forward(STALE)
    async with book.writing() as w:
        await nurturing.check_quote(w, second.id)
        await nurturing.merged(w, 1, lead.contact_id)
    first, later = await all_of(book, Enrolment)
    assert (first.state, later.exit_reason) == (EnrolmentState.active, "merged")


async def test_who_opens_his_offer_again_is_called_at_once(book: Book, clock: Clock) -> None:
    async with book.writing() as w:
        quote = await quiet(w, CALL)
        quote.last_open_at = w.now
        await w.session.flush()
    clock.forward(60)
    async with book.writing() as w:
        row = await w.session.locked(Quote, quote.id)
        (signing,) = await w.session.scalars(select(Signing))
        assert row is not None
        assert await nurturing.opened(w, row, signing, "Mozilla/5.0")
        row.idle_base = w.now
        await nurturing.at_hand(w, row)
    await ring(book)
    (call,) = await calls(book)
    assert (call.tier, (await the_enrolment(book)).reasons) == (TIER_HOT, ["hot_reopen"])


async def test_a_scanner_opens_nothing(book: Book, clock: Clock) -> None:
    async with book.writing() as w:
        quote = await quiet(w, CALL)
        row = await w.session.locked(Quote, quote.id)
        (signing,) = await w.session.scalars(select(Signing))
        assert row is not None
        assert not await nurturing.opened(w, row, signing, "Mozilla/5.0"), "within three seconds of the sending"
    clock.forward(60)
    async with book.writing() as w:
        assert not await nurturing.opened(w, row, signing, "WhatsApp/2.23")
    assert (await all_of(book, Quote))[0].last_open_at is None


async def test_an_abandoned_cart_comes_into_its_cadence_and_a_paid_one_leaves_it(book: Book, clock: Clock) -> None:
    async with book.writing() as w:
        brand = await making.campaign(w)
        queue = await making.queue(w, brand)
        cart = {"cart": {"url": "https://shop.example/c/1"}}
        lead = await making.lead(w, queue, PHONE, intent=Intent.cart, claims=cart)
        task = await making.task(w, queue, lead)
        for state in (TaskState.reserved, TaskState.connecting):
            assert await w.move(Task, task.id, state)
        await wrapping.close_task(w, task.id, Disposition.no_answer)
    enrolment = await the_enrolment(book)
    assert (enrolment.reason, enrolment.quote_id) == ("cart_abandoned", None)
    clock.forward(3600)
    await ring(book)
    (text,) = await texts(book)
    assert "https://shop.example/c/1" in book.vault.open("texts", text.sealed_text or b"").decode()
    async with book.writing() as w:
        await nurturing.lead_ended(w, lead.id, "cart_ordered")
    assert (await the_enrolment(book)).exit_reason == "cart_ordered"


async def test_who_did_not_answer_an_arranged_call_comes_into_its_cadence_once(book: Book) -> None:
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w))
        lead = await making.lead(w, queue, PHONE)
        for _ in range(2):
            await nurturing.no_show(w, campaign_id=1, lead_id=lead.id, contact_id=lead.contact_id)
    (enrolment,) = await all_of(book, Enrolment)
    assert (enrolment.reason, enrolment.state) == ("no_show", EnrolmentState.active)


# Versions


async def test_who_is_inside_finishes_his_version_and_may_be_moved(book: Book, clock: Clock) -> None:
    await began(book, clock, SMS, {**SMS, "delay": 1})
    async with book.writing() as w:
        brand = vouched_campaign(await w.session.get(Campaign, 1))
        second = await making.cadence(w, brand, SMS, {**SMS, "delay": 9, "template": "goodbye"})
    assert second.version == 2
    assert (await the_enrolment(book)).version_id == 1
    async with book.writing() as w:
        assert await cadencing.migrate_enrolments(w, 1, 1) == (1, 0)
    clock.forward(3600)
    await ring(book)
    assert len(await texts(book)) == 1, "what was planned by the old one does not happen"
    clock.forward(8 * 3600)
    await ring(book)
    assert [one.purpose for one in await texts(book)] == ["offer_again", "goodbye"]
    with pytest.raises(Conflict):
        async with book.writing() as w:
            await cadencing.migrate_enrolments(w, second.id, 1)


async def test_whose_call_waits_is_not_moved(book: Book, clock: Clock) -> None:
    await began(book, clock, CALL, SMS)
    async with book.writing() as w:
        await making.cadence(w, vouched_campaign(await w.session.get(Campaign, 1)), SMS)
        assert await cadencing.migrate_enrolments(w, 1, 1) == (0, 1)


async def test_the_same_plan_is_no_new_version(book: Book) -> None:
    async with book.writing() as w:
        brand = await making.campaign(w)
        for _ in range(2):
            await making.cadence(w, brand, SMS)
    assert len(await all_of(book, CadenceVersion)) == 1


async def test_a_cadence_begins_once_for_each_quiet(book: Book, clock: Clock) -> None:
    quote = await began(book, clock, SMS)
    clock.forward(30)
    await ring(book)
    assert (await the_enrolment(book)).exit_reason == "done"
    for _ in range(4):
        clock.forward(24 * 3600)
        await ring(book)
    assert len(await texts(book)) == len(await all_of(book, Enrolment)) == 1
    async with book.writing() as w:
        await w.session.locked(Quote, quote.id)
        await keeping_awake(w, quote.id)
    clock.forward(STALE)
    await ring(book)
    assert len(await all_of(book, Enrolment)) == 2, "he moved it, so it is another quiet"


async def keeping_awake(w: Writing, quote_id: int) -> None:
    row = await w.session.locked(Quote, quote_id)
    assert row is not None
    row.idle_base = w.now
    await w.session.flush()
    await nurturing.moved(w, row)


async def test_nobody_is_inside_for_ever(book: Book, clock: Clock) -> None:
    quote = await began(book, clock, SMS, {**SMS, "delay": 1})
    async with book.writing() as w:
        await nurturing.complained(w, quote.contact_id)
    clock.forward(91 * 24 * 3600)
    await ring(book)
    assert (await the_enrolment(book)).exit_reason == "too_long"


async def test_facts_tell_the_way_without_names_or_numbers(book: Book, clock: Clock) -> None:
    quote = await began(book, clock, SMS, CALL)
    kinds = await told(book, quote.lead_id)
    assert {"enrolment.active", "step.planned", "step.done", "enrolment.awaiting_agent", "step.waiting"} <= set(kinds)
    assert kinds.index("step.done") < kinds.index("task.queued")
