"""Alarms: each due moment has its effect once, in the transaction that marks it done."""

import asyncio
import logging
from datetime import timedelta

import pytest
from sqlalchemy import select

from router.alarms import Alarms
from router.book import Book, Writing
from router.gauges import Recent
from router.model.alarms import Alarm, AlarmState
from router.model.facts import Fact
from router.store import alarms as rows
from tests.conftest import Clock


class Handler:
    """Records its calls as facts; raises as often as `stumbling` says."""

    def __init__(self, stumbling: int = 0) -> None:
        self.stumbling = stumbling

    async def __call__(self, w: Writing, subject_id: int) -> None:
        w.fact("rang", subject_id=subject_id)
        w.hint("dispatch")
        if self.stumbling:
            self.stumbling -= 1
            raise LookupError("not now")


async def put(book: Book, subject_id: int = 1, *, kind: str = "ring", after: float = 0) -> None:
    async with book.writing() as w:
        await rows.set_alarm(w.session, kind, subject_id, w.now + timedelta(seconds=after))


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
    alarms = Alarms(book, {"ring": Handler(stumbling=1)})
    await put(book, 1)
    await put(book, 2)
    with book.hub.watch("dispatch") as watcher, caplog.at_level(logging.CRITICAL):
        assert await alarms.sweep() == 2
        assert await watcher.changed() == {"dispatch"}
    assert await rang(book) == [2]
    clock.forward(2)
    assert await alarms.sweep() == 1
    assert await rang(book) == [2, 1]


@pytest.mark.parametrize("handlers", [{"ring": Handler(stumbling=9)}, {}], ids=["failing", "unknown kind"])
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
