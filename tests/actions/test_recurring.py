"""Recurring work: each period has one run, whoever looks, and an outage of any length ends in one."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text

from router.actions import housekeeping, recurring
from router.alarms import Alarms
from router.app import ALARMS
from router.book import Book, Writing
from router.canary import BLIND_SECONDS, SILENT_SECONDS, Canary
from router.model.alarms import Alarm, AlarmState
from router.model.facts import Fact
from router.model.recurring import Canary as Song
from router.model.recurring import Recurring
from router.store import alarms as rows
from tests.conftest import Clock


class Work:
    """Notes when it was done; fails while told to."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.fails = False

    async def __call__(self, w: Writing, recurring_id: int) -> None:
        if self.fails:
            raise LookupError("not now")
        self.done.append(f"{w.now:%d %H:%M}")


async def ensure(book: Book, rule: str, zone: str = "UTC", name: str = "work") -> None:
    async with book.writing() as w:
        await recurring.ensure(w, name, rule, zone)


async def roll(book: Book) -> int:
    async with book.writing() as w:
        return await recurring.roll(w)


async def pending(book: Book) -> list[str]:
    async with book.reading() as r:
        due = await r.session.scalars(
            select(Alarm.due_at).where(Alarm.state == AlarmState.pending).order_by(Alarm.due_at))
        return [f"{one:%d %H:%M}" for one in due]


async def test_by_the_wall_of_madrid_it_comes_once_a_day_through_the_change_of_the_clock(
    book: Book, clock: Clock
) -> None:
    clock.now = datetime(2026, 10, 24, 12, 0, tzinfo=UTC)
    work = Work()
    alarms = Alarms(book, {"work": work})
    await ensure(book, "daily 02:30", "Europe/Madrid")
    for _ in range(3 * 24 * 2):
        clock.forward(1800)
        await alarms.sweep()
        await roll(book)
    assert work.done == ["25 00:30", "26 01:30", "27 01:30"]


async def test_what_was_missed_is_one_run_and_the_next_is_in_its_place_on_the_grid(book: Book, clock: Clock) -> None:
    work = Work()
    alarms = Alarms(book, {"work": work})
    await ensure(book, "every 15 min")
    clock.forward(5 * 3600 + 120)
    assert await roll(book) == 0  # the one that is overdue comes first
    await alarms.sweep()
    assert await roll(book) == 1
    await alarms.sweep()
    assert work.done == ["23 17:02"]
    assert await pending(book) == ["23 17:15"]


async def test_three_replicas_set_one_alarm_a_period(book: Book, clock: Clock) -> None:
    work = Work()
    replicas = [Alarms(book, {"work": work}) for _ in range(3)]
    await asyncio.gather(*(ensure(book, "every 10 min") for _ in replicas))
    for _ in range(6):
        clock.forward(600)
        await asyncio.gather(*(one.sweep() for one in replicas))
        assert sum(await asyncio.gather(*(roll(book) for _ in replicas))) == 1
    assert len(work.done) == 6
    assert len(await pending(book)) == 1


async def test_said_again_nothing_changes_and_another_rule_moves_it(book: Book) -> None:
    await ensure(book, "every 15 min")
    await ensure(book, "every 15 min")
    assert await pending(book) == ["23 12:15"]
    await ensure(book, "daily 03:30", "Europe/Madrid")
    assert await pending(book) == ["24 02:30"]
    async with book.reading() as r:
        told = await r.session.scalars(select(Fact.data).where(Fact.kind == "recurring.set").order_by(Fact.id))
    assert [one["rule"] for one in told] == ["every 15 min", "daily 03:30"]


async def test_what_fails_five_times_is_parked_and_its_next_period_comes_all_the_same(
    book: Book, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    work = Work()
    work.fails = True
    alarms = Alarms(book, {"work": work})
    await ensure(book, "every 1 h")
    for _ in range(70):
        clock.forward(60)
        await alarms.sweep()
        await roll(book)
    async with book.reading() as r:
        parked = await r.session.scalars(select(Alarm.id).where(Alarm.state == AlarmState.parked))
    assert len(parked) == 1
    work.fails = False
    clock.forward(3600)
    await alarms.sweep()
    assert len(work.done) == 1


async def test_dropped_it_does_not_come_again(book: Book, clock: Clock) -> None:
    await ensure(book, "every 1 min")
    async with book.writing() as w:
        await recurring.drop(w, "work")
        await recurring.drop(w, "never heard of")
    assert await pending(book) == []
    clock.forward(3600)
    assert await roll(book) == 0


async def test_after_the_clock_was_set_back_a_period_is_no_longer_than_before(book: Book, clock: Clock) -> None:
    await ensure(book, "every 1 min")
    await ensure(book, "daily 12:05", name="daily")
    clock.forward(-3600)
    assert await roll(book) == 1
    assert await pending(book) == ["23 11:01", "23 12:05"]
    assert await roll(book) == 0


async def test_a_rule_of_a_later_version_disturbs_nobody(book: Book, clock: Clock) -> None:
    async with book.writing() as w:
        w.session.add(Recurring(name="moon", rule="every full moon", zone="UTC", next_at=w.now))
    await ensure(book, "every 1 min")
    clock.forward(60)
    await Alarms(book, {"work": Work()}).sweep()
    assert await roll(book) == 1


async def test_the_house_sets_its_own_and_forgets_old_alarms_in_pieces(book: Book, clock: Clock) -> None:
    async with book.writing() as w:
        await housekeeping.ensure_jobs(w)
        await w.session.execute(text(
            "insert into alarms (kind, subject_id, due_at, state, failures, ended_at) "
            "select 'old', n, :then, 'done', 0, :then from generate_series(1, :count) n"
        ), {"then": w.now - timedelta(days=31), "count": housekeeping.ALARMS_AT_ONCE * 2 + 5})
    clock.forward(24 * 3600)
    alarms = Alarms(book, ALARMS)
    with book.hub.watch("alarms") as watcher:
        for _ in range(3):
            await alarms.sweep()
        assert await watcher.changed() == {"alarms"}
    async with book.reading() as r:
        assert not await r.session.scalars(select(Alarm.id).where(Alarm.kind == "old"))
        runs = await r.session.scalars(select(Alarm.id).where(Alarm.kind == housekeeping.FORGET_ALARMS))
        parked = await r.session.scalars(select(Alarm.kind).where(Alarm.state == AlarmState.parked))
    assert len(runs) == 3
    assert not parked


class Bird:
    """A process's canary with a monotonic clock of the test's, over alarms that run when told."""

    def __init__(self, book: Book, clock: Clock) -> None:
        self.book, self.clock, self.seconds = book, clock, 0.0
        self.heard = Canary(book, clock=lambda: self.seconds)
        self.alarms = Alarms(book, ALARMS)

    async def minutes(self, count: int, *, late: float = 0.0, ringing: bool = True) -> None:
        for _ in range(count):
            self.clock.forward(60 + late)
            self.seconds += 60 + late
            if ringing:
                await self.alarms.sweep()
                await roll(self.book)
            await self.heard.look()
            self.clock.forward(-late)


@pytest.fixture
async def bird(book: Book, clock: Clock) -> Bird:
    async with book.writing() as w:
        await recurring.ensure(w, housekeeping.CANARY, "every 1 min")
    return Bird(book, clock)


async def test_the_canary_tells_how_late_alarms_are_from_due_to_done(bird: Bird) -> None:
    await bird.minutes(98)
    assert bird.heard.p99 < 1
    await bird.minutes(2, late=20)
    assert bird.heard.p50 < 1
    assert 20 <= bird.heard.p99 < 21
    assert bird.heard.healthy
    assert bird.heard.silent_seconds == 0


async def test_when_no_canary_is_done_for_five_minutes_though_the_database_answers_the_house_is_ill(bird: Bird) -> None:
    await bird.minutes(2)
    await bird.minutes(4, ringing=False)
    assert bird.heard.healthy
    await bird.minutes(1, ringing=False)
    assert bird.heard.silent_seconds == SILENT_SECONDS
    assert not bird.heard.healthy
    await bird.minutes(1)
    assert bird.heard.healthy


async def test_while_the_database_was_away_no_canary_could_be_done(bird: Bird) -> None:
    await bird.minutes(2)
    bird.seconds += 3600  # no look was answered
    assert bird.heard.healthy
    await bird.heard.look()
    assert bird.heard.healthy
    assert bird.heard.silent_seconds < BLIND_SECONDS


async def test_a_clock_set_back_does_not_silence_the_canary(bird: Bird, clock: Clock) -> None:
    await bird.minutes(2)
    clock.forward(-3600)
    await roll(bird.book)
    await bird.minutes(3)
    assert bird.heard.silent_seconds == 0


async def test_old_songs_are_forgotten(bird: Bird, clock: Clock, book: Book) -> None:
    await bird.minutes(1)
    clock.forward(housekeeping.KEEP_CANARIES.total_seconds())
    await bird.minutes(1)
    async with book.reading() as r:
        assert len(await r.session.scalars(select(Song.id))) == 1


async def test_a_handler_may_put_off_its_own_alarm_and_the_next_period_waits_for_it(book: Book, clock: Clock) -> None:
    async def in_pieces(w: Writing, recurring_id: int) -> None:
        await rows.set_alarm(w.session, "work", recurring_id, w.now + timedelta(seconds=90))

    await ensure(book, "every 1 min")
    clock.forward(60)
    await Alarms(book, {"work": in_pieces}).sweep()
    assert await roll(book) == 0
    assert await pending(book) == ["23 12:02"]
