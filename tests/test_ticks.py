"""Ticks: sweeps never overlap, never die, and outlive a clock that jumps, a timer that dies, a database that goes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.triggers.interval import IntervalTrigger
from sqlalchemy import text

from router.alarms import Alarms
from router.book import Book, Writing
from router.live import Hub
from router.store import alarms
from router.ticks import Sweep, Ticks
from tests.conftest import Clock, until

SOON, NEVER = 0.02, 3600.0


class Work:
    """Counts its runs; waits while `gate` is closed; raises as often as `stumbling` says."""

    def __init__(self, stumbling: int = 0) -> None:
        self.runs = self.at_once = self.most_at_once = 0
        self.stumbling = stumbling
        self.gate = asyncio.Event()
        self.gate.set()
        self.began = asyncio.Event()

    async def __call__(self) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.began.set()
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        self.runs += 1
        if self.stumbling:
            self.stumbling -= 1
            raise LookupError("no")

    async def reach(self, runs: int) -> None:
        async def reached() -> bool:
            return self.runs >= runs

        await until(reached, f"{runs} runs")


@asynccontextmanager
async def ticking(*sweeps: Sweep, hub: Hub | None = None, look_every: float = SOON) -> AsyncIterator[Ticks]:
    ticks = Ticks(hub or Hub(), sweeps, look_every=look_every)
    await ticks.start()
    try:
        yield ticks
    finally:
        await ticks.stop()


async def test_a_sweep_runs_at_once_and_again_and_again() -> None:
    work = Work()
    async with ticking(Sweep("work", work, every=SOON)) as ticks:
        await work.reach(4)
        assert ticks.alive
    assert not ticks.alive


async def test_a_sweep_that_rests_at_first_hears_no_poke_until_then_and_nobody_thinks_it_ill(
    caplog: pytest.LogCaptureFixture,
) -> None:
    resting, other = Work(), Work()
    sweep, hub = Sweep("resting", resting, every=SOON, rests=NEVER, audiences=("absent",)), Hub()
    async with ticking(sweep, Sweep("other", other, every=SOON), hub=hub) as ticks:
        hub.tell(["absent"])
        await other.reach(10)
        assert (resting.runs, ticks.alive, ticks.restarts) == (0, True, 0)
        assert "woken" not in caplog.text
        sweep.rests = 0.0
        sweep.open()
        await resting.reach(2)


async def test_a_hint_runs_a_sweep_now_and_pokes_meanwhile_are_one_more_run() -> None:
    work, hub = Work(), Hub()
    async with ticking(Sweep("work", work, every=NEVER, audiences=("courier",)), hub=hub):
        await work.reach(1)
        work.gate.clear()
        work.began.clear()
        hub.tell(["courier"])
        await work.began.wait()
        for _ in range(5):
            hub.tell(["courier"])
        work.gate.set()
        await work.reach(3)
    assert (work.runs, work.most_at_once) == (3, 1)


async def test_a_failing_sweep_goes_on_and_its_failures_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    work = Work(stumbling=5)
    sweep = Sweep("work", work, every=SOON)
    async with ticking(sweep):
        await work.reach(5)
        await work.reach(7)
    assert sweep.failures == 0
    assert caplog.text.count("sweep failed") == 3  # the first, second and fourth time


async def test_a_hung_sweep_is_cut_off_and_runs_again(caplog: pytest.LogCaptureFixture) -> None:
    work = Work()
    work.gate.clear()
    sweep = Sweep("work", work, every=SOON, time_out=0.05)
    async with ticking(sweep):

        async def cut_off() -> bool:
            return sweep.failures >= 2

        await until(cut_off, "two time-outs")
        work.gate.set()
        await work.reach(2)
    assert work.most_at_once == 1


async def test_sweeps_resume_after_the_wall_clock_jumped_back(caplog: pytest.LogCaptureFixture) -> None:
    work = Work()
    async with ticking(Sweep("work", work, every=SOON)) as ticks:
        await work.reach(2)
        # What a clock put back by an hour leaves behind: the next run lies an hour ahead.
        ticks.scheduler.modify_job("work", next_run_time=datetime.now(UTC) + timedelta(hours=1))
        await work.reach(work.runs + 4)
        assert ticks.healthy


async def test_a_wall_clock_that_jumped_ahead_by_an_hour_is_one_run_and_no_burst() -> None:
    work, hub = Work(), Hub()
    async with ticking(Sweep("work", work, every=NEVER), hub=hub, look_every=NEVER) as ticks:
        await work.reach(1)
        # What it leaves behind: the next run lay an hour back, and as many periods were missed.
        ticks.scheduler.modify_job("work", trigger=IntervalTrigger(seconds=1, timezone=UTC))
        ticks.scheduler.modify_job("work", next_run_time=datetime.now(UTC) - timedelta(hours=1))
        await work.reach(2)
        ahead = ticks.scheduler.get_job("work").next_run_time - datetime.now(UTC)
        assert timedelta(0) < ahead <= timedelta(seconds=2)
    assert work.runs == 2


async def test_a_hung_sweep_keeps_no_other_from_running(caplog: pytest.LogCaptureFixture) -> None:
    hung, work = Work(), Work()
    hung.gate.clear()
    async with ticking(Sweep("hung", hung, every=SOON), Sweep("work", work, every=SOON)) as ticks:
        await hung.began.wait()
        await work.reach(5)
        assert (hung.runs, hung.most_at_once, ticks.restarts) == (0, 1, 0)
        hung.gate.set()
        await hung.reach(2)


async def test_sweeps_resume_after_the_schedulers_timer_died(caplog: pytest.LogCaptureFixture) -> None:
    work = Work()
    async with ticking(Sweep("work", work, every=SOON)) as ticks:
        await work.reach(2)
        ticks.scheduler._stop_timer()
        await work.reach(work.runs + 4)


@pytest.mark.parametrize("kill", [lambda one: one.pause(), lambda one: one.shutdown(wait=False)], ids=["deaf", "ended"])
async def test_a_scheduler_that_no_longer_ticks_is_replaced(
    kill: Callable[[object], None], caplog: pytest.LogCaptureFixture
) -> None:
    work = Work()
    async with ticking(Sweep("work", work, every=SOON)) as ticks:
        await work.reach(2)
        dead = ticks.scheduler
        kill(dead)

        async def replaced() -> bool:
            return ticks.scheduler is not dead

        await until(replaced, "another scheduler")
        await work.reach(work.runs + 4)
        assert ticks.restarts >= 1


async def test_a_scheduler_kept_busy_by_hints_is_seen_to_be_dead_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    work, hub = Work(), Hub()
    async with ticking(Sweep("work", work, every=SOON, audiences=("courier",)), hub=hub) as ticks:
        await work.reach(1)
        ticks.scheduler.pause()

        async def replaced() -> bool:
            hub.tell(["courier"])
            return ticks.restarts > 0

        await until(replaced, "another scheduler")


async def test_a_sweep_that_never_ends_makes_the_process_ill() -> None:
    work = Work()
    sweep = Sweep("work", work, every=1.0)
    async with ticking(sweep, look_every=NEVER) as ticks:
        await work.reach(1)
        assert ticks.healthy
        sweep.ended_at -= 29
        assert ticks.healthy
        sweep.ended_at -= 2
        assert not ticks.healthy


async def test_stopping_waits_for_what_runs_and_begins_nothing_new() -> None:
    work = Work()
    sweep = Sweep("work", work, every=SOON)
    ticks = Ticks(Hub(), [sweep], look_every=SOON)
    await ticks.start()
    await work.reach(1)
    work.gate.clear()
    work.began.clear()
    await work.began.wait()
    stopping = asyncio.create_task(ticks.stop())
    sweep.poke()
    work.gate.set()
    await stopping
    runs = work.runs
    sweep.poke()
    assert not sweep.running
    assert work.runs == runs


async def test_sweeps_outlive_a_lost_database(book: Book, caplog: pytest.LogCaptureFixture) -> None:
    done = 0

    async def look() -> None:
        nonlocal done
        async with book.writing() as w:
            await w.session.execute(text("select 1"))
        done += 1

    def more_than(runs: int) -> Callable[[], Awaitable[bool]]:
        async def reached() -> bool:
            return done > runs

        return reached

    async with ticking(Sweep("one", look, every=SOON), Sweep("two", look, every=SOON)) as ticks:
        await until(more_than(2), "a run")
        async with book.writing() as w:
            await w.session.execute(text(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid()"
            ))
        await until(more_than(done + 4), "runs after the cut")
        assert ticks.healthy


async def test_a_connection_cut_in_the_middle_of_a_sweep_costs_one_run_and_loses_no_alarm(
    book: Book, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    cuts = [1]

    async def ring(w: Writing, subject_id: int) -> None:
        w.fact("rang", subject_id=subject_id)
        if subject_id == 3 and cuts:
            cuts.pop()
            await w.session.execute(text("select pg_terminate_backend(pg_backend_pid())"))

    async with book.writing() as w:
        for subject in range(1, 6):
            await alarms.set_alarm(w.session, "ring", subject, w.now)
    sweep = Sweep("alarms", Alarms(book, {"ring": ring}).sweep, every=SOON)

    async def rang() -> bool:
        async with book.reading() as r:
            told = await r.session.rows(text("select subject_id from facts where kind = 'rang' order by subject_id"))
        return [row[0] for row in told] == [1, 2, 3, 4, 5]

    async with ticking(sweep) as ticks:
        await until(rang, "all to ring, once")
        assert ticks.restarts == 0
    assert not cuts
    async with book.reading() as r:
        assert (await r.session.rows(text("select sum(failures) from alarms")))[0][0] == 0
