"""Why this call now: what the desk says of a call that nobody has asked for this minute."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import select

from router.actions import announcing, dispatch, enrolling, nurturing
from router.alarms import Alarms
from router.app import ALARMS
from router.book import Book
from router.model.agents import Agent, Wish
from router.model.base import vouched
from router.model.cadences import Enrolment, Step
from router.model.contacts import Contact
from router.model.conversations import Channel, Conversation, ConversationState, Direction, Message
from router.model.deliveries import Delivery, DeliveryState
from router.model.promises import Promise, PromiseMode, PromiseState
from router.model.tasks import TIER_PROMISE, Task, TaskKind, TaskState
from tests import making
from tests.actions.test_cadences import STALE, quiet
from tests.conftest import Clock
from tests.web.desking import Browser, House, browsing, working

HOSTILE = "<b>¿Es definitivo?</b> {{7*7}}"


@pytest.fixture
async def house(book: Book) -> AsyncIterator[House]:
    async with working(book) as house:
        yield house


@pytest.fixture
async def ana(house: House) -> Agent:
    return await house.agent("ana", locale="en", ready=False)


@pytest.fixture
async def browser(house: House, ana: Agent) -> AsyncIterator[Browser]:
    async with browsing(house) as browser:
        await browser.sign_in()
        yield browser


async def rings(house: House, ana: Agent) -> Task:
    """What waits rings at Ana."""
    async with house.book.writing() as w:
        locked = await w.session.locked(Agent, ana.id)
        assert locked is not None
        locked.wish, locked.idle_since, locked.heartbeat_at = Wish.ready, w.now, w.now
        await w.session.flush()
        await dispatch.run_round(w, 1)
    async with house.book.reading() as r:
        held = await r.session.scalar(select(Task).where(Task.agent_id == ana.id))
    assert held is not None
    assert held.state is TaskState.reserved
    return held


async def wrote(house: House, task: Task, text: str, channel: Channel = Channel.sms, lead_id: int = 0) -> None:
    async with house.book.writing() as w:
        thread = Conversation(
            campaign_id=task.campaign_id, contact_id=task.contact_id, lead_id=lead_id or task.lead_id, channel=channel,
            state=ConversationState.closed, created_at=w.now, last_at=w.now, address="+12025550155",
        )
        w.session.add(thread)
        await w.session.flush()
        w.session.add(Message(conversation_id=thread.id, direction=Direction.incoming, text=text, at=w.now))


async def test_a_quiet_quote_rings_with_its_reason_its_amount_and_the_last_words(
    house: House, browser: Browser, ana: Agent, clock: Clock
) -> None:
    async with house.book.writing() as w:
        quote = await quiet(w, {}, {"delay": 2}, key="sol")
        quote.last_open_at = quote.idle_base = w.now - timedelta(hours=30)
        number = quote.known_as
        before = await w.session.locked(Task, 1)
        assert before is not None
        before.ended_at = w.now
        await w.session.flush()
    clock.forward(STALE)
    async with house.book.writing() as w:
        await nurturing.check_quote(w, quote.id)
    task = await rings(house, ana)
    await wrote(house, task, HOSTILE)
    _, page = await browser.get("/desk")
    because = page[page.index('class="because"'):page.index("</dl>", page.index('class="because"'))]
    assert "Why this call now" in because
    assert "The offer was read and not signed" in because
    assert "Ours, step 1 of 2" in because
    assert f"Quote {number}" in because
    assert "valid until" in because
    assert "Sun 22 Nov, 07:00 CET" in because, "when he opened it"
    assert "Quote sent" in because, "how the last task ended"
    assert "&lt;b&gt;¿Es definitivo?&lt;/b&gt; {{7*7}}" in because
    assert "May be called:" in because
    assert "agreed to offers" in because
    assert "<a " not in because
    assert "/q/" not in because
    await browser.post("/desk/reservations/1/accept")
    _, page = await browser.get("/desk")
    assert "The offer was read and not signed" in page, "and while it is being made"


async def test_a_promised_call_says_for_when_it_was_promised(house: House, browser: Browser, ana: Agent) -> None:
    async with house.book.writing() as w:
        lead = await making.lead(w, house.queue)
        task = await making.task(w, house.queue, lead, tier=TIER_PROMISE)
        w.session.add(Promise(
            campaign_id=task.campaign_id, queue_id=task.queue_id, state=PromiseState.offered, starts_at=w.now,
            wall="2026-11-23T12:00", zone="Atlantic/Canary", tzdata="2026a", created_at=w.now,
            contact_id=task.contact_id, lead_id=lead.id, task_id=task.id, mode=PromiseMode.team,
        ))
    await rings(house, ana)
    _, page = await browser.get("/desk")
    assert "Promised for Mon 23 Nov, 12:00 WET" in page
    assert "the team" in page


async def test_what_the_guard_said_last_is_told_without_an_id(house: House, browser: Browser, ana: Agent) -> None:
    async with house.book.writing() as w:
        lead = await making.lead(w, house.queue)
        await making.task(w, house.queue, lead, tier=TIER_PROMISE)
        rules = ["caller.hidden", "zone.unknown", "cap.3_days", "consent.expired", "pack.early", "what.nobody_knows"]
        w.fact("guard.deny", campaign_id=lead.campaign_id, lead_id=lead.id, rules=rules, until=None)
    await rings(house, ana)
    _, page = await browser.get("/desk")
    assert (
        "Not permitted: no number of ours would be shown, the time zone is not known: choose one, called often enough, "
        "there is no consent to offers, by the strict rules, the calling rules forbid it"
    ) in page


async def test_what_was_written_in_a_chat_of_another_request_is_not_his_last_word(
    house: House, browser: Browser, ana: Agent
) -> None:
    async with house.book.writing() as w:
        lead = await making.lead(w, house.queue)
        other = await making.lead(w, house.queue, "+12025550109")
        task = await making.task(w, house.queue, lead, kind=TaskKind.nurture)
    await wrote(house, task, "Typed by a stranger", Channel.web_chat, other.id)
    await rings(house, ana)
    _, page = await browser.get("/desk")
    assert "Why this call now" in page
    assert "Typed by a stranger" not in page
    await wrote(house, task, "x" * 500, Channel.whatsapp)
    _, page = await browser.get("/desk")
    assert "x" * 280 + "…</q>" in page


async def test_who_waits_at_the_telephone_is_asked_for_no_reason(house: House, browser: Browser, ana: Agent) -> None:
    async with house.book.writing() as w:
        await making.task(w, house.queue, await making.lead(w, house.queue))
    await rings(house, ana)
    _, page = await browser.get("/desk")
    assert "Why this call now" not in page


async def announced(
    house: House, ana: Agent, clock: Clock, zone: str, *, put_off: timedelta = timedelta()
) -> Delivery:
    """A call that was announced an hour before rings at Ana, so much later than it was planned first; its last text."""
    async with house.book.writing() as w:
        quote = await quiet(w, {"delay": 4, "announce_minutes": 60}, key="sol")
        contact = vouched(await w.session.get(Contact, quote.contact_id))
        contact.zone, contact.zone_source = zone, "stated"
    clock.forward(STALE)
    async with house.book.writing() as w:
        await nurturing.check_quote(w, quote.id)
    clock.forward(3 * 3600)
    await Alarms(house.book, ALARMS).sweep()
    if put_off:
        async with house.book.writing() as w:
            case = vouched(await enrolling.case_of(w, vouched(await w.session.locked(Enrolment, 1))))
            step = vouched(await w.session.locked(Step, 1))
            await enrolling.put_off(w, case, step, step.due_at + put_off, "with_us")
        clock.forward(put_off.total_seconds())
        await Alarms(house.book, ALARMS).sweep()
    clock.forward(3600)
    await Alarms(house.book, ALARMS).sweep()
    await rings(house, ana)
    async with house.book.reading() as r:
        return vouched(await r.session.scalar(
            select(Delivery).where(Delivery.purpose == announcing.ANNOUNCEMENT).order_by(Delivery.id.desc()).limit(1)
        ))


@pytest.mark.parametrize(("state", "progress", "said"), [
    (DeliveryState.done, 3, "arrived"), (DeliveryState.done, 4, "did not arrive"),
    (DeliveryState.failed, 4, "did not arrive"), (DeliveryState.done, 2, "no word of its arrival yet"),
    (DeliveryState.pending, 0, "no word of its arrival yet"),
    (DeliveryState.unknown, 0, "nobody knows whether it arrived"),
    (DeliveryState.abandoned, 0, "nobody knows whether it arrived"), (DeliveryState.unknown, 3, "arrived"),
])
async def test_an_announced_call_says_when_how_and_whether_the_text_arrived(
    house: House, browser: Browser, ana: Agent, clock: Clock, state: DeliveryState, progress: int, said: str
) -> None:
    text = await announced(house, ana, clock, "Europe/Madrid")
    async with house.book.writing() as w:
        moved = vouched(await w.session.locked(Delivery, text.id))
        moved.state, moved.progress = state, progress
    _, page = await browser.get("/desk")
    because = page[page.index('class="because"'):page.index("</dl>", page.index('class="because"'))]
    assert "<dt>Announced</dt><dd>SMS, Mon 23 Nov, 16:" in because
    assert f"{said}</span>" in because
    assert "your clock" not in because
    assert "STOP" not in page, "its words are nobody's business"
    assert "A text announced the next call" in page
    await browser.post("/desk/reservations/1/accept")
    _, page = await browser.get("/desk")
    assert f"{said}</span>" in page, "and while it is being made"


async def test_when_a_call_was_announced_stands_on_the_persons_clock_and_on_the_agents(
    house: House, browser: Browser, ana: Agent, clock: Clock
) -> None:
    await announced(house, ana, clock, "Atlantic/Canary")
    _, page = await browser.get("/desk")
    assert "SMS, Mon 23 Nov, 15:" in page
    assert "your clock: Mon 23 Nov, 16:" in page


async def test_a_call_that_was_put_off_and_announced_again_says_for_when(
    house: House, browser: Browser, ana: Agent, clock: Clock
) -> None:
    await announced(house, ana, clock, "Europe/Madrid", put_off=timedelta(hours=3))
    _, page = await browser.get("/desk")
    assert "<dt>Announced</dt><dd>SMS, Mon 23 Nov, 19:" in page
    assert "for a call not before Mon 23 Nov, 20:" in page
    assert "put off, and announced again" in page


async def test_a_call_that_was_not_announced_says_nothing_of_it(
    house: House, browser: Browser, ana: Agent, clock: Clock
) -> None:
    async with house.book.writing() as w:
        quote = await quiet(w, {"delay": 4}, key="sol")
    clock.forward(STALE)
    async with house.book.writing() as w:
        await nurturing.check_quote(w, quote.id)
    clock.forward(4 * 3600)
    await Alarms(house.book, ALARMS).sweep()
    await rings(house, ana)
    _, page = await browser.get("/desk")
    assert "Why this call now" in page
    assert "<dt>Announced</dt>" not in page
