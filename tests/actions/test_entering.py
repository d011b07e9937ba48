"""The ledger of all signings: entered after the fact, chained, timestamped once a day; a removed signing shows."""

import asyncio
import hashlib
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text

from integrations.trust import EmbeddedTrust
from router.actions import bundling, entering, sealing
from router.book import Book
from router.model import bundles, ledger
from router.model.evidence import EvidenceEvent
from router.model.facts import Fact
from router.model.ledger import Entry
from router.store import ledger as ledgers
from tests import closing
from tests.actions.test_bundling import followed, needs_tools
from tests.conftest import Clock


@pytest.fixture
async def trust(book: Book, trust: EmbeddedTrust) -> EmbeddedTrust:
    await sealing.ensure_authority(book, trust, "Luz Clara SL")
    await sealing.ensure_jobs(book, trust)
    return trust


async def entries(book: Book) -> list[Entry]:
    async with book.reading() as r:
        return list(await r.session.scalars(select(Entry).order_by(Entry.n)))


async def facts(book: Book, kind: str) -> list[Fact]:
    async with book.reading() as r:
        return list(await r.session.scalars(select(Fact).where(Fact.kind == kind)))


async def test_every_event_is_entered_once_whoever_enters(book: Book) -> None:
    await closing.signed(book)

    async def enter() -> int:
        async with book.writing() as w:
            return await ledgers.enter(w.session)

    await asyncio.gather(*(enter() for _ in range(5)))
    while await enter():
        pass
    found = await entries(book)
    async with book.reading() as r:
        events = await r.session.scalar(select(func.count()).select_from(EvidenceEvent))
        assert await ledgers.waiting(r.session) == 0
        assert await entering.faults(r.session) == []
    assert len(found) == events == 5
    assert ledger.broken_at(found) is None
    assert found[-1].hash == hashlib.sha256(ledger.said(found[-1]).encode()).digest()


async def test_the_head_is_timestamped_once_a_day_and_only_when_there_is_news(
    book: Book, trust: EmbeddedTrust, clock: Clock
) -> None:
    await closing.signed(book)
    assert await entering.anchor(book, trust) is None
    await entering.sweep(book, trust)
    await entering.sweep(book, trust)
    assert len(await facts(book, "ledger.anchored")) == 1
    async with book.reading() as r:
        stamp = await ledgers.newest_anchor(r.session)
    assert stamp is not None
    head = (await entries(book))[-1]
    assert (stamp.n, stamp.digest, stamp.time_source) == (head.n, head.hash, "internal")
    clock.now += timedelta(days=1)
    await entering.sweep(book, trust)
    assert len(await facts(book, "ledger.anchored")) == 1


async def test_a_signing_that_was_taken_away_whole_is_missed(book: Book, trust: EmbeddedTrust) -> None:
    held = await closing.signed(book)
    await entering.sweep(book, trust)
    async with book.writing() as w:
        await w.session.execute(text("alter table evidence disable trigger user"))
        await w.session.execute(text("delete from evidence where signing_id = :id"), {"id": held.id})
        await w.session.execute(text("alter table evidence enable trigger user"))
    async with book.reading() as r:
        assert await entering.faults(r.session) == [
            f"events of signing {held.id} are gone or changed since they were entered"
        ]


async def test_a_changed_line_breaks_the_ledger_and_may_not_be_written(book: Book) -> None:
    await closing.signed(book)
    async with book.writing() as w:
        await ledgers.enter(w.session)
    with pytest.raises(Exception, match="never changed"):
        async with book.writing() as w:
            await w.session.execute(text("update ledger set signing_id = 9 where n = 2"))
    async with book.writing() as w:
        await w.session.execute(text("alter table ledger disable trigger ledger_append_only"))
        await w.session.execute(text("update ledger set signing_id = 9 where n = 2"))
        await w.session.execute(text("alter table ledger enable trigger ledger_append_only"))
    async with book.reading() as r:
        assert await entering.faults(r.session) == ["the ledger is broken at line 2"]


@needs_tools
async def test_the_bundle_proves_its_place_by_its_own_text(book: Book, trust: EmbeddedTrust, tmp_path) -> None:
    held = await closing.sealed(book, trust)
    await entering.sweep(book, trust)
    packed = (await bundling.make(book, trust, held.id)).content
    files = bundles.unpack(packed)
    assert bundles.ledger_head(files["ledger.txt"]) is not None
    wanted, said_ok, said = followed(packed, tmp_path)
    assert said_ok == wanted >= 8, said
