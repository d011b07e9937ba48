"""The book: one transaction, its facts, its hints, its money; and the group commit."""

import asyncio
from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from router.book import Batcher, Book, Writing
from router.live import Hub
from router.model.budgets import Budget
from router.model.campaigns import Campaign
from router.model.errors import Busy, NotAllowedNow
from router.model.tasks import Task, TaskState
from router.model.vault import Vault
from router.store import facts
from router.store.db import Short, contended, lost_connection, make_engine
from tests import making
from tests.conftest import Clock, until
from tests.invariants import check


async def _leads(book: Book, count: int) -> list[int]:
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w))
        return [(await making.lead(w, queue, f"+1202555{n:04d}")).id for n in range(count)]


async def test_an_exception_leaves_nothing_and_tells_nobody(book: Book) -> None:
    with book.hub.watch("wallboard") as watcher:
        with pytest.raises(ZeroDivisionError):  # noqa: PT012
            async with book.writing() as w:
                await making.campaign(w)
                w.fact("a")
                w.hint("wallboard")
                raise ZeroDivisionError
        assert not watcher._something.is_set()
    async with book.reading() as r:
        assert await r.session.rows(text("select id from campaigns union all select id from facts")) == []


async def test_hints_go_out_after_the_commit(book: Book) -> None:
    with book.hub.watch("wallboard") as watcher:
        async with book.writing() as w:
            w.hint("wallboard")
            assert not watcher._something.is_set()
        assert await watcher.changed() == {"wallboard"}


async def test_a_reader_cannot_write(book: Book) -> None:
    with pytest.raises(DBAPIError, match="read-only"):
        async with book.reading() as r:
            await r.session.rows(text("delete from campaigns returning id"))


async def test_an_attempt_that_fails_undoes_rows_facts_hints_and_money_and_goes_on(book: Book) -> None:
    (lead,) = await _leads(book, 1)
    async with book.writing() as w:
        w.fact("before", lead_id=lead)
        with pytest.raises(ZeroDivisionError):  # noqa: PT012
            async with w.attempt():
                await making.campaign(w, "other")
                w.fact("inside", lead_id=lead)
                w.hint("inside")
                w.spend(5, {"all": 10})
                raise ZeroDivisionError
        w.fact("after", lead_id=lead)
        assert "inside" not in w.audiences
    async with book.reading() as r:
        assert [(fact.seq, fact.kind) for fact in await facts.of_lead(r.session, lead)] == [(1, "before"), (2, "after")]
        assert await r.session.scalars(select(Budget)) == []


async def test_of_two_moves_at_once_one_wins(book: Book) -> None:
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w))
        task = await making.task(w, queue, await making.lead(w, queue))

    async def move(to: TaskState) -> bool:
        async with book.writing() as w:
            return await w.move(Task, task.id, to) is not None

    won = await asyncio.gather(move(TaskState.withdrawn), move(TaskState.expired), move(TaskState.abandoned))
    assert sum(won) == 1
    async with book.reading() as r:
        assert len(await facts.of_lead(r.session, task.lead_id)) == 1


async def test_facts_of_many_writers_in_opposite_orders_are_gap_free_and_nobody_deadlocks(book: Book) -> None:
    ids = await _leads(book, 6)

    async def write(turn: int) -> None:
        async with book.writing() as w:
            for lead in ids if turn % 2 else reversed(ids):
                # A row that names the lead locks it, weakly, before its counter is touched.
                await w.session.execute(
                    text(
                        "insert into attempts "
                        "(campaign_id, lead_id, phone, channel, purpose, verdict, rules, detail, at) "
                        "values (1, :lead, 'x', 'call', 'x', 'deny', '{}', '{}', now())"
                    ),
                    {"lead": lead},
                )
                w.fact("a", lead_id=lead)

    await asyncio.gather(*(write(turn) for turn in range(24)))
    async with book.reading() as r:
        for lead in ids:
            assert [fact.seq for fact in await facts.of_lead(r.session, lead)] == list(range(1, 25))
        await check(r.session)


# Money


async def test_caps_hold_when_many_spend_at_once(book: Book) -> None:
    async def spend(turn: int) -> bool:
        scopes = {"all": 100, f"number:{turn % 3}": 50}
        try:
            async with book.writing() as w:
                w.fact("spent")
                w.spend(10, dict(reversed(scopes.items())) if turn % 2 else scopes)
        except NotAllowedNow:
            return False
        return True

    spent = await asyncio.gather(*(spend(turn) for turn in range(24)))
    assert sum(spent) == 10
    async with book.reading() as r:
        rows = {row.scope: row.used for row in await r.session.scalars(select(Budget))}
        assert rows["all"] == 100
        assert sum(rows.values()) == 200
        assert len(await r.session.rows(text("select id from facts"))) == 10


async def test_money_not_used_is_given_back_and_never_less_than_nothing(book: Book) -> None:
    async with book.writing() as w:
        w.spend(30, {"all": 100})
    async with book.writing() as w:
        w.spend(-20, {"all": 100})
        w.spend(-5, {"number:+1": 100})
    async with book.writing() as w:
        w.spend(-99, {"all": 100})
        w.spend(4, {"all": 100})
    async with book.reading() as r:
        assert [(row.scope, row.used) for row in await r.session.scalars(select(Budget))] == [("all", 0)]


async def test_one_order_larger_than_its_cap_is_refused(book: Book) -> None:
    with pytest.raises(NotAllowedNow):
        async with book.writing() as w:
            w.spend(101, {"all": 100})


async def test_every_day_has_its_own_budget(book: Book, clock: Clock) -> None:
    for _ in range(2):
        async with book.writing() as w:
            w.spend(100, {"all": 100})
        clock.forward(86_400)
    async with book.reading() as r:
        assert sorted(row.day for row in await r.session.scalars(select(Budget))) == [
            date(2026, 11, 23),
            date(2026, 11, 24),
        ]


# Group commit


async def _number(w: Writing, asked: Sequence[int]) -> list[int]:
    for number in asked:
        if number < 0:
            await w.session.execute(
                text(
                    "insert into queues (campaign_id, key, name, skills, pool, ring_seconds, "
                    "connect_seconds, wrap_seconds, exclude_seconds, target_seconds) "
                    "values (-1, '', '', '{}', 1, 1, 1, 1, 1, 1)"
                )
            )
        w.fact("asked", number=number)
    return [number * 2 for number in asked]


@pytest.fixture
def batcher(book: Book) -> Batcher[int, int]:
    return Batcher(book, _number)


async def test_answers_come_in_order_after_one_commit(book: Book, batcher: Batcher[int, int]) -> None:
    asking = [asyncio.create_task(batcher.ask(number)) for number in range(20)]
    await asyncio.sleep(0)
    running = asyncio.create_task(batcher.run())
    assert await asyncio.gather(*asking) == [number * 2 for number in range(20)]
    async with book.reading() as r:
        assert len(await r.session.rows(text("select distinct xid::text from facts"))) == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_poisoned_request_fails_alone(book: Book, batcher: Batcher[int, int]) -> None:
    asking = [asyncio.create_task(batcher.ask(number)) for number in (1, -1, 3)]
    await asyncio.sleep(0)
    running = asyncio.create_task(batcher.run())
    one, poisoned, three = await asyncio.gather(*asking, return_exceptions=True)
    assert (one, three) == (2, 6)
    assert isinstance(poisoned, DBAPIError)
    assert await batcher.ask(4) == 8
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_nobody_is_answered_before_the_commit(book: Book) -> None:
    inside, go = asyncio.Event(), asyncio.Event()

    async def slow(w: Writing, asked: Sequence[int]) -> list[int]:
        inside.set()
        await go.wait()
        return list(asked)

    batcher: Batcher[int, int] = Batcher(book, slow)
    running, asking = asyncio.create_task(batcher.run()), asyncio.create_task(batcher.ask(1))
    await inside.wait()
    assert not asking.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    with pytest.raises(Busy):
        await asking


async def test_what_comes_while_the_transaction_is_begun_is_written_in_it(
    database_url: str, clock: Clock, vault: Vault
) -> None:
    narrow = make_engine(database_url, connections=1)
    sizes: list[int] = []

    async def counted(w: Writing, asked: Sequence[int]) -> Sequence[int]:
        sizes.append(len(asked))
        return asked

    batcher: Batcher[int, int] = Batcher(Book(narrow, Hub(), vault, "", clock=clock), counted, most=3)
    running = asyncio.create_task(batcher.run())
    async with narrow.connect():
        asking = []
        for number in range(5):
            asking.append(asyncio.create_task(batcher.ask(number)))
            for _ in range(10):  # the writer takes the first, and waits for the connection
                await asyncio.sleep(0)
    assert await asyncio.gather(*asking) == list(range(5))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await narrow.dispose()
    assert sizes == [3, 2]


async def test_what_still_waits_at_the_end_is_refused_so_that_it_is_asked_elsewhere(batcher: Batcher[int, int]) -> None:
    asking = [asyncio.create_task(batcher.ask(number)) for number in range(3)]
    running = asyncio.create_task(batcher.run())
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert all(isinstance(one, Busy) for one in await asyncio.gather(*asking, return_exceptions=True))


async def test_a_full_queue_refuses_at_once(book: Book) -> None:
    batcher: Batcher[int, int] = Batcher(book, _number, longest_queue=1)
    first = asyncio.create_task(batcher.ask(1))
    await asyncio.sleep(0)
    with pytest.raises(asyncio.QueueFull):
        await batcher.ask(2)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


async def test_without_a_database_all_are_refused_at_once_and_served_when_it_is_back(
    clock: Clock, vault: Vault, book: Book
) -> None:
    gone = make_engine("postgresql+asyncpg://nobody@127.0.0.1:1/none", connections=1)
    batcher: Batcher[int, int] = Batcher(Book(gone, Hub(), vault, "", clock=clock), _number)
    running = asyncio.create_task(batcher.run())
    answers = await asyncio.gather(*(batcher.ask(number) for number in range(5)), return_exceptions=True)
    assert all(isinstance(one, Exception) and lost_connection(one) for one in answers)
    batcher._book = book
    assert await batcher.ask(1) == 2
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await gone.dispose()


# What the database's errors mean


async def test_a_value_no_database_takes_is_no_lost_connection(book: Book) -> None:
    for value in ("\ud800", "\x00"):
        with pytest.raises(DBAPIError) as refused:
            async with book.writing() as w:
                await w.session.execute(text("select cast(:value as text)"), {"value": value})
        assert not lost_connection(refused.value)


async def test_a_connection_killed_is_lost_and_a_deadlock_is_not(book: Book, engine: AsyncEngine) -> None:
    with pytest.raises(DBAPIError) as lost:
        async with book.writing() as w:
            await w.session.execute(text("select pg_terminate_backend(pg_backend_pid())"))
    assert lost_connection(lost.value)
    both = asyncio.Barrier(2)

    async def cross(*words: str) -> None:
        async with book.writing() as w:
            await w.session.lock_word(words[0])
            await both.wait()
            await w.session.lock_word(words[1])

    ends = await asyncio.gather(cross("a", "b"), cross("b", "a"), return_exceptions=True)
    (error,) = [end for end in ends if end is not None]
    assert contended(error)
    assert not lost_connection(error)


async def test_hints_reach_the_other_replicas_once_and_not_the_sender(book: Book, engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        raw = (await connection.get_raw_connection()).driver_connection
        assert raw is not None
        heard: list[str] = []
        await raw.add_listener("hints", lambda *said: heard.append(said[-1]))
        running = asyncio.create_task(book.hinter.run())
        for _ in range(3):
            book.tell(["agent:1", "wallboard"])

        async def told() -> object:
            return heard

        await until(told, "a hint")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await raw.reset()
    assert heard == [f'["{book.hub.replica}","agent:1","wallboard"]']


async def test_hints_go_out_again_after_their_connection_was_cut(book: Book, engine: AsyncEngine) -> None:
    heard: list[str] = []
    async with engine.connect() as connection:
        raw = (await connection.get_raw_connection()).driver_connection
        assert raw is not None
        await raw.add_listener("hints", lambda *said: heard.append(said[-1]))
        running = asyncio.create_task(book.hinter.run())

        async def told() -> object:
            book.tell(["wallboard"])
            return heard

        await until(told, "a hint")
        assert await raw.fetchval(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity "
            "where query like '%pg_notify($1%' and pid <> pg_backend_pid() and datname = current_database()"
        ) == 1
        heard.clear()
        await until(told, "a hint after the cut")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await raw.reset()


async def test_a_short_statement_fails_as_any_other_and_leaves_nothing(book: Book, engine: AsyncEngine) -> None:
    wrong = Short("select 1 / (:by - 1)::int, '{}'::text", by="int")

    async def divide(by: int) -> list[tuple[Any, ...]]:
        async with book.writing() as w:
            await making.campaign(w)
            return [tuple(row) for row in await w.session.execute(wrong, {"by": by})]

    with pytest.raises(DBAPIError) as refused:
        await divide(1)
    assert getattr(refused.value.orig, "sqlstate", None) == "22012"
    assert not lost_connection(refused.value)
    async with book.reading() as r:
        assert await r.session.scalar(select(func.count()).select_from(Campaign)) == 0
    assert await divide(2) == [(1, "{}")]


SLEEP = "select pg_sleep(:seconds)"


@pytest.mark.parametrize("statement", [text(SLEEP), Short(SLEEP, seconds="float8")])
async def test_who_is_stopped_in_the_middle_leaves_no_transaction_open(
    book: Book, engine: AsyncEngine, statement: Any
) -> None:
    async def linger() -> None:
        async with book.writing() as w:
            await making.campaign(w)
            await w.session.execute(statement, {"seconds": 30.0})

    async def slept() -> object:
        async with book.reading() as r:
            return await r.session.rows(text("select 1 from pg_stat_activity where query like 'select pg_sleep(%' "
                                             "and state = 'active' and datname = current_database()"))

    lingering = asyncio.create_task(linger())
    await until(slept, "the statement")
    lingering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await lingering
    async with book.reading() as r:
        assert not await r.session.rows(text("select 1 from pg_stat_activity where state like 'idle in transaction%' "
                                             "and datname = current_database()"))
        assert await r.session.scalar(select(func.count()).select_from(Campaign)) == 0


async def test_a_transaction_that_cannot_be_rolled_back_is_hung_up(book: Book, engine: AsyncEngine) -> None:
    mine: list[int] = []

    async def fail() -> None:
        async with book.writing() as w:
            mine.append((await w.session.execute(text("select pg_backend_pid()")))[0][0])
            async with engine.connect() as other:
                await other.execute(text("select pg_terminate_backend(:pid, 5000)"), {"pid": mine[0]})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with book.writing() as w:
        assert (await w.session.execute(text("select pg_backend_pid()")))[0][0] != mine[0]


async def test_who_is_stopped_at_any_step_of_a_transaction_leaves_none_open(book: Book, engine: AsyncEngine) -> None:
    async def touch() -> None:
        async with book.writing() as w:
            await w.session.execute(text("select 1"))

    await touch()
    for steps in range(1, 60):
        touching = asyncio.create_task(touch())
        for _ in range(steps):
            await asyncio.sleep(0)
        touching.cancel()
        await asyncio.gather(touching, return_exceptions=True)
        async with engine.connect() as connection:
            raw = (await connection.get_raw_connection()).driver_connection
            assert raw is not None
            assert not raw.is_in_transaction(), f"stopped after {steps} steps"
