"""The tail's promises: commit order, nothing skipped, nothing twice, whatever writers and replicas do.

Transactions are held open here. The oldest open one holds back the journal of every database of its server, so these
tests have a server of their own.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from router.book import HINTS, Book, Reading, Writing
from router.embedded import EmbeddedPostgres
from router.gauges import Recent
from router.live import Hub
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.vault import new_token
from router.store import consumers, facts
from router.store.db import make_engine
from router.store.facts import START, Cursor, Entry
from router.store.migrations import migrate
from router.store.rebase import rebase_after_restore
from router.tail import Listener, RingTimes, Tail
from tests import making
from tests.conftest import Clock, Engines, until


@pytest.fixture(scope="module")
def worker_database() -> Iterator[str]:
    # Not in pytest's own folder: root's is closed to the unprivileged user that the server runs as.
    home = Path(tempfile.mkdtemp(prefix="hablemos-tail-"))
    home.chmod(0o755)
    with EmbeddedPostgres(home, durable=False) as running:
        asyncio.run(migrate(running.url))
        yield running.url
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
async def engines(worker_database: str) -> AsyncIterator[Engines]:
    made = Engines(worker_database)
    yield made
    await made.end()


class Seen:
    """A follower that writes a row for each entry in the transaction it is given: its effect."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.stumbling: list[Exception] = []

    async def __call__(self, w: Writing, entries: Sequence[Entry]) -> None:
        for entry in entries:
            await w.session.execute(text("insert into seen (kind) values (:kind)"), {"kind": entry.kind})
        if self.stumbling:
            raise self.stumbling.pop(0)

    async def kinds(self) -> list[str]:
        async with self.book.reading() as r:
            return [row[0] for row in await r.session.rows(text("select kind from seen order by id"))]

    async def become(self, *kinds: str) -> None:
        async def enough() -> bool:
            return len(await self.kinds()) >= len(kinds)

        await until(enough, f"{len(kinds)} entries")
        assert await self.kinds() == list(kinds)


@pytest.fixture
async def seen(book: Book) -> Seen:
    async with book.writing() as w:
        await w.session.execute(text("drop table if exists seen"))
        await w.session.execute(text("create table seen (id bigint generated always as identity, kind text)"))
    return Seen(book)


@asynccontextmanager
async def running(*loops: Any) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(one.run()) for one in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def write(book: Book, *kinds: str) -> None:
    async with book.writing() as w:
        for kind in kinds:
            w.fact(kind)


async def begin(w: Writing) -> None:
    """Gives the transaction its number now."""
    await w.session.execute(text("select pg_current_xact_id()"))


@asynccontextmanager
async def following(book: Book, seen: Seen) -> AsyncIterator[Tail]:
    tail = Tail(book)
    tail.follow("test", seen)
    async with running(tail):
        yield tail


async def test_a_late_committer_is_read_first_and_nobody_is_skipped(book: Book, seen: Seen) -> None:
    async with following(book, seen):
        await write(book, "before")
        await seen.become("before")
        async with book.writing() as late:
            await begin(late)
            await write(book, "sooner")
            async with book.reading() as r:
                place = await consumers.place(r.session, "test")
                assert await facts.after(r.session, place) == []
                assert await consumers.held_back(r.session, place)
            late.fact("late")
        await seen.become("before", "late", "sooner")


async def test_a_writer_that_rolls_back_holds_nobody_back_for_ever(book: Book, seen: Seen) -> None:
    async with following(book, seen):
        with suppress(LookupError):
            async with book.writing() as w:
                await begin(w)
                w.fact("never")
                await write(book, "one")
                raise LookupError
        await write(book, "two")
        await seen.become("one", "two")


async def test_facts_held_back_are_read_soon_after_without_any_poke(book: Book) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    tail = Tail(book)
    await tail.watch(lambda _, entries: heard.put(entries[0].kind))
    async with running(tail), asyncio.timeout(10):
        async with book.writing() as w:
            await begin(w)
            await write(book, "held")
        assert await heard.get() == "held"


async def test_a_lost_hint_costs_a_second_and_no_more(book: Book, seen: Seen) -> None:
    async with following(book, seen):
        for n in range(3):
            await write(book, f"fact {n}")  # nobody pokes the tail
            await seen.become(*(f"fact {one}" for one in range(n + 1)))


async def test_a_poke_makes_it_look_at_once(book: Book, seen: Seen) -> None:
    async with following(book, seen) as tail:
        await write(book, "one")
        tail.poke()
        await seen.become("one")


async def test_a_crash_between_handler_and_commit_undoes_the_effect_and_repeats_the_batch(
    book: Book, seen: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL")
    seen.stumbling = [LookupError("crash"), ConnectionResetError("and the database")]
    await write(book, "one", "two")
    async with following(book, seen):
        await seen.become("one", "two")
    assert seen.stumbling == []


async def test_two_replicas_following_one_name_share_the_work_and_double_nothing(book: Book, seen: Seen) -> None:
    kinds = [f"fact {n:03}" for n in range(450)]
    tails = [Tail(book) for _ in range(2)]
    for tail in tails:
        tail.follow("test", seen)
    async with running(*tails):
        for start in range(0, 450, 50):
            await write(book, *kinds[start : start + 50])
            for tail in tails:
                tail.poke()
        await seen.become(*kinds)


async def test_a_follower_goes_on_where_the_last_process_stopped(book: Book, seen: Seen) -> None:
    await write(book, "one")
    async with following(book, seen):
        await seen.become("one")
    await write(book, "two")
    async with following(book, seen):
        await seen.become("one", "two")


async def test_a_watcher_begins_at_the_present_end(book: Book) -> None:
    heard: list[str] = []

    async def hear(_: Reading, entries: Sequence[Entry]) -> None:
        heard.extend(entry.kind for entry in entries)

    await write(book, "past")
    tail = Tail(book)
    async with running(tail):
        await tail.watch(hear)
        await write(book, "future")

        async def come() -> bool:
            return bool(heard)

        await until(come, "the fact")
    assert heard == ["future"]


async def test_after_a_restored_dump_nothing_is_lost_or_repeated(book: Book, seen: Seen, engine: Any) -> None:
    """A dump restored into a new cluster holds transaction numbers that the new one has not reached."""
    async with book.writing() as w:
        await w.session.execute(text(
            "insert into facts (xid, at, kind, data) select x::text::xid8, now(), 'old ' || n, '{}' "
            "from (values (1, 9000000002), (2, 9000000001), (3, 9000000003)) as v(n, x)"
        ))
        await w.session.execute(text(
            "insert into consumers (name, xid, fact_id) select 'test', '9000000001', id from facts where kind = 'old 2'"
        ))
        w.session.add(Delivery(
            kind=DeliveryKind.end_room, ref=new_token(), dedupe_key=new_token(), to_customer=False, order={},
            due_at=w.now, created_at=w.now,
        ))
    async with book.reading() as r:
        assert await facts.after(r.session, START) == []
    async with engine.begin() as connection:
        assert await rebase_after_restore(connection)
    async with engine.begin() as connection:
        assert not await rebase_after_restore(connection)
    await write(book, "new")
    async with following(book, seen):
        await seen.become("old 1", "old 3", "new")
    async with book.reading() as r:
        assert await r.session.scalar(select(Delivery.state)) is DeliveryState.unknown


async def test_a_journal_nobody_holds_back_says_so(book: Book) -> None:
    await write(book, "one")

    async def free() -> bool:  # the neighbours' transactions on this server hold it back too, for a while
        async with book.reading() as r:
            return not await consumers.held_back(r.session, Cursor(0, 0))

    await until(free, "a journal nobody holds back")
    async with book.reading() as r:
        assert await facts.end(r.session) == (await facts.after(r.session, START))[-1].cursor


async def test_ring_times_run_from_the_leads_first_fact_to_its_first_reservation(book: Book, clock: Clock) -> None:
    samples = Recent()
    tail = Tail(book)
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w))
        old = await making.lead(w, queue, "+12025550102")
        w.fact("lead.created", lead_id=old.id)
    clock.forward(3600)
    await tail.watch(RingTimes(samples, clock()), kinds=RingTimes.KINDS)
    async with running(tail):
        async with book.writing() as w:
            w.fact("task.reserved", lead_id=old.id)
            lead = await making.lead(w, queue)
            w.fact("lead.created", lead_id=lead.id)
        for seconds in (3, 4):
            clock.forward(seconds)
            async with book.writing() as w:
                w.fact("task.reserved", lead_id=lead.id)

        async def measured() -> int:
            return len(samples)

        await until(measured, "a ring time")
    assert len(samples) == 1
    assert samples.quantile(0.5) == 3.0


async def hint(book: Book, payload: str) -> None:
    async with book.writing() as w:
        await w.session.execute(text("select pg_notify(:channel, :payload)"), {"channel": HINTS, "payload": payload})


async def test_hints_of_other_replicas_are_heard_and_our_own_echo_is_not(book: Book, database_url: str) -> None:
    hub, other = Hub(), Book(book._engine, Hub(), book.vault, book.public_url)
    listener = Listener(database_url, hub)
    async with running(listener, other.hinter), asyncio.timeout(10):
        await listener.connected.wait()
        with hub.watch("agent:1", "agent:2", "agent:3") as watcher:
            await hint(book, f'["{hub.replica}", "agent:1"]')
            await hint(book, "gibberish")
            await hint(book, "[1, 2]")
            other.tell(["agent:2"])
            assert await watcher.changed() == {"agent:2"}


async def test_after_a_cut_line_everybody_is_told(book: Book, database_url: str) -> None:
    hub = Hub()
    listener = Listener(database_url, hub)
    async with running(listener), asyncio.timeout(20):
        await listener.connected.wait()
        with hub.watch("agent:1") as watcher:
            async with book.writing() as w:
                await w.session.execute(text(
                    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'hablemos-hints'"
                ))
            assert await watcher.changed() == {"agent:1"}
        with hub.watch("agent:2") as watcher:
            await listener.connected.wait()
            await hint(book, '["somebody", "agent:2"]')
            assert await watcher.changed() == {"agent:2"}


async def test_a_server_that_is_not_there_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    listener = Listener("postgresql+asyncpg://nobody@127.0.0.1:1/none", Hub())
    async with running(listener):

        async def tried_again() -> bool:
            return caplog.text.count("no line for hints") >= 3

        await until(tried_again, "three tries")
    assert not listener.connected.is_set()


async def test_a_quiet_line_is_probed(database_url: str) -> None:
    hub = Hub()
    listener = Listener(database_url, hub, probe=0.01)
    async with running(listener), asyncio.timeout(10):
        await listener.connected.wait()
        engine = make_engine(database_url, connections=1)
        probed = text(
            "select query from pg_stat_activity where application_name = 'hablemos-hints' and query = 'select 1'"
        )

        async def asked() -> bool:
            async with engine.connect() as connection:
                return bool((await connection.execute(probed)).all())

        await until(asked, "a probe")
        await engine.dispose()
