"""Announcing: a text says who will call, from which number, why and how to stop it; the two are one try of ours."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from router.actions import announcing, calling, enrolling, guarding, hearing, listing, nurturing
from router.actions.talking import TEXTS
from router.alarms import Alarms
from router.app import ALARMS
from router.book import Book, Writing
from router.courier import Courier
from router.live import Hub
from router.model.agents import Agent
from router.model.announcements import Announced
from router.model.base import vouched
from router.model.cadence_rules import Start
from router.model.cadences import Attempt, EnrolmentState, Step, StepState
from router.model.calls import Call, CallState, Leg
from router.model.campaigns import NURTURE, Campaign, Switch
from router.model.contacts import Contact
from router.model.deliveries import Delivery, DeliveryState
from router.model.facts import Fact
from router.model.guard import Purpose
from router.model.quotes import Quote
from router.model.suppressions import Suppression
from router.model.tasks import Disposition, Task, TaskState
from router.model.vault import Vault
from router.ports import LegMoved, LegStage
from router.store import occasions, packs
from router.store.db import contended, make_engine
from tests import making
from tests.actions.test_cadences import all_of, began, calls, end_call, quiet, ring, says, texts, the_enrolment
from tests.conftest import PATIENT, Clock
from tests.outside import RecordingCarrier, RecordingTrust

HOUR = 3600
CALL: dict[str, Any] = {"delay": 4, "announce_minutes": 60}
SMS = {"channel": "sms", "template": "offer_again"}
HOUSE = {"rule_pack": "standard", "timezone": "Europe/Madrid", "country": "ES"}
"""A campaign under the house's cautious rules: two hours between two tries, two tries a day."""


async def facts(book: Book, kind: str) -> list[dict[str, Any]]:
    async with book.reading() as r:
        return [one.data for one in await r.session.scalars(select(Fact).where(Fact.kind == kind).order_by(Fact.id))]


async def announcements(book: Book) -> list[Delivery]:
    return [one for one in await texts(book) if one.purpose == announcing.ANNOUNCEMENT]


async def unannounced(book: Book) -> list[str]:
    return [one["reason"] for one in await facts(book, "step.unannounced")]


async def announced(book: Book, clock: Clock, *steps: dict[str, Any], **campaign: Any) -> Quote:
    """The call of one step, planned in four hours, is announced now."""
    quote = await began(book, clock, *(steps or (CALL,)), **campaign)
    clock.forward(3 * HOUR)
    await ring(book)
    assert len(await announcements(book)) == 1
    return quote


async def dial(book: Book) -> Attempt:
    """The call that waits is dialled."""
    (task,) = [one for one in await calls(book) if one.state is TaskState.queued]
    async with book.writing() as w:
        assert await listing.may_ring(w, task)
        campaign = vouched(await w.session.get(Campaign, task.campaign_id))
        contact = vouched(await w.session.get(Contact, task.contact_id))
        attempt, _ = await guarding.permit(
            w, campaign, contact, channel="call", purpose=Purpose.commercial, lead_id=task.lead_id,
            announced=await announcement(book),
        )
    return attempt


async def announcement(book: Book) -> int | None:
    return next((one.announcement_id for one in await all_of(book, Step) if one.announcement_id is not None), None)


def courier(book: Book, carrier: RecordingCarrier) -> Courier:
    return Courier(book, carrier, RecordingTrust(), "here")


# The text


@pytest.mark.parametrize(("locale", "said"), [
    ("en", ["Luz Clara SL: we will call you from +34 910 00 00 00 about your offer", "not before Mon 23 Nov, 17:",
            "If you do not want this call answer STOP."]),
    ("es", ["le llamaremos desde el +34 910 00 00 00 por su presupuesto", "no antes del lun 23 nov, 17:",
            "responda STOP"]),
    ("it", ["la chiameremo dal +34 910 00 00 00 per il suo preventivo", "non prima di lun 23 nov, 17:",
            "risponda STOP"]),
    ("ru", ["номера +34 910 00 00 00 по предложению", "не раньше:", "ответьте STOP"]),
])
async def test_it_says_who_will_call_from_which_number_why_and_how_to_stop_it(
    book: Book, clock: Clock, locale: str, said: list[str]
) -> None:
    async with book.writing() as w:
        quote = await quiet(w, CALL)
        vouched(await w.session.get(Quote, quote.id)).locale = locale
        vouched(await w.session.get(Contact, quote.contact_id)).zone = "Europe/Madrid"
        vouched(await w.session.get(Contact, quote.contact_id)).zone_source = "stated"
    clock.forward(100)
    async with book.writing() as w:
        await nurturing.check_quote(w, quote.id)
    clock.forward(3 * HOUR)
    await ring(book)
    (text,) = await announcements(book)
    body = book.vault.open(TEXTS, text.sealed_text or b"").decode().replace("\xa0", " ")
    assert quote.known_as in body
    for words in said:
        assert words in body, body


async def test_it_leaves_so_long_before_the_call_and_the_call_comes_at_its_time(book: Book, clock: Clock) -> None:
    await began(book, clock, CALL)
    clock.forward(3 * HOUR - 1)
    await ring(book)
    assert await announcements(book) == []
    clock.forward(1)
    await ring(book)
    (text,) = await announcements(book)
    (step,) = await all_of(book, Step)
    assert (step.state, step.announcement_id, text.to_customer) == (StepState.planned, text.attempt_id, True)
    assert (await the_enrolment(book)).messages == 0, "one try with its call, not a message of the cadence"
    clock.forward(HOUR)
    await ring(book)
    assert len(await calls(book)) == 1
    assert await unannounced(book) == []
    (fact,) = await facts(book, "step.announced")
    assert (fact["n"], fact["delivery"], fact["due"]) == (1, text.id, step.due_at.isoformat())


async def test_a_call_that_comes_sooner_is_announced_at_once(book: Book, clock: Clock) -> None:
    await began(book, clock, {"delay": 30, "unit": "bmin", "announce_minutes": 60})
    assert (len(await announcements(book)), await unannounced(book)) == (1, [])


@pytest.mark.parametrize("delay", [0, 4])
async def test_nobody_is_told_minutes_before_the_telephone_rings(book: Book, clock: Clock, delay: int) -> None:
    await began(book, clock, {"delay": delay, "unit": "bmin", "announce_minutes": 60})
    clock.forward(delay * 60)
    await ring(book)
    assert await announcements(book) == []
    assert await unannounced(book) == ["short_notice"]
    assert len(await calls(book)) == 1


async def test_a_house_that_was_away_until_the_call_announces_nothing_any_more(book: Book, clock: Clock) -> None:
    await began(book, clock, CALL)
    clock.forward(4 * HOUR)
    await ring(book)
    assert (await announcements(book), await unannounced(book)) == ([], ["short_notice"])
    assert len(await calls(book)) == 1


async def test_there_is_one_announcement_however_often_its_alarm_rings_and_none_of_the_second_try(
    book: Book, clock: Clock
) -> None:
    await announced(book, clock)
    for _ in range(2):
        async with book.writing() as w:
            await announcing.due(w, 1)
    clock.forward(HOUR)
    await ring(book)
    await end_call(book, Disposition.busy)  # the same step once more, in ten minutes
    clock.forward(600)
    await ring(book)
    assert len(await calls(book)) == 2
    assert len(await announcements(book)) == 1


async def put_off(book: Book, by: timedelta) -> None:
    """The planned call comes so much later than it would."""
    async with book.writing() as w:
        case = vouched(await enrolling.case_of(w, await the_enrolment(book)))
        step = vouched(await w.session.locked(Step, 1))
        await enrolling.put_off(w, case, step, step.due_at + by, "with_us")


async def test_a_call_put_off_is_announced_again_once_and_says_that_its_time_has_changed(
    book: Book, clock: Clock
) -> None:
    await announced(book, clock)
    await put_off(book, timedelta(days=1))
    clock.forward(24 * HOUR - 1)
    await ring(book)
    assert len(await announcements(book)) == 1
    clock.forward(1)
    await ring(book)
    first, second = await announcements(book)
    (step,) = await all_of(book, Step)
    assert (step.first_announcement_id, step.announcement_id) == (first.attempt_id, second.attempt_id)
    assert step.announced_for == step.due_at
    body = book.vault.open(TEXTS, second.sealed_text or b"").decode().replace("\xa0", " ")
    assert "cambia de hora: no antes del mar 24 nov, 17:" in body
    assert "STOP" in body
    assert [one["again"] for one in await facts(book, "step.announced")] == [False, True]
    await put_off(book, timedelta(days=1))
    clock.forward(25 * HOUR)
    await ring(book)
    assert len(await announcements(book)) == 2, "two at most"
    assert (await dial(book)).announced_by == second.attempt_id


@pytest.mark.parametrize(("by", "texts"), [
    (timedelta(minutes=60), 1), (timedelta(minutes=61), 2), (timedelta(minutes=3), 1),
])
async def test_a_call_that_comes_about_when_it_was_announced_is_not_announced_again(
    book: Book, clock: Clock, by: timedelta, texts: int
) -> None:
    await announced(book, clock)
    await put_off(book, by)
    clock.forward(HOUR + 120)
    await ring(book)
    assert len(await announcements(book)) == texts
    assert await unannounced(book) == []


async def test_small_delays_that_come_to_more_than_an_hour_are_announced_once_they_do(
    book: Book, clock: Clock
) -> None:
    await announced(book, clock)
    for _ in range(3):
        await put_off(book, timedelta(minutes=30))
    clock.forward(HOUR)
    await ring(book)
    assert len(await announcements(book)) == 1
    clock.forward(HOUR / 2)
    await ring(book)
    assert len(await announcements(book)) == 2


async def test_a_call_put_off_for_minutes_more_than_an_hour_when_the_house_rests_comes_unannounced(
    book: Book, clock: Clock
) -> None:
    """Two hours must lie between two tries: the second text would reach nobody before the call."""
    await announced(book, clock, **HOUSE)
    await put_off(book, timedelta(minutes=61))
    clock.forward(HOUR + 60)
    await ring(book)
    assert (len(await announcements(book)), await unannounced(book)) == (1, ["cap.gap"])
    clock.forward(HOUR)
    await ring(book)
    assert (await dial(book)).verdict == "allow", "the call itself is not kept back by its own text"


async def test_the_text_that_named_another_time_is_a_try_of_its_own(book: Book, clock: Clock) -> None:
    """Under two tries a day: the first text is one, the second and its call are the other."""
    await announced(book, clock, **HOUSE)
    await put_off(book, timedelta(hours=2))
    clock.forward(2 * HOUR)
    await ring(book)
    assert len(await announcements(book)) == 2
    clock.forward(HOUR)
    await ring(book)
    assert (await dial(book)).verdict == "allow"
    async with book.writing() as w:
        campaign, contact = vouched(await w.session.get(Campaign, 1)), vouched(await w.session.get(Contact, 1))
        snapshot, _ = await guarding.look(w.session, campaign, contact, Purpose.commercial, w.now)
        assert [(one.channel, one.with_call) for one in snapshot.tries] == [
            ("sms", False), ("sms", True), ("call", False)]
        clock.forward(2 * HOUR)
    async with book.writing() as w:
        asked = await guarding.ask_guard(w, campaign, contact, Purpose.commercial, channel="sms")
        assert "cap.day" in asked.rules


async def test_a_text_that_names_a_time_which_has_changed_does_not_leave_any_more(book: Book, clock: Clock) -> None:
    await announced(book, clock)
    await put_off(book, timedelta(hours=3))
    carrier = RecordingCarrier()
    await courier(book, carrier).sweep()
    assert carrier.of("send_message") == []
    clock.forward(3 * HOUR)
    await ring(book)
    await courier(book, carrier).sweep()
    first, second = await announcements(book)
    assert (first.state, first.error, second.state) == (DeliveryState.failed, "unwanted", DeliveryState.done)
    assert len(carrier.of("send_message")) == 1


async def test_of_two_texts_in_the_house_only_the_later_one_leaves(book: Book, clock: Clock) -> None:
    await announced(book, clock)
    await put_off(book, timedelta(hours=3))
    clock.forward(3 * HOUR)
    await ring(book)
    carrier = RecordingCarrier()
    await courier(book, carrier).sweep()
    assert [one.state for one in await announcements(book)] == [DeliveryState.failed, DeliveryState.done]
    assert len(carrier.of("send_message")) == 1


# A call that waits already


ONE_CALL = """
[[caps]]
id = "demo-calls"
words = "At most one call in 24 hours; a text is none."
source = "a test"
verified = true
channels = ["call"]
days = 1
most = 1
"""


async def called_by_hand(w: Writing, ago: timedelta) -> None:
    """Somebody called this number so long ago: the next call may be made a day after that."""
    w.session.add(Attempt(
        campaign_id=1, lead_id=None, phone="+12025550101", channel="call", purpose="commercial", verdict="allow",
        rules=[], detail={}, at=w.now - ago, contact_id=1,
    ))


async def waiting(book: Book, clock: Clock, *steps: dict[str, Any], left: timedelta) -> Task:
    """The announced call waits for an agent, when the guard comes to forbid it for as long as is `left`."""
    async with book.writing() as w:
        text = packs.of_program()["demo"].replace("version = 2", "version = 9", 1)
        await packs.publish(w.session, "demo", 9, text + ONE_CALL, w.now)
    await announced(book, clock, *steps)
    clock.forward(HOUR)
    await ring(book)
    async with book.writing() as w:
        await called_by_hand(w, timedelta(days=1) - left)
    (task,) = await calls(book)
    assert task.state is TaskState.queued
    return task


async def offered_to_an_agent(book: Book, task: Task) -> None:
    """A round, or an agent who picks, comes to the task."""
    async with book.writing() as w:
        assert not await listing.may_ring(w, vouched(await w.session.get(Task, task.id)))
    await ring(book)


async def dialled(book: Book, task: Task) -> None:
    """An agent is on the line already when the guard is asked for the last time."""
    async with book.writing() as w:
        agent = await making.agent(w, "eva")
        for state in (TaskState.reserved, TaskState.connecting):
            vouched(await w.move(Task, task.id, state, agent_id=agent.id))
        vouched(await w.session.locked(Agent, agent.id)).call_load = 1
        call = Call(task_id=task.id, lead_id=task.lead_id, agent_id=agent.id, state=CallState.agent_leg, room="r",
                    room_ref="r", created_at=w.now)
        w.session.add(call)
        await w.session.flush()
        w.session.add(Leg(call_id=call.id, role="agent", ref="leg", address="sip:eva", created_at=w.now))
        await w.session.flush()
        await calling.on_event(w, LegMoved("leg", "CA-1", LegStage.answered))
    (agent_now,) = [one for one in await all_of(book, Agent) if one.login == "eva"]
    assert agent_now.load == 0
    await ring(book)


WHEN = [offered_to_an_agent, dialled]


@pytest.mark.parametrize("when", WHEN)
async def test_a_call_put_off_while_it_waits_is_a_planned_one_again_and_announced_again(
    book: Book, clock: Clock, when: Any
) -> None:
    first_task = await waiting(book, clock, left=timedelta(hours=4))
    due_at = clock.now + timedelta(hours=4)
    await when(book, first_task)
    (step,) = await all_of(book, Step)
    assert (step.state, step.due_at, step.tries) == (StepState.planned, due_at, 0)
    assert (await the_enrolment(book)).state is EnrolmentState.active
    assert [one.state for one in await calls(book)] == [TaskState.withdrawn]
    assert (await the_enrolment(book)).outcomes == [], "no call that came to nothing"
    clock.forward(3 * HOUR)
    await ring(book)
    first, second = await announcements(book)
    (step,) = await all_of(book, Step)
    assert (step.first_announcement_id, step.announcement_id) == (first.attempt_id, second.attempt_id)
    assert step.announced_for == due_at
    body = book.vault.open(TEXTS, second.sealed_text or b"").decode().replace("\xa0", " ")
    assert "cambia de hora: no antes del lun 23 nov, 21:" in body
    clock.forward(HOUR)
    await ring(book)
    assert (await dial(book)).announced_by == second.attempt_id
    (step,) = await all_of(book, Step)
    assert (step.state, step.tries) == (StepState.waiting, 1)
    occasion = vouched(await occasion_of(book))
    assert (occasion.due_at, occasion.again) == (due_at, True), "what the agent reads"


async def occasion_of(book: Book) -> Announced | None:
    (task,) = [one for one in await calls(book) if one.state is TaskState.queued]
    async with book.reading() as r:
        return (await occasions.occasion(r.session, task)).announced


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize(("left", "texts"), [(timedelta(minutes=60), 1), (timedelta(minutes=61), 2)])
async def test_while_it_waits_too_an_hour_is_no_other_time(
    book: Book, clock: Clock, when: Any, left: timedelta, texts: int
) -> None:
    await when(book, await waiting(book, clock, left=left))
    for seconds in (60, 3600):
        clock.forward(seconds)
        await ring(book)
    assert (len(await announcements(book)), await unannounced(book)) == (texts, [])
    assert [one.state for one in await calls(book)] == [TaskState.withdrawn, TaskState.queued]


async def test_put_off_twice_while_it_waits_there_are_two_texts_at_most(book: Book, clock: Clock) -> None:
    await offered_to_an_agent(book, await waiting(book, clock, left=timedelta(hours=4)))
    clock.forward(3 * HOUR)
    await ring(book)
    clock.forward(HOUR)
    await ring(book)
    async with book.writing() as w:
        await called_by_hand(w, timedelta(hours=20))
    await offered_to_an_agent(book, (await calls(book))[-1])
    for _ in range(4):
        clock.forward(HOUR)
        await ring(book)
    assert len(await announcements(book)) == 2
    assert [one.state for one in await calls(book)] == [TaskState.withdrawn, TaskState.withdrawn, TaskState.queued]


async def test_nobody_calls_it_hurried_or_unstaffed_while_it_is_put_off(book: Book, clock: Clock) -> None:
    await offered_to_an_agent(book, await waiting(book, clock, left=timedelta(hours=23)))
    clock.forward(22 * HOUR)
    await ring(book)
    assert [one.state for one in await all_of(book, Step)] == [StepState.planned]
    assert await facts(book, "step.hurried") == []


async def test_a_call_about_no_quote_that_may_not_be_made_any_more_ends_its_cadence(book: Book, clock: Clock) -> None:
    async with book.writing() as w:
        brand = await making.campaign(w)
        await making.cadence(w, brand, {}, on=["cart_abandoned"])
        queue = await making.queue(w, brand)
        lead = await making.lead(w, queue, "+12025550101")
        await making.task(w, queue, lead, state=TaskState.closed, disposition=Disposition.no_answer)
        assert await nurturing.enrol_lead(
            w, Start.cart_abandoned, campaign_id=1, lead_id=lead.id, contact_id=lead.contact_id)
    (task,) = await calls(book)
    async with book.writing() as w:
        w.session.add(Suppression(phone="+12025550101", reason="stop", created_at=w.now))
    await offered_to_an_agent(book, task)
    assert (await the_enrolment(book)).exit_reason == "suppressed.stop"
    assert [one.state for one in await calls(book)] == [TaskState.withdrawn]


async def test_stop_in_the_same_moment_ends_it(book: Book, clock: Clock) -> None:
    task = await waiting(book, clock, left=timedelta(hours=4))
    async with book.writing() as w:
        assert not await listing.may_ring(w, vouched(await w.session.get(Task, task.id)))
    async with book.writing() as w:
        await hearing.message_arrived(w, says("STOP"))
    await ring(book)
    assert (await the_enrolment(book)).exit_reason == "stop"
    assert [one.state for one in await calls(book)] == [TaskState.withdrawn]
    clock.forward(24 * HOUR)
    await ring(book)
    assert len(await announcements(book)) == 1


async def test_a_call_under_way_whose_cadence_has_ended_is_not_planned_again(book: Book, clock: Clock) -> None:
    task = await waiting(book, clock, left=timedelta(hours=4))
    async with book.writing() as w:
        vouched(await w.move(Task, task.id, TaskState.reserved))
        await nurturing.promised(w, 1)
        vouched(await w.move(Task, task.id, TaskState.queued))
    await dialled(book, task)
    (closed,) = await calls(book)
    assert (closed.state, closed.disposition) == (TaskState.closed, Disposition.not_permitted)


# Two replicas


@pytest.mark.parametrize("moved", [False, True])
async def test_two_replicas_that_ring_at_once_announce_once(
    book: Book, clock: Clock, worker_database: str, vault: Vault, moved: bool
) -> None:
    await began(book, clock, CALL)
    clock.forward(3 * HOUR)
    if moved:
        await ring(book)
        await put_off(book, timedelta(hours=3))
        clock.forward(3 * HOUR)
    engine = make_engine(worker_database, limits=PATIENT)
    try:
        other = Book(engine, Hub(), vault, book.public_url, clock=clock)

        async def due(one: Book) -> None:
            try:
                async with one.writing() as w:
                    await announcing.due(w, 1)
            except Exception as error:
                if not contended(error):
                    raise

        await asyncio.gather(due(book), due(other), Alarms(book, ALARMS).sweep(), Alarms(other, ALARMS).sweep())
    finally:
        await engine.dispose()
    await ring(book)
    assert len(await announcements(book)) == 1 + moved
    assert len(await facts(book, "step.announced")) == 1 + moved


# One try


async def test_the_text_does_not_put_its_own_call_off_and_the_two_are_one_try_afterwards(
    book: Book, clock: Clock
) -> None:
    await announced(book, clock, CALL, {**SMS, "delay": 3}, {**SMS, "delay": 1, "unit": "bd"}, **HOUSE)
    clock.forward(HOUR)
    await ring(book)
    attempt = await dial(book)
    assert (attempt.verdict, attempt.announced_by) == ("allow", await announcement(book))
    async with book.writing() as w:
        campaign, contact = vouched(await w.session.get(Campaign, 1)), vouched(await w.session.get(Contact, 1))
        asked = await guarding.ask_guard(w, campaign, contact, Purpose.commercial, channel="sms")
        assert (asked.rules, asked.until) == (("cap.gap",), w.now + timedelta(hours=2)), "from the call on"
    clock.forward(2 * HOUR)
    async with book.writing() as w:
        asked = await guarding.ask_guard(w, campaign, contact, Purpose.commercial, channel="sms")
        assert asked.allowed, "the day's second try, not its third"


async def test_a_text_whose_call_never_came_or_comes_late_is_a_try_like_any_other(book: Book, clock: Clock) -> None:
    await announced(book, clock, **HOUSE)
    async with book.writing() as w:
        campaign, contact = vouched(await w.session.get(Campaign, 1)), vouched(await w.session.get(Contact, 1))
        assert (await guarding.ask_guard(w, campaign, contact, Purpose.commercial)).rules == ("cap.gap",)
        told = await announcement(book)
        snapshot, _ = await guarding.look(w.session, campaign, contact, Purpose.commercial, w.now, announced=told)
        assert [one.with_call for one in snapshot.tries] == [True]
        late = w.now + timedelta(hours=36)
        snapshot, _ = await guarding.look(w.session, campaign, contact, Purpose.commercial, late, announced=told)
        assert [one.with_call for one in snapshot.tries] == [False]
    clock.forward(HOUR)
    await ring(book)
    attempt = await dial(book)
    async with book.writing() as w:
        await guarding.refund(w, attempt.id)
        snapshot, _ = await guarding.look(w.session, campaign, contact, Purpose.commercial, w.now)
        assert [one.with_call for one in snapshot.tries] == [False], "the call never rang"


COUNTING = """
[[caps]]
id = "standard-law"
words = "At most one try of any kind in 24 hours."
source = "a test"
verified = true
days = 1
most = 1
"""


async def test_where_a_law_counts_texts_too_the_call_comes_unannounced_rather_than_not(
    book: Book, clock: Clock
) -> None:
    async with book.writing() as w:
        text = packs.of_program()["standard"].replace("version = 1", "version = 9", 1)
        await packs.publish(w.session, "standard", 9, text + COUNTING, w.now)
    await began(book, clock, CALL, **HOUSE)
    clock.forward(3 * HOUR)
    await ring(book)
    assert await announcements(book) == []
    (fact,) = await facts(book, "step.unannounced")
    assert (fact["reason"], fact["n"]) == ("cap.day", 1)
    clock.forward(HOUR)
    await ring(book)
    assert (await dial(book)).verdict == "allow"


# What is in the way


async def paused(w: Writing) -> None:
    vouched(await w.session.get(Campaign, 1)).paused = True


async def no_money(w: Writing) -> None:
    vouched(await w.session.get(Campaign, 1)).daily_spend_cap = 0


async def nurture_off(w: Writing) -> None:
    w.session.add(Switch(name=NURTURE, since=w.now, agent_id=(await making.agent(w)).id))


async def with_us(w: Writing) -> None:
    lead = await making.lead(w, await making.queue(w, vouched(await w.session.get(Campaign, 1)), "other"),
                             "+12025550102")
    lead.contact_id = 1
    await making.task(w, await making.queue(w, vouched(await w.session.get(Campaign, 1)), "third"), lead)


async def just_tried(w: Writing) -> None:
    for _ in range(10):
        w.session.add(Attempt(
            campaign_id=1, lead_id=None, phone="+12025550101", channel="sms", purpose="commercial", verdict="allow",
            rules=[], detail={}, at=w.now - timedelta(hours=21), contact_id=1,
        ))


@pytest.mark.parametrize(("what", "reason"), [
    (paused, "campaign.paused"), (no_money, "budget"), (nurture_off, "nurture_off"), (with_us, "with_us"),
])
async def test_what_keeps_the_text_back_leaves_the_call_and_is_a_fact(
    book: Book, clock: Clock, what: Any, reason: str
) -> None:
    await began(book, clock, CALL)
    clock.forward(3 * HOUR)
    async with book.writing() as w:
        await what(w)
    await ring(book)
    assert (await announcements(book), await unannounced(book)) == ([], [reason])
    assert [one.state for one in await all_of(book, Step)] == [StepState.planned]


async def test_a_full_day_lets_the_text_wait_as_long_as_its_call_does(book: Book, clock: Clock) -> None:
    """Ten tries 21 hours ago: neither may be made for three hours, when the call is due in one."""
    await began(book, clock, CALL)
    clock.forward(3 * HOUR)
    async with book.writing() as w:
        await just_tried(w)
    await ring(book)
    assert (await announcements(book), await unannounced(book)) == ([], ["cap.day"])


async def test_a_text_that_may_leave_later_waits_if_somebody_can_still_read_it(book: Book, clock: Clock) -> None:
    """The house's two hours since the offer's text end half an hour before the call."""
    await began(book, clock, SMS, {"delay": 150, "unit": "bmin", "announce_minutes": 120}, **HOUSE)
    clock.forward(30 * 60)
    await ring(book)
    assert await announcements(book) == []
    clock.forward(90 * 60)
    await ring(book)
    assert len(await announcements(book)) == 1
    clock.forward(30 * 60)
    await ring(book)
    assert (await dial(book)).verdict == "allow"


# Between the announcement and the call


async def test_stop_after_the_announcement_ends_the_call(book: Book, clock: Clock) -> None:
    await announced(book, clock)
    async with book.writing() as w:
        await hearing.message_arrived(w, says("STOP"))
    clock.forward(HOUR)
    await ring(book)
    assert await calls(book) == []
    assert (await the_enrolment(book)).exit_reason == "stop"


async def stop(w: Writing) -> None:
    await hearing.message_arrived(w, says("STOP"))


async def sign(w: Writing) -> None:
    await nurturing.quote_ended(w, 1, "signed")


async def promise(w: Writing) -> None:
    await nurturing.promised(w, 1)


async def nothing(w: Writing) -> None:
    pass


@pytest.mark.parametrize(("what", "wait"), [(stop, 0), (sign, 0), (promise, 0), (nothing, HOUR)])
async def test_a_text_still_in_the_house_does_not_leave_when_its_call_will_not_come_or_has_begun(
    book: Book, clock: Clock, what: Any, wait: int
) -> None:
    await announced(book, clock)
    async with book.writing() as w:
        await what(w)
    clock.forward(wait)
    carrier = RecordingCarrier()
    await courier(book, carrier).sweep()
    assert carrier.of("send_message") == []
    (text,) = await announcements(book)
    assert (text.state, text.error) == (DeliveryState.failed, "unwanted")
    (attempt,) = [one for one in await all_of(book, Attempt) if one.id == text.attempt_id]
    assert attempt.refunded_at is not None


async def test_a_text_that_leaves_in_time_is_sent_once(book: Book, clock: Clock) -> None:
    await announced(book, clock)
    carrier = RecordingCarrier()
    for _ in range(2):
        await courier(book, carrier).sweep()
        clock.forward(60)
    (sent,) = carrier.of("send_message")
    assert (sent.to, sent.sender) == ("+12025550101", "+34910000000")
