"""The company's own seals: one that was replaced still proves what it sealed, and a stranger's proves nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from integrations.trust import EmbeddedTrust
from integrations.trust.authority import make_authority
from integrations.trust.services import FileSeal
from router import cli, verifying
from router.actions import bundling, sealing, trusting
from router.book import Book
from router.model.authority import SEAL_SLACK, Seal, seals_file, seals_in
from router.model.base import vouched
from router.model.facts import Fact
from router.ports import SealOrder, Trusted, UsedSeal
from router.store import blobs
from tests import closing
from tests.conftest import Clock
from tests.integrations.test_trust_own_seal import PASSPHRASE, file_of
from tests.web.customer import visiting

FIRST, SECOND, STRANGER = (FileSeal(file_of(make_authority(name, datetime.now(UTC))), PASSPHRASE)
                           for name in ("Luz 2025", "Luz 2026", "Somebody"))


@asynccontextmanager
async def sealing_with(book: Book, seal: FileSeal | None) -> AsyncIterator[tuple[EmbeddedTrust, bytes]]:
    """The house as it starts with this seal."""
    trust = EmbeddedTrust(own=seal)
    await trust.start()
    try:
        root = await sealing.ensure_authority(book, trust, "Luz Clara SL")
        await sealing.ensure_jobs(book, trust)
        yield trust, root
    finally:
        await trust.stop()


@pytest.fixture
def now(clock: Clock) -> Clock:
    clock.now = datetime.now(UTC)  # the seal's own clock is the machine's
    return clock


async def document(book: Book, trust: EmbeddedTrust, **values: Any) -> tuple[int, bytes]:
    held = await closing.sealed(book, trust, **values)
    async with book.reading() as r:
        return held.id, vouched(await blobs.content(r.session, held.sealed_sha256))


async def trust_line(book: Book, trust: EmbeddedTrust, root: bytes, pdf: bytes) -> tuple[bool, str]:
    """As the page says it."""
    headers = {"Content-Type": "application/pdf"}
    async with visiting(book, trust, root) as browser, browser.session.post(
        browser.url + "/verify", data=pdf, headers=headers
    ) as answer:
        line = next(one for one in (await answer.json())["lines"] if one["name"] == "trust")
    return line["holds"], line["detail"]["code"]


async def seals(book: Book) -> list[Seal]:
    async with book.reading() as r:
        return list(await r.session.scalars(select(Seal).order_by(Seal.first_used_at, Seal.last_used_at)))


async def test_what_a_replaced_seal_sealed_still_holds_and_a_strangers_does_not(book: Book, now: Clock) -> None:
    async with sealing_with(book, FIRST) as (trust, root):
        old_id, old = await document(book, trust)
        assert await trust_line(book, trust, root, old) == (True, "own-seal")
    async with sealing_with(book, SECOND) as (trust, root):
        assert await trust_line(book, trust, root, old) == (True, "own-seal")
        _, new = await document(book, trust, phone="+12025550102", login="bea", campaign={"key": "otra"})
        assert await trust_line(book, trust, root, new) == (True, "own-seal")
        packed = (await bundling.make(book, trust, old_id)).content
    async with sealing_with(book, None) as (trust, root):  # and then the house's own again
        assert await trust_line(book, trust, root, old) == (True, "own-seal")
        order = await another_order(book)
        async with book.reading() as r:
            found = await trusting.trusted(r.session)
        async with visiting(book, trust, root) as one, one.session.get(one.url + "/pki/seals.pem") as answer:
            published = await answer.read()
        assert [one.chain.strip() for one in found.seals] == [chain.strip() for chain, _ in seals_in(published)]
        offline = Trusted(seals=[UsedSeal(*one) for one in seals_in(published)])
        assert {one.name: one.holds for one in await verifying.lines(trust, packed, root, offline)}["signed.pdf trust"]
        assert not {one.name: one.holds for one in await verifying.lines(trust, packed, root)}["signed.pdf trust"]
    strange = EmbeddedTrust(own=STRANGER)
    try:
        forged = (await strange.seal(order)).pdf
    finally:
        await strange.stop()
    async with sealing_with(book, SECOND) as (trust, root):
        assert (await trust_line(book, trust, root, forged))[0] is False


async def another_order(book: Book) -> SealOrder:
    held = await closing.signed(book, phone="+12025550103", login="eva", campaign={"key": "tercera"})
    async with book.writing() as w:
        return await sealing.seal_order(w, held.id)


async def test_its_key_in_strangers_hands_seals_nothing_once_it_is_not_used_any_more(book: Book, now: Clock) -> None:
    async with sealing_with(book, FIRST) as (trust, _):
        _, pdf = await document(book, trust)
    async with book.writing() as w:
        await w.session.execute(update(Seal).values(last_used_at=w.now - SEAL_SLACK - timedelta(minutes=1)))
    async with sealing_with(book, SECOND) as (trust, root):
        assert await trust_line(book, trust, root, pdf) == (False, "retired")
    async with sealing_with(book, FIRST) as (trust, root):  # it is taken up again
        assert await trust_line(book, trust, root, pdf) == (True, "own-seal")


async def test_its_first_and_last_use_are_written_down_and_the_first_is_a_fact(book: Book, now: Clock) -> None:
    async with sealing_with(book, FIRST):
        pass
    (first,) = await seals(book)
    now.forward(7_200)
    async with sealing_with(book, FIRST) as (trust, _):
        await document(book, trust)
    (later,) = await seals(book)
    assert (later.first_used_at, later.chain) == (first.first_used_at, first.chain)
    assert later.last_used_at - first.last_used_at == timedelta(hours=2)
    async with book.reading() as r:
        told = await r.session.scalars(select(Fact).where(Fact.kind == "authority.seal_used"))
    assert len(told) == 1


def test_the_published_list_is_read_as_it_was_written_and_nothing_else_is() -> None:
    at = datetime(2026, 11, 28, 12, tzinfo=UTC)
    one = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    assert [(chain.strip(), until) for chain, until in seals_in(seals_file([(one, at), (one, None)]))] == [
        (one.strip(), at), (one.strip(), None)]
    assert seals_in(b"") == []
    for bad in (one, b"In use until: now\nnothing", b"In use until: soon\n" + one, b"\xff" + one,
                b"In use until: 2026-11-28T12:00:00\n" + one):
        with pytest.raises(ValueError):  # noqa: PT011
            seals_in(bad)


async def test_the_command_says_what_the_file_should_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "seals.pem").write_text("nonsense")
    (tmp_path / "signed.pdf").write_bytes(b"%PDF")
    options = ["verify", str(tmp_path / "signed.pdf"), "--seals", str(tmp_path / "seals.pem")]
    assert await cli._run(cli._parser(options).parse_args(options)) == 2
    assert "/pki/seals.pem" in capsys.readouterr().err
