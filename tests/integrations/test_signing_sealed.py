"""From signature to sealed copy, with the real seal."""

import asyncio
import hashlib
import json
import shutil
import subprocess
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from integrations.trust import EmbeddedTrust
from router.actions import inviting, sealing
from router.book import Book
from router.model.authority import AuthorityRow
from router.model.errors import Conflict, NotAllowedNow
from router.model.evidence import GENESIS, link
from router.model.quotes import QuoteState
from router.model.signings import Signing, SigningState
from router.model.suppressions import Suppression
from router.ports import Sealed
from router.store import blobs
from tests import closing


async def order_and_seal(book: Book, trust: EmbeddedTrust, held: Signing) -> Sealed:
    async with book.writing() as w:
        order = await sealing.seal_order(w, held.id)
    return await trust.seal(order)


async def store(book: Book, held: Signing, sealed: Sealed) -> None:
    async with book.writing() as w:
        await sealing.sealed(w, held.id, sealed)


async def test_two_replicas_that_start_at_once_make_one_authority(book: Book) -> None:
    provider = EmbeddedTrust()
    roots = await asyncio.gather(*(sealing.ensure_authority(book, provider, "Luz Clara SL") for _ in range(3)))
    assert len(set(roots)) == 1
    async with book.reading() as r:
        row = await r.session.get(AuthorityRow, 1)
    assert row is not None
    assert row.root_certificate == roots[0]
    assert b"PRIVATE" not in row.sealed_keys


async def test_the_sealed_copy_begins_with_the_offer_carries_the_evidence_and_completes_the_sale(
    book: Book, trust: EmbeddedTrust, tmp_path: Path
) -> None:
    root = await sealing.ensure_authority(book, trust, "Luz Clara SL")
    held = await closing.signed(book)
    await store(book, held, await order_and_seal(book, trust, held))
    async with book.writing() as w:
        await inviting.copy(w, held.id)
    done, quote = await closing.now(book, held), await closing.quote_of(book, held)
    assert (done.state, quote.state, done.level) == (SigningState.completed, QuoteState.completed, "PAdES B-T")
    async with book.reading() as r:
        offer = await blobs.content(r.session, quote.pdf_sha256)
        pdf = await blobs.content(r.session, done.sealed_sha256)
        bundle = json.loads(await blobs.content(r.session, done.evidence_sha256) or b"")
    assert offer is not None
    assert pdf is not None
    assert bundle["offer"]["pdf_sha256"] == hashlib.sha256(pdf[: bundle["offer"]["pdf_bytes"]]).hexdigest()
    assert pdf.startswith(offer)
    _follows(bundle["events"])
    assert {check.name: check.holds for check in (await trust.inspect(pdf, root)).checks} == dict.fromkeys(
        ("integrity", "revisions", "signer", "trust", "time", "level"), True)  # fmt: skip
    path = tmp_path / "signed.pdf"
    path.write_bytes(pdf)
    if shutil.which("pdfsig"):
        judge = await asyncio.create_subprocess_exec("pdfsig", "-nocert", path, stdout=subprocess.PIPE)
        assert b"Signature is Valid" in (await judge.communicate())[0]
    assert "/q/copy/" in (await closing.texts(book, "copy"))[0]


def _follows(events: list[dict[str, object]]) -> None:
    """As an expert would who has the file alone."""
    previous = GENESIS
    for place, event in enumerate(events, 1):
        at = datetime.fromisoformat(str(event["at"]))
        data = event["data"]
        assert isinstance(data, dict)
        assert link(previous, place, at, str(event["kind"]), data).hex() == event["hash"]
        previous = bytes.fromhex(str(event["hash"]))


async def test_two_workers_sealing_at_once_keep_one_document(book: Book, trust: EmbeddedTrust) -> None:
    await sealing.ensure_authority(book, trust, "Luz Clara SL")
    held = await closing.signed(book)
    first, second = await asyncio.gather(*(order_and_seal(book, trust, held) for _ in range(2)))
    await asyncio.gather(store(book, held, first), store(book, held, second))
    async with book.reading() as r:
        facts = await r.session.rows(text("select kind from facts where kind = 'signing.sealed'"))
    assert len(facts) == 1
    done = await closing.now(book, held)
    assert done.sealed_sha256 in {hashlib.sha256(one.pdf).digest() for one in (first, second)}
    with pytest.raises(Conflict):
        await order_and_seal(book, trust, held)


async def test_serials_of_timestamps_are_never_given_twice(book: Book, trust: EmbeddedTrust) -> None:
    await sealing.ensure_authority(book, trust, "Luz Clara SL")
    held = await closing.signed(book)
    orders = []
    for _ in range(2):
        async with book.writing() as w:
            orders.append(await sealing.seal_order(w, held.id))
    assert orders[0].timestamp_serial != orders[1].timestamp_serial
    assert orders[0].evidence == orders[1].evidence


async def test_a_document_that_does_not_begin_with_the_offer_is_not_stored(book: Book) -> None:
    held = await closing.signed(book)
    with pytest.raises(Conflict, match="begin with the offer"):
        await store(book, held, Sealed(b"%PDF-1.7 something else", "PAdES B-T", "internal"))
    assert (await closing.now(book, held)).state is SigningState.signed


async def test_a_copy_that_may_not_be_texted_never_undoes_the_seal(book: Book, trust: EmbeddedTrust) -> None:
    await sealing.ensure_authority(book, trust, "Luz Clara SL")
    held = await closing.signed(book)
    async with book.writing() as w:
        w.session.add(Suppression(phone=held.phone, reason="stop", created_at=w.now))
    await store(book, held, await order_and_seal(book, trust, held))
    with pytest.raises(NotAllowedNow):
        async with book.writing() as w:
            await inviting.copy(w, held.id)
    assert (await closing.now(book, held)).state is SigningState.sealed
