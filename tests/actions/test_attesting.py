"""The certificate of evidence: drawn from the chain of events, sealed, made once."""

import asyncio
import hashlib
import json

import pytest
from sqlalchemy import select

from integrations.trust import EmbeddedTrust
from router import printing
from router.actions import attesting, sealing
from router.book import Book
from router.model.attestations import grouped, read_code
from router.model.deliveries import Delivery, DeliveryKind
from router.model.errors import NotAllowedNow
from router.model.phone import masked
from router.model.quotes import Quote
from router.model.signings import Signing
from router.store import attestations, blobs
from router.walk.papers import evidence as attached
from tests import closing


@pytest.fixture
async def trust(book: Book, trust: EmbeddedTrust) -> EmbeddedTrust:
    await sealing.ensure_authority(book, trust, "Luz Clara SL")
    return trust


async def ordered(book: Book, held: Signing) -> Delivery:
    async with book.reading() as r:
        found = await r.session.scalar(
            select(Delivery).where(Delivery.kind == DeliveryKind.attest, Delivery.signing_id == held.id)
        )
    assert found is not None
    return found


async def material(book: Book, trust: EmbeddedTrust, **values: str) -> attesting.Material:
    """What the certificate of a sealed signing is drawn from."""
    held = await closing.signed(book, **values)
    async with book.writing() as w:
        order = await sealing.seal_order(w, held.id)
    document = await trust.seal(order)
    async with book.writing() as w:
        await sealing.sealed(w, held.id, document)
    delivery = await ordered(book, held)
    async with book.writing() as w:
        return await attesting.material(w, delivery)


async def test_the_certificate_says_who_when_how_and_what_and_is_sealed(book: Book, trust: EmbeddedTrust) -> None:
    found = await material(book, trust)
    order = attesting.drawn(found)
    said, quote, signing = printing.words(order.pdf), found.quote, found.signing
    for expected in (
        "Carmen Ruiz", "Luz Clara SL", found.known_as, (quote.pdf_sha256 or b"").hex(), grouped(found.code),
        (quote.canonical_sha256 or b"").hex(), (signing.sealed_sha256 or b"").hex(), signing.consents[0]["text"],
        "203.0.113.9", "Telephone/1", signing.level,
    ):
        assert printing.squeezed(expected) in said, expected
    sealed = await trust.seal(order)
    seen = await trust.inspect(sealed.pdf, found.root)
    assert [check.name for check in seen.checks if not check.holds] == []
    assert json.loads(attached(sealed.pdf))["signed_sha256"] == (signing.sealed_sha256 or b"").hex()


async def test_every_event_stands_in_the_timeline_with_its_hash(book: Book, trust: EmbeddedTrust) -> None:
    found = await material(book, trust)
    rows = attesting.contents(found)["timeline"]["rows"]
    assert [row["hash"] for row in rows] == [event.hash.hex() for event in found.events]
    assert {event.kind for event in found.events} <= set(attesting.EVENTS)
    found.events[0].kind = "later.kind"
    assert attesting.contents(found)["timeline"]["rows"][0]["what"] == "later.kind"


async def test_neither_number_nor_code_nor_link_stands_in_it(book: Book, trust: EmbeddedTrust) -> None:
    found = await material(book, trust)
    said = printing.words(attesting.drawn(found).pdf)
    secrets = [await closing.token(book), await closing.code(book), "+12025550101", "2025550101"]
    assert [one for one in secrets if one in said] == []
    assert printing.squeezed(masked("+12025550101")) in said


@pytest.mark.parametrize(
    ("locale", "title"),
    [("en", "Certificate of evidence"), ("es", "Certificado de evidencias"), ("it", "Certificato delle prove"),
     ("ru", "Свидетельство о подписании")],  # noqa: RUF001
)
async def test_it_speaks_the_language_of_the_offer(
    book: Book, trust: EmbeddedTrust, locale: str, title: str
) -> None:
    found = await material(book, trust)
    quote = found.quote
    quote.locale = locale
    said = attesting.contents(found)
    assert said["title"] == title
    assert printing.squeezed(title) in printing.words(attesting.drawn(found).pdf)


async def test_what_a_stranger_typed_is_never_markup_and_never_breaks_the_drawing(
    book: Book, trust: EmbeddedTrust
) -> None:
    found = await material(book, trust)
    found.signing.name_typed = '#panic("x") $1/0$ ] \U0001f98a ' + "x" * 90
    said = printing.words(attesting.drawn(found).pdf)
    assert printing.squeezed('#panic("x") $1/0$ ] \ufffd ' + "x" * 90) in said


async def test_two_workers_make_one_certificate(book: Book, trust: EmbeddedTrust) -> None:
    found = await material(book, trust)
    delivery = await ordered(book, found.signing)
    first, second = await asyncio.gather(*(trust.seal(attesting.drawn(found)) for _ in range(2)))
    for one in (first, second):
        async with book.writing() as w:
            await attesting.attested(w, delivery, one)
    async with book.reading() as r:
        kept = await attestations.of_signing(r.session, found.signing.id)
        assert kept is not None
        assert await blobs.content(r.session, kept.sha256) == first.pdf
        assert kept.sha256 == hashlib.sha256(first.pdf).digest()
        assert await attestations.by_code(r.session, found.code) is not None
    with pytest.raises(NotAllowedNow):
        async with book.writing() as w:
            await attesting.material(w, delivery)


async def test_without_a_seal_there_is_nothing_to_certify(book: Book, trust: EmbeddedTrust) -> None:
    held = await closing.signed(book)
    async with book.writing() as w:
        await attesting.order(w, held)
    with pytest.raises(NotAllowedNow):
        async with book.writing() as w:
            await attesting.material(w, await ordered(book, held))


def test_a_code_is_read_as_people_type_it() -> None:
    assert read_code("abcd-efgh 2345") == "ABCDEFGH2345"
    assert read_code("0BCD-1FGH-2345") == "OBCDIFGH2345"
    assert read_code("ABCD-EFGH-234") is None
    assert read_code("ABCD-EFGH-2349") is None


async def test_a_certificate_is_drawn_from_the_same_words_the_quote_had(book: Book, trust: EmbeddedTrust) -> None:
    found = await material(book, trust)
    assert isinstance(found.quote, Quote)
    totals = [line["value"] for line in found.quote.canonical or [] if line["kind"] == "total"]
    said = printing.words(attesting.drawn(found).pdf)
    assert all(printing.squeezed(total) in said for total in totals)
