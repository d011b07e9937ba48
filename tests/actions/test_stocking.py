"""The library of documents: what is taken into it by its content, and what happens when one is taken out."""

import asyncio
from io import BytesIO

import pytest
from pypdf import PdfWriter
from sqlalchemy import func, select

from router.actions import stocking
from router.book import Book
from router.model.blobs import Blob
from router.model.brochures import JPEG, MOST_BYTES, PDF, PNG, Brochure
from router.model.errors import Conflict, HouseError, Invalid, NotFound, TooLarge
from tests import handing, making


def locked(password: str) -> bytes:
    writer, out = PdfWriter(), BytesIO()
    writer.add_blank_page(100, 100)
    writer.encrypt(password, "owner", algorithm="AES-256")
    writer.write(out)
    return out.getvalue()


def empty_pdf() -> bytes:
    out = BytesIO()
    PdfWriter().write(out)
    return out.getvalue()


async def add(book: Book, content: bytes, name: str = "Tarifas") -> Brochure:
    async with book.writing() as w:
        return await stocking.add(w, 1, stocking.examine(content), stocking.titled(name, {}), agent_id=None)


@pytest.mark.parametrize(("content", "kind"), [(handing.pdf(), PDF), (handing.png(), PNG), (handing.JPEG, JPEG),
                                               (locked(""), PDF)])
def test_what_everybody_can_open_is_taken(content: bytes, kind: str) -> None:
    assert stocking.examine(content).media_type == kind


@pytest.mark.parametrize("content", [
    b"", b"<html>hello</html>", b"MZ\x90\x00", b"%PDF-", b"%PDF-1.7\nnothing of the kind", handing.pdf()[:300],
    b"%PDF-1.7\n" + b"<" * 50_000, b"%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 1 0 R>>endobj trailer<</Root 1 0 R>>",
    locked("secret"), empty_pdf(),
], ids=["nothing", "a page", "a program", "head", "words", "cut off", "brackets", "a circle", "locked", "no pages"])
def test_what_is_no_document_is_refused_with_a_sentence(content: bytes) -> None:
    with pytest.raises(Invalid) as refused:
        stocking.examine(content)
    assert refused.value.pointer == "/file"


def test_what_is_too_large_is_refused_before_it_is_looked_at() -> None:
    assert stocking.examine(handing.png() + b"\0" * (MOST_BYTES - len(handing.png()))).media_type == PNG
    with pytest.raises(TooLarge):
        stocking.examine(b"%PDF-" + b"\0" * MOST_BYTES)


@pytest.mark.parametrize("name", ["", " \u200b ", "x" * 101, "\0"])
def test_a_name_is_needed(name: str) -> None:
    with pytest.raises(Invalid):
        stocking.titled(name, {})


def test_names_are_shown_as_they_are_read() -> None:
    titles = stocking.titled(" Tari\u202efas\r\n2027 ", {"en": "Tariffs", "it": " ", "fr": "Tarifs"})
    assert (titles.name, titles.names) == ("Tarifas 2027", {"en": "Tariffs"})
    with pytest.raises(Invalid) as refused:
        stocking.titled("Tarifas", {"ru": "x" * 101})
    assert refused.value.pointer == "/name_ru"


async def test_a_file_is_in_the_library_once_however_often_the_button_is_pressed(book: Book) -> None:
    async with book.writing() as w:
        await making.campaign(w)
    made = await asyncio.gather(*(add(book, handing.pdf()) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(one, Brochure) for one in made) == 1
    assert sum(isinstance(one, Conflict) for one in made) == 3
    async with book.reading() as r:
        assert await r.session.scalar(select(func.count()).select_from(Brochure)) == 1
        assert await r.session.scalar(select(func.count()).select_from(Blob)) == 1
    (fact,) = await handing.told(book, "brochure.")
    assert (fact.kind, fact.data) == ("brochure.added", {"bytes": len(handing.pdf())})


async def test_nothing_is_added_for_a_campaign_there_is_not(book: Book) -> None:
    with pytest.raises(HouseError):
        await add(book, handing.pdf())
    async with book.reading() as r:
        assert await r.session.scalar(select(func.count()).select_from(Blob)) == 0


async def test_retiring_twice_is_once_and_the_file_may_come_back(book: Book) -> None:
    async with book.writing() as w:
        await making.campaign(w)
        agent = await making.agent(w)
    first = await add(book, handing.pdf())
    for _ in range(2):
        async with book.writing() as w:
            await stocking.retire(w, first.id, agent.id)
    assert [one.kind for one in await handing.told(book, "brochure.")] == ["brochure.added", "brochure.retired"]
    assert (await add(book, handing.pdf())).id != first.id
    with pytest.raises(NotFound):
        async with book.writing() as w:
            await stocking.retire(w, 99, agent.id)
