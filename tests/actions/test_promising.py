"""Promising: the last place is sold once, and a promise follows what becomes of its task."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from router.actions import hearing, intake, keeping, promising, resuming, wrapping
from router.actions.promising import Holder
from router.actions.resuming import Coming
from router.alarms import Alarms
from router.book import Book, Writing
from router.live import Hub
from router.model.alarms import Alarm, AlarmState
from router.model.base import vouched
from router.model.deliveries import Delivery
from router.model.errors import Conflict, TooMany
from router.model.facts import Fact
from router.model.leads import Lead
from router.model.promises import HOLDS_EACH, MOVES_EACH, Promise, PromiseState, SlotLoad
from router.model.slots import Slot
from router.model.suppressions import Suppression
from router.model.tasks import Disposition, Task, TaskKind, TaskState
from router.model.vault import Vault
from router.ports import MessageArrived
from router.store import alarms
from router.store.db import make_engine
from router.store.sites import Landing
from tests import making
from tests.conftest import Clock
from tests.invariants import check

THURSDAY = datetime(2026, 11, 26, 8, 0, tzinfo=UTC)
COMING = Coming("Call me now", "es", "203.0.113.0/24", "browser", "/s/")
ALARMS = {intake.TASK_DUE: intake.task_due, promising.LAPSE: promising.lapse, promising.MISSED: promising.missed,
          wrapping.TASK_WRAP: wrapping.wrap_up_ends}


class Line:
    """A line with one agent on the morning shift, and what a test asks of it."""

    def __init__(self, book: Book, clock: Clock, landing: Landing) -> None:
        self.book, self.clock, self.landing = book, clock, landing
        self.alarms = Alarms(book, ALARMS)

    async def slots(self) -> list[Slot]:
        async with self.book.reading() as r:
            return await promising.offered(r.session, self.landing.campaign, self.landing.queue, r.now)

    async def hold(self, starts_at: datetime, holder: Holder = promising.NOBODY) -> str:
        async with self.book.writing() as w:
            return await promising.hold(w, self.landing, starts_at, holder)

    async def booked(self, phone: str = "+12025550101", starts_at: datetime | None = None) -> Promise:
        """A lead with a promise for the first free slot."""
        starts_at = starts_at or (await self.slots())[0].starts_at
        hold = await self.hold(starts_at)
        async with self.book.writing() as w:
            lead = await w.session.scalar(select(Lead).order_by(Lead.id.desc())) if phone == "" else await making.lead(
                w, self.landing.queue, phone)
            lead = vouched(lead)
            task = await self.scheduled(w, lead, starts_at)
            return await promising.book(
                w, hold, lead_id=lead.id, task_id=task.id, contact_id=lead.contact_id, locale="en"
            )

    async def scheduled(self, w: Writing, lead: Lead, starts_at: datetime) -> Task:
        task = await making.task(w, self.landing.queue, lead, state=TaskState.scheduled, tier=1)
        await alarms.set_alarm(w.session, intake.TASK_DUE, task.id, starts_at - timedelta(minutes=1))
        return task

    async def at(self, moment: datetime) -> None:
        self.clock.now = moment
        await self.alarms.sweep()

    async def move(self, task_id: int, *to: TaskState, agent_id: int | None = None) -> None:
        async with self.book.writing() as w:
            for state in to:
                assert await w.move(Task, task_id, state, agent_id=agent_id)

    async def promise(self, promise_id: int) -> Promise:
        async with self.book.reading() as r:
            return vouched(await r.session.get(Promise, promise_id))

    async def task(self, task_id: int | None) -> Task:
        async with self.book.reading() as r:
            return vouched(await r.session.get(Task, task_id))

    async def taken(self) -> dict[datetime, int]:
        async with self.book.reading() as r:
            return {one.starts_at: one.taken for one in await r.session.scalars(select(SlotLoad)) if one.taken}

    async def texts(self) -> list[str]:
        async with self.book.reading() as r:
            rows = await r.session.scalars(select(Delivery).order_by(Delivery.id))
            return [one.shown_text for one in rows if one.purpose.startswith("promise")]


@pytest.fixture
async def line(book: Book, clock: Clock) -> Line:
    clock.now = THURSDAY
    async with book.writing() as w:
        campaign = await making.campaign(w)
        hours = {"thu": [["09:00", "11:00"]], "fri": [["09:00", "11:00"]]}
        queue = await making.queue(w, campaign, hours=hours, slot_minutes=30, handle_seconds=1500)
        site = await making.site(w, queue)
        await making.agent(w, "ana", shifts={"thu": [["09:30", "10:30"]], "fri": [["09:30", "10:30"]]})
        return Line(book, clock, Landing(site, queue, campaign))


@pytest.fixture
async def twin(worker_database: str, book: Book, clock: Clock, vault: Vault) -> AsyncIterator[Book]:
    """Another replica over the same database."""
    engine = make_engine(worker_database)
    yield Book(engine, Hub(), vault, book.public_url, clock=clock)
    await engine.dispose()


async def test_only_times_with_somebody_on_shift_are_offered(line: Line) -> None:
    assert [f"{one.starts_at:%a %H:%M}" for one in await line.slots()] == ["Thu 08:30", "Thu 09:00", "Fri 08:30",
                                                                          "Fri 09:00"]


async def test_of_twenty_who_want_the_last_place_one_gets_it(line: Line, twin: Book) -> None:
    starts_at = (await line.slots())[0].starts_at

    async def one(book: Book) -> bool:
        try:
            async with book.writing() as w:
                await promising.hold(w, line.landing, starts_at)
        except Conflict:
            return False
        return True

    won = await asyncio.gather(*(one(book) for _ in range(10) for book in (line.book, twin)))
    assert sum(won) == 1
    assert await line.taken() == {starts_at: 1}
    assert starts_at not in {slot.starts_at for slot in await line.slots()}


@pytest.mark.parametrize("minutes", [-60, 0, 7, 23 * 60, 24 * 60 * 30])
async def test_a_time_that_was_not_offered_cannot_be_held(line: Line, minutes: int) -> None:
    with pytest.raises(Conflict):
        await line.hold(THURSDAY + timedelta(minutes=minutes))


async def test_a_hold_lapses_and_its_place_is_free_again(line: Line) -> None:
    starts_at = (await line.slots())[0].starts_at
    token = await line.hold(starts_at)
    await line.at(THURSDAY + timedelta(minutes=11))
    assert await line.taken() == {}
    async with line.book.reading() as r:
        assert await promising.starts_at(r.session, token) is None
    async with line.book.writing() as w:
        lead = await making.lead(w, line.landing.queue)
        task = await line.scheduled(w, lead, starts_at)
        with pytest.raises(Conflict):
            await promising.book(w, token, lead_id=lead.id, task_id=task.id, contact_id=lead.contact_id, locale="en")


async def test_holding_another_time_gives_the_first_one_up(line: Line) -> None:
    first, second, *_ = await line.slots()
    token = await line.hold(first.starts_at)
    await line.hold(second.starts_at, Holder(instead_of=token))
    assert await line.taken() == {second.starts_at: 1}


async def test_the_same_key_holds_once_and_again_after_it_lapsed(line: Line) -> None:
    starts_at = (await line.slots())[1].starts_at
    tokens = [await line.hold(starts_at, Holder(key="request-1")) for _ in range(2)]
    assert tokens[0] == tokens[1]
    await line.at(THURSDAY + timedelta(minutes=11))
    assert await line.hold(starts_at, Holder(key="request-1")) == tokens[0]
    assert await line.taken() == {starts_at: 1}


async def test_one_network_holds_only_so_many(line: Line) -> None:
    async with line.book.writing() as w:
        for number in range(HOLDS_EACH):
            await making.agent(w, f"agent{number}")
    for _ in range(HOLDS_EACH):
        await line.hold((await line.slots())[0].starts_at, Holder(network=b"n"))
    with pytest.raises(TooMany):
        await line.hold((await line.slots())[0].starts_at, Holder(network=b"n"))


async def test_a_booked_promise_is_confirmed_by_a_text_with_its_time_and_zone(line: Line) -> None:
    promise = await line.booked()
    assert promise.state is PromiseState.scheduled
    assert (promise.wall, promise.zone) == ("2026-11-26T09:30", "Europe/Madrid")
    assert promise.tzdata
    assert await line.texts() == [
        "Luz Clara SL: we call you on Thu 26 Nov, 09:30 CET. To move or cancel the call: [link]"
    ]


async def test_who_may_not_be_texted_keeps_his_promise(line: Line) -> None:
    async with line.book.writing() as w:
        w.session.add(Suppression(phone="+12025550101", reason="stop", created_at=w.now))
    assert (await line.booked()).state is PromiseState.scheduled
    assert await line.texts() == []


async def test_booking_twice_with_one_hold_is_one_promise(line: Line) -> None:
    starts_at = (await line.slots())[0].starts_at
    token = await line.hold(starts_at)
    made = []
    async with line.book.writing() as w:
        lead = await making.lead(w, line.landing.queue)
        task = await line.scheduled(w, lead, starts_at)
    for _ in range(2):
        async with line.book.writing() as w:
            made.append(await promising.book(
                w, token, lead_id=lead.id, task_id=task.id, contact_id=lead.contact_id, locale="en"))
    assert made[0].id == made[1].id
    assert len(await line.texts()) == 1


async def test_a_second_booking_takes_the_place_of_the_first(line: Line) -> None:
    first = await line.booked()
    second = await line.booked(phone="")
    assert second.continues == first.id
    assert (await line.promise(first.id)).state is PromiseState.moved
    assert (await line.task(first.task_id)).state is TaskState.withdrawn
    assert await line.taken() == {second.starts_at: 1}


async def test_one_minute_before_its_time_it_is_offered_and_kept_when_they_talk(line: Line) -> None:
    promise = await line.booked()
    await line.at(promise.starts_at - timedelta(minutes=1))
    assert (await line.promise(promise.id)).state is PromiseState.offered
    task = await line.task(promise.task_id)
    assert task.state is TaskState.queued
    async with line.book.writing() as w:
        await keeping.talked(w, task)
    assert (await line.promise(promise.id)).state is PromiseState.kept


async def test_who_talks_to_us_before_is_not_called_again(line: Line) -> None:
    promise = await line.booked()
    async with line.book.writing() as w:
        lead = vouched(await w.session.get(Lead, promise.lead_id))
        now = await making.task(w, line.landing.queue, lead)
        await keeping.talked(w, now)
    assert (await line.promise(promise.id)).state is PromiseState.kept_by_inbound
    assert (await line.task(promise.task_id)).state is TaskState.withdrawn
    assert await line.taken() == {}
    await line.at(promise.starts_at + timedelta(hours=1))
    async with line.book.reading() as r:
        await check(r.session)


async def test_who_waits_in_another_call_at_his_time_is_served_by_that_one(line: Line) -> None:
    promise = await line.booked()
    async with line.book.writing() as w:
        lead = vouched(await w.session.get(Lead, promise.lead_id))
        waiting = await making.task(w, line.landing.queue, lead)
    await line.at(promise.starts_at - timedelta(minutes=1))
    assert (await line.task(promise.task_id)).state is TaskState.withdrawn
    async with line.book.writing() as w:
        await keeping.talked(w, waiting)
    assert (await line.promise(promise.id)).state is PromiseState.kept


@pytest.mark.parametrize(("outcome", "end"), [
    (Disposition.no_answer, PromiseState.no_answer), (Disposition.busy, PromiseState.no_answer),
    (Disposition.failed, PromiseState.missed_by_us), (Disposition.not_permitted, PromiseState.canceled),
])
async def test_a_call_that_came_to_nothing_ends_the_promise(
    line: Line, outcome: Disposition, end: PromiseState
) -> None:
    promise = await line.booked()
    await line.at(promise.starts_at)
    async with line.book.writing() as w:
        agent = await making.agent(w, "berta")
    task_id = vouched(promise.task_id)
    await line.move(task_id, TaskState.reserved, TaskState.connecting, agent_id=agent.id)
    async with line.book.writing() as w:
        await wrapping.close_task(w, task_id, outcome)
    assert (await line.promise(promise.id)).state is end


async def test_who_was_not_dialled_in_time_is_told_so_and_stays_in_the_queue(line: Line) -> None:
    promise = await line.booked()
    await line.at(promise.starts_at - timedelta(minutes=1))
    await line.at(promise.starts_at + timedelta(minutes=14))
    assert (await line.promise(promise.id)).state is PromiseState.offered
    await line.at(promise.starts_at + timedelta(minutes=15))
    assert (await line.promise(promise.id)).state is PromiseState.missed_by_us
    assert (await line.task(promise.task_id)).state is TaskState.queued
    assert "did not. We are sorry" in (await line.texts())[-1]


async def test_a_stop_word_ends_the_promise_and_frees_its_place(line: Line) -> None:
    promise = await line.booked()
    async with line.book.writing() as w:
        await hearing.message_arrived(w, MessageArrived("SM1", "+12025550101", "+34910000000", "STOP"))
    assert (await line.promise(promise.id)).state is PromiseState.canceled
    assert await line.taken() == {}


async def test_a_moved_promise_takes_its_task_and_alarm_along(line: Line) -> None:
    promise = await line.booked()
    to = (await line.slots())[-1].starts_at
    async with line.book.writing() as w:
        moved = await promising.move(w, vouched(promise.lead_id), to)
    assert (await line.promise(promise.id)).state is PromiseState.moved
    assert (moved.task_id, moved.continues) == (promise.task_id, promise.id)
    assert await line.taken() == {to: 1}
    async with line.book.reading() as r:
        due = await r.session.scalars(
            select(Alarm.due_at).where(Alarm.kind == intake.TASK_DUE, Alarm.state == AlarmState.pending))
        assert list(due) == [to - timedelta(minutes=1)]
        await check(r.session)
    await line.at(promise.starts_at)
    assert (await line.task(promise.task_id)).state is TaskState.scheduled


async def test_an_offered_promise_can_be_moved_until_it_rings(line: Line) -> None:
    promise = await line.booked()
    await line.at(promise.starts_at - timedelta(minutes=1))
    to = (await line.slots())[-1].starts_at
    async with line.book.writing() as w:
        await promising.move(w, vouched(promise.lead_id), to)
    assert (await line.task(promise.task_id)).state is TaskState.scheduled
    await line.at(to - timedelta(minutes=1))
    await line.move(vouched(promise.task_id), TaskState.reserved)
    with pytest.raises(Conflict):
        async with line.book.writing() as w:
            await promising.cancel(w, vouched(promise.lead_id))


async def test_moving_to_a_full_time_changes_nothing(line: Line) -> None:
    promise = await line.booked()
    other = await line.booked("+12025550102")
    with pytest.raises(Conflict):
        async with line.book.writing() as w:
            await promising.move(w, vouched(promise.lead_id), other.starts_at)
    assert (await line.promise(promise.id)).state is PromiseState.scheduled


async def test_nobody_moves_his_call_for_ever(line: Line) -> None:
    promise = await line.booked()
    lead_id, free = vouched(promise.lead_id), [slot.starts_at for slot in await line.slots()]
    for number in range(MOVES_EACH):
        async with line.book.writing() as w:
            await promising.move(w, lead_id, free[number % 2])
    async with line.book.writing() as w:
        with pytest.raises(TooMany):
            await promising.move(w, lead_id, free[-1])


async def test_a_canceled_promise_frees_its_place_and_withdraws_its_task(line: Line) -> None:
    promise = await line.booked()
    async with line.book.writing() as w:
        await promising.cancel(w, vouched(promise.lead_id))
    assert (await line.promise(promise.id)).state is PromiseState.canceled
    assert (await line.task(promise.task_id)).state is TaskState.withdrawn
    assert await line.taken() == {}
    with pytest.raises(Conflict):
        async with line.book.writing() as w:
            await promising.cancel(w, vouched(promise.lead_id))


async def test_who_asks_for_a_call_now_keeps_his_promise_until_they_talk(line: Line) -> None:
    promise = await line.booked()
    lead_id = vouched(promise.lead_id)
    asked = []
    for _ in range(2):
        async with line.book.writing() as w:
            asked.append(await resuming.call_now(w, lead_id, COMING))
    assert asked[0]
    assert asked[1] is None
    assert (await line.promise(promise.id)).state is PromiseState.scheduled
    async with line.book.writing() as w:
        await keeping.talked(w, await line.task(asked[0]))
    assert (await line.promise(promise.id)).state is PromiseState.kept_by_inbound
    async with line.book.reading() as r:
        await check(r.session)


async def test_who_canceled_may_choose_another_time(line: Line) -> None:
    promise = await line.booked()
    lead_id = vouched(promise.lead_id)
    async with line.book.writing() as w:
        await promising.cancel(w, lead_id)
    to = (await line.slots())[-1].starts_at
    async with line.book.writing() as w:
        anew = await resuming.choose(w, lead_id, to, COMING)
    assert anew.state is PromiseState.scheduled
    await line.at(to - timedelta(minutes=1))
    assert (await line.task(anew.task_id)).state is TaskState.queued


async def test_who_waits_in_vain_may_choose_a_time_instead(line: Line) -> None:
    async with line.book.writing() as w:
        lead = await making.lead(w, line.landing.queue)
        waiting = await making.task(w, line.landing.queue, lead)
    to = (await line.slots())[0].starts_at
    async with line.book.writing() as w:
        promise = await resuming.choose(w, lead.id, to, COMING)
    task = await line.task(promise.task_id)
    assert (task.id, task.state, task.tier, task.kind) == (waiting.id, TaskState.scheduled, 1, TaskKind.call)
    async with line.book.reading() as r:
        facts = await r.session.scalars(select(Fact.kind).where(Fact.lead_id == lead.id).order_by(Fact.seq))
        assert "promise.scheduled" in facts
        await check(r.session)
