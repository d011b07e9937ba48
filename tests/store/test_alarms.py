"""Alarms: each due moment has its effect once, in the transaction that marks it done."""

import asyncio
import logging
from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from router import alarms as ringing
from router.alarms import Alarms, Late
from router.book import Book, Writing
from router.gauges import Recent
from router.model.alarms import Alarm, AlarmState
from router.model.facts import Fact
from router.store import alarms as rows
from tests.conftest import Clock, until

pytestmark = pytest.mark.usefixtures("unhurried")


class Handler:
    """Records its calls as facts, and the subjects it saw; raises for those it is `stumbling` over."""

    def __init__(self, *stumbling: int) -> None:
        self.stumbling = set(stumbling)
        self.saw: list[int] = []

    async def __call__(self, w: Writing, subject_id: int) -> None:
        self.saw.append(subject_id)
        w.fact("rang", subject_id=subject_id)
        w.hint("dispatch")
        if subject_id in self.stumbling:
            raise LookupError("not now")


async def put(
    book: Book, subject_id: int = 1, *, kind: str = "ring", after: float = 0, not_after: float | None = None
) -> None:
    async with book.writing() as w:
        until = None if not_after is None else w.now + timedelta(seconds=not_after)
        await rows.set_alarm(w.session, kind, subject_id, w.now + timedelta(seconds=after), not_after=until)


async def rang(book: Book) -> list[int | None]:
    async with book.reading() as r:
        return list(await r.session.scalars(select(Fact.subject_id).where(Fact.kind == "rang").order_by(Fact.id)))


async def states(book: Book) -> list[AlarmState]:
    async with book.reading() as r:
        return list(await r.session.scalars(select(Alarm.state).order_by(Alarm.id)))


async def test_an_alarm_rings_once_when_it_is_due(book: Book, clock: Clock) -> None:
    lateness = Recent()
    alarms = Alarms(book, {"ring": Handler()}, lateness=lateness)
    await put(book, 7, after=10)
    assert await alarms.sweep() == 0
    clock.forward(12)
    assert await alarms.sweep() == 1
    assert await alarms.sweep() == 0
    assert await rang(book) == [7]
    assert lateness.quantile(0.99) == 2.0


async def test_two_replicas_ring_each_alarm_once(book: Book) -> None:
    for subject in range(40):
        await put(book, subject)
    replicas = [Alarms(book, {"ring": Handler()}) for _ in range(2)]
    assert sum(await asyncio.gather(*(one.sweep() for one in replicas))) == 40
    assert sorted(str(one) for one in await rang(book)) == sorted(map(str, range(40)))


async def test_setting_an_alarm_again_moves_it_and_cancelling_silences_it(book: Book, clock: Clock) -> None:
    alarms = Alarms(book, {"ring": Handler()})
    await put(book, after=5)
    await put(book, after=60)
    clock.forward(10)
    assert await alarms.sweep() == 0
    async with book.writing() as w:
        await rows.cancel(w.session, "ring", 1, w.now)
    clock.forward(60)
    assert await alarms.sweep() == 0
    assert await states(book) == [AlarmState.canceled]


async def test_a_failing_handler_leaves_nothing_rings_again_later_and_stops_nobody(
    book: Book, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Handler(1)
    alarms = Alarms(book, {"ring": handler})
    await put(book, 1)
    await put(book, 2)
    with book.hub.watch("dispatch") as watcher, caplog.at_level(logging.CRITICAL):
        assert await alarms.sweep() == 2
        assert await watcher.changed() == {"dispatch"}
    assert await rang(book) == [2]
    handler.stumbling.clear()
    clock.forward(2)
    assert await alarms.sweep() == 1
    assert await rang(book) == [2, 1]


@pytest.mark.parametrize("handlers", [{"ring": Handler(1)}, {}], ids=["failing", "unknown kind"])
async def test_after_five_failures_an_alarm_is_parked_and_visible(
    book: Book, clock: Clock, handlers: dict[str, Handler], caplog: pytest.LogCaptureFixture
) -> None:
    alarms = Alarms(book, handlers)
    await put(book)
    with caplog.at_level(logging.CRITICAL):
        for _ in range(7):
            await alarms.sweep()
            clock.forward(3600)
    async with book.reading() as r:
        parked = await r.session.scalars(select(Alarm))
        told = await r.session.scalars(select(Fact.data).where(Fact.kind == "alarm.parked"))
    assert [(one.state, one.failures) for one in parked] == [(AlarmState.parked, 5)]
    assert list(told) == [{"what": "ring"}]


async def test_a_handler_may_set_its_own_alarm_anew(book: Book, clock: Clock) -> None:
    async def again(w: Writing, subject_id: int) -> None:
        w.fact("rang", subject_id=subject_id)
        await rows.set_alarm(w.session, "ring", subject_id, w.now + timedelta(seconds=60))

    alarms = Alarms(book, {"ring": again})
    await put(book)
    for _ in range(3):
        assert await alarms.sweep() == 1
        clock.forward(60)
    assert len(await rang(book)) == 3


async def test_a_commit_that_fails_counts_as_the_alarms_failure(
    book: Book, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async def spends_too_much(w: Writing, subject_id: int) -> None:
        w.spend(10, {"all": 1})

    alarms = Alarms(book, {"ring": spends_too_much})
    await put(book)
    with caplog.at_level(logging.CRITICAL):
        assert await alarms.sweep() == 1
    async with book.reading() as r:
        assert await r.session.scalar(select(Alarm.failures)) == 1


async def test_a_lost_database_is_nobodys_failure(book: Book) -> None:
    async def cut(w: Writing, subject_id: int) -> None:
        raise ConnectionResetError

    await put(book)
    with pytest.raises(ConnectionResetError):
        await Alarms(book, {"ring": cut}).sweep()
    async with book.reading() as r:
        assert await r.session.scalar(select(Alarm.failures)) == 0


async def test_what_is_due_together_rings_in_its_order_in_one_transaction(book: Book) -> None:
    for subject, ago in ((1, 5), (2, 30), (3, 1), (4, 60)):
        await put(book, subject, after=-ago)
    assert await Alarms(book, {"ring": Handler()}).sweep() == 4
    assert await rang(book) == [4, 2, 1, 3]
    async with book.reading() as r:
        assert len({row[0] for row in await r.session.rows(text("select xid from facts"))}) == 1


async def test_a_batch_ends_by_count_and_by_time(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    for subject in range(4 * ringing.BATCH):
        await put(book, subject)
    handler = Handler()
    assert await Alarms(book, {"ring": handler}).sweep() == 4 * ringing.BATCH
    async with book.reading() as r:
        sizes = await r.session.rows(text("select count(*) from facts where kind = 'rang' group by xid"))
    assert max(row[0] for row in sizes) == ringing.BATCH
    monkeypatch.setattr(ringing, "BATCH_SECONDS", 0.0)
    for subject in range(5):
        await put(book, subject)
    assert await Alarms(book, {"ring": Handler()}).sweep() == 5
    async with book.reading() as r:
        last = await r.session.rows(text(
            "select count(*) from facts where kind = 'rang' group by xid order by max(id) desc limit 5"))
    assert [row[0] for row in last] == [1] * 5


async def test_one_that_fails_undoes_nothing_of_its_neighbours_and_each_has_rung_once(
    book: Book, caplog: pytest.LogCaptureFixture
) -> None:
    for subject in range(10):
        await put(book, subject)
    with caplog.at_level(logging.CRITICAL):
        assert await Alarms(book, {"ring": Handler(4, 7)}).sweep() == 10
    assert sorted(map(str, await rang(book))) == list("01235689")
    async with book.reading() as r:
        failed = await r.session.scalars(select(Alarm.subject_id).where(Alarm.failures == 1).order_by(Alarm.subject_id))
    assert list(failed) == [4, 7]


async def test_a_neighbour_of_the_same_transaction_may_silence_or_move_one(book: Book, clock: Clock) -> None:
    async def first(w: Writing, subject_id: int) -> None:
        await rows.cancel(w.session, "ring", 2, w.now)
        await rows.set_alarm(w.session, "ring", 3, w.now + timedelta(seconds=60))

    alarms = Alarms(book, {"first": first, "ring": Handler()})
    await put(book, 1, kind="first", after=-1)
    for subject in (2, 3, 4):
        await put(book, subject)
    assert await alarms.sweep() == 4
    assert await rang(book) == [4]
    clock.forward(60)
    assert await alarms.sweep() == 1
    assert await rang(book) == [4, 3]
    async with book.reading() as r:
        told = await r.session.rows(text("select subject_id, state from alarms order by id"))
    assert [tuple(row) for row in told] == [(1, "done"), (2, "canceled"), (3, "canceled"), (4, "done"), (3, "done")]


async def test_those_whose_turn_did_not_come_stay_as_they_were(
    book: Book, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def first(w: Writing, subject_id: int) -> None:
        w.fact("rang", subject_id=subject_id)
        await rows.cancel(w.session, "ring", 2, w.now)
        await rows.set_alarm(w.session, "ring", 3, w.now + timedelta(seconds=60))

    await put(book, 1, kind="first", after=-1)
    for subject in (2, 3, 4):
        await put(book, subject)
    monkeypatch.setattr(ringing, "BATCH_SECONDS", 0.0)
    async with asyncio.timeout(5):
        assert await Alarms(book, {"first": first, "ring": Handler()}).sweep() == 2
    assert await rang(book) == [1, 4]
    async with book.reading() as r:
        told = await r.session.rows(text("select subject_id, state, ended_at is null from alarms order by id"))
    assert [tuple(row) for row in told] == [
        (1, "done", False), (2, "canceled", False), (3, "canceled", False), (4, "done", False), (3, "pending", True)]


async def test_each_handler_of_a_batch_reads_what_the_one_before_it_wrote(book: Book) -> None:
    seen, kept = [], []

    async def counts(w: Writing, subject_id: int) -> None:
        other = await w.session.get(Alarm, 1)
        assert other is not None
        seen.append(other.failures)
        kept.append(other)
        await w.session.execute(text("update alarms set failures = failures + 1 where id = 1"))

    for subject in range(3):
        await put(book, subject)
    await Alarms(book, {"ring": counts}).sweep()
    assert seen == [0, 1, 2]


async def test_who_waits_for_a_lock_waits_alone(book: Book, engine: AsyncEngine) -> None:
    patience = []

    async def locks(w: Writing, subject_id: int) -> None:
        w.fact("rang", subject_id=subject_id)
        if subject_id == 2:
            patience.append((await w.session.rows(text("show lock_timeout")))[0][0])
            await w.session.lock_word("number")

    for subject in (1, 2, 3):
        await put(book, subject)
    async with engine.connect() as other:
        await other.execute(text("select pg_advisory_xact_lock(hashtextextended('number', 7))"))
        sweep = asyncio.create_task(Alarms(book, {"ring": locks}).sweep())

        async def one_has_rung() -> bool:
            return await rang(book) == [1]

        await until(one_has_rung, "the first of the batch, though its neighbour waits")
        await other.rollback()
        assert await sweep == 3
    assert patience[0] == f"{ringing.LOCK_MILLISECONDS}ms"
    assert patience[-1] != patience[0]
    assert await rang(book) == [1, 2, 3]
    async with book.reading() as r:
        assert not await r.session.scalars(select(Alarm.id).where(Alarm.failures > 0))


async def test_one_that_hangs_is_cut_off_and_the_others_ring(
    book: Book, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def hangs(w: Writing, subject_id: int) -> None:
        w.fact("rang", subject_id=subject_id)
        if subject_id == 1:
            await asyncio.Event().wait()

    monkeypatch.setattr(ringing, "HUNG_SECONDS", 0.3)
    monkeypatch.setattr(ringing, "LONE_SECONDS", 0.3)
    for subject in (1, 2, 3):
        await put(book, subject)
    with caplog.at_level(logging.CRITICAL):
        assert await Alarms(book, {"ring": hangs}).sweep() == 3
    assert await rang(book) == [2, 3]
    async with book.reading() as r:
        assert list(await r.session.scalars(select(Alarm.subject_id).where(Alarm.failures == 1))) == [1]


async def test_one_whose_statement_takes_too_long_has_failed_and_the_others_ring(
    book: Book, caplog: pytest.LogCaptureFixture
) -> None:
    async def slow(w: Writing, subject_id: int) -> None:
        w.fact("rang", subject_id=subject_id)
        if subject_id == 1:
            await w.session.execute(text("select set_config('statement_timeout', '50', true)"))
            await w.session.execute(text("select pg_sleep(1)"))

    for subject in (1, 2):
        await put(book, subject)
    with caplog.at_level(logging.CRITICAL):
        assert await Alarms(book, {"ring": slow}).sweep() == 2
    assert await rang(book) == [2]


async def test_cut_off_from_the_database_in_the_middle_nothing_is_lost_and_nobody_has_failed(book: Book) -> None:
    cuts = [True]

    async def cut(w: Writing, subject_id: int) -> None:
        w.fact("rang", subject_id=subject_id)
        if subject_id == 2 and cuts.pop():
            await w.session.execute(text("select pg_terminate_backend(pg_backend_pid())"))

    for subject in (1, 2, 3):
        await put(book, subject)
    alarms = Alarms(book, {"ring": cut})
    with pytest.raises(DBAPIError):
        await alarms.sweep()
    assert await rang(book) == []
    cuts.append(False)
    assert await alarms.sweep() == 3
    assert await rang(book) == [1, 2, 3]
    async with book.reading() as r:
        assert not await r.session.scalars(select(Alarm.id).where(Alarm.failures > 0))


async def test_two_replicas_over_one_row_ring_it_once(book: Book) -> None:
    for subject in range(20):
        await put(book, subject)
        replicas = [Alarms(book, {"ring": Handler()}) for _ in range(3)]
        assert sum(await asyncio.gather(*(one.sweep() for one in replicas))) == 1
    assert sorted(map(str, await rang(book))) == sorted(map(str, range(20)))


async def too_late(w: Writing, subject_id: int) -> None:
    assert w.late is not None
    w.fact("planned_anew", subject_id=subject_id, seconds=w.late.total_seconds())
    await rows.set_alarm(w.session, "ring", subject_id, w.now + timedelta(hours=12))


async def test_after_an_outage_what_is_too_late_is_planned_anew_and_does_not_ring(book: Book, clock: Clock) -> None:
    handler = Handler()
    alarms = Alarms(book, {"ring": Late(handler, too_late)})
    for subject in range(30):
        await put(book, subject, after=60, not_after=3600)
    await put(book, 77, after=60)
    clock.forward(3 * 3600)
    assert await alarms.sweep() == 31
    assert handler.saw == [77], "a burst"
    async with book.reading() as r:
        planned = await r.session.scalars(select(Fact.data).where(Fact.kind == "planned_anew"))
        late = await r.session.scalars(select(Fact.data).where(Fact.kind == "alarm.late"))
    assert list(planned) == [{"seconds": 7200.0}] * 30
    assert list(late) == [{"what": "ring", "seconds": 7200.0}] * 30
    clock.forward(12 * 3600)
    assert await alarms.sweep() == 30
    assert len(handler.saw) == 31


async def test_at_its_last_moment_an_alarm_is_not_late(book: Book, clock: Clock) -> None:
    handler = Handler()
    await put(book, 5, not_after=60)
    clock.forward(60)
    await Alarms(book, {"ring": Late(handler, too_late)}).sweep()
    assert handler.saw == [5]


async def test_a_handler_without_a_late_one_is_told_by_how_much(book: Book, clock: Clock) -> None:
    told = []

    async def ordinary(w: Writing, subject_id: int) -> None:
        told.append(w.late)

    await put(book, 1, not_after=60)
    await put(book, 2, after=1)
    clock.forward(90)
    await Alarms(book, {"ring": ordinary}).sweep()
    assert told == [timedelta(seconds=30), None]


async def test_moving_an_alarm_moves_its_last_moment_too(book: Book) -> None:
    await put(book, 1, not_after=60)
    await put(book, 1, after=10)
    async with book.reading() as r:
        assert list(await r.session.scalars(select(Alarm.not_after))) == [None]


async def test_the_sweep_is_woken_at_the_moment_of_the_next_alarm(book: Book) -> None:
    alarms = Alarms(book, {"ring": Handler()})
    await put(book, 1, after=0.05)
    await put(book, 2, after=3600)
    with book.hub.watch("alarms") as watcher:
        assert await alarms.sweep() == 0
        async with asyncio.timeout(0.5):
            assert await watcher.changed() == {"alarms"}


async def test_what_was_over_a_month_ago_is_forgotten_a_piece_at_a_time_and_the_parked_stay(
    book: Book, clock: Clock
) -> None:
    async with book.writing() as w:
        for n, state in enumerate((AlarmState.done, AlarmState.canceled, AlarmState.parked, AlarmState.done)):
            ended = None if state is AlarmState.parked else w.now + timedelta(days=n)
            w.session.add(Alarm(kind="ring", subject_id=n, due_at=w.now, state=state, ended_at=ended))
    month = clock.forward(2 * 24 * 3600)
    async with book.writing() as w:
        assert await rows.purge(w.session, month, 1) == 1
        assert await rows.purge(w.session, month, 5) == 1
        assert await rows.purge(w.session, month, 5) == 0
    assert await states(book) == [AlarmState.parked, AlarmState.done]


async def test_claiming_looks_only_at_what_is_due_whatever_lies_ahead(book: Book, engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(
            "insert into alarms (kind, subject_id, due_at, state, failures) select 'ring', n, "
            "cast('2030-01-01' as timestamptz) + n * interval '1 s', 'pending', 0 from generate_series(1, 20000) n"))
    await put(book, 1, kind="other")
    async with engine.connect() as connection:
        await connection.execute(text("analyze alarms"))
        await connection.execute(text("set plan_cache_mode = force_generic_plan"))
        claim = str(rows._TAKE.text).replace(":now", "$1").replace(":most", "$2")
        await connection.execute(text(f"prepare claim (timestamptz, bigint) as {claim}"))
        plan = await connection.execute(text("explain (analyze, costs off) execute claim ('2029-01-01', 50)"))
        told = "\n".join(row[0] for row in plan)
        await connection.rollback()
    assert "ix_alarms_due" in told
    assert "Seq Scan" not in told
