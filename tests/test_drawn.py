"""What a page draws is read exactly, or not at all: then a reader of all PDFs is asked."""

import io
import re
from collections.abc import Callable
from datetime import UTC, datetime

import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf.generic import DecodedStreamObject, NameObject

from router import printing
from router.actions.offering import Speaker
from router.drawn import drawn
from router.model.offers import canonical
from router.printing import squeezed, undrawable
from router.wording import LOCALES
from tests.model.test_offers import OFFER

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATIN = st.text(st.characters(max_codepoint=0x24F, exclude_categories=["C", "M", "Z"]), min_size=1, max_size=60)


def offer(customer: str) -> bytes:
    lines = [
        {"kind": "title", "label": "Oferta", "value": "2026-0001/1"},
        {"kind": "customer", "label": "Cliente", "value": customer},
        {"kind": "total", "label": "Total", "value": "-29,90 €"},
    ]
    return printing.offer(lines, "es", "Luz Clara SL", AT)


def read(pdf: bytes) -> list[str] | None:
    return drawn(pypdf.PdfReader(io.BytesIO(pdf)))


def judged(pdf: bytes) -> list[str]:
    """What pypdf reads there."""
    return [squeezed(page.extract_text()) for page in pypdf.PdfReader(io.BytesIO(pdf)).pages]


def redrawn(pdf: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The same file, with other drawing on its first page."""
    writer = pypdf.PdfWriter(io.BytesIO(pdf))
    page, stream = writer.pages[0], DecodedStreamObject()
    contents = page.get_contents()
    assert contents is not None
    before = contents.get_data()
    stream.set_data(change(before))
    assert stream.get_data() != before
    page[NameObject("/Contents")] = stream
    data = io.BytesIO()
    writer.write(data)
    return data.getvalue()


@pytest.mark.parametrize("locale", LOCALES)
def test_an_offer_in_every_language_is_understood_as_by_a_reader_of_all_pdfs(locale: str) -> None:
    pdf = printing.offer(canonical(OFFER, Speaker(locale, "EUR", "Europe/Madrid")), locale, "Luz Clara SL", AT)
    assert [squeezed(page) for page in read(pdf) or ()] == judged(pdf)


@pytest.mark.parametrize(
    "name",
    ["W" * 120, "a.very.long.address.of@somebody.example.com", "(((( )))) \\( \\ ) (", "Дмитрий", "Nguyễn",
     "a\u0301 ½ №"],
)  # fmt: skip
def test_long_words_brackets_and_other_letters_are_understood(name: str) -> None:
    pdf = offer(name)
    assert [squeezed(page) for page in read(pdf) or ()] == judged(pdf)


def test_letters_from_right_to_left_come_as_they_are_drawn() -> None:
    assert "דוד םולש" in (read(offer("שלום דוד")) or [""])[0]


@settings(max_examples=25, deadline=None)
@given(LATIN)
def test_whatever_can_be_typed_is_read_to_the_letter(name: str) -> None:
    typed = "".join(char for char in name if not undrawable(char))
    (page,) = read(offer(f"({typed})")) or [""]
    assert squeezed(f"Cliente({typed})Total") in squeezed(page)


@pytest.mark.parametrize(
    ("pattern", "instead"),
    [
        (rb"0 Tr", rb"3 Tr"),  # text nobody sees
        (rb"BT 0 Tr/f\d [\d.]+ Tf", rb"BT 0 Tr"),  # in a font that was chosen before, and may be another by now
        (rb"\nET", rb"\nET /x0 Do"),
        (rb"\nET", rb"\nET (more"),
        (rb"\nET", rb"\nET )"),
        (rb"\[\(", rb"[<0001>("),
        (rb"\[\(", rb"[(\\1"),
        (rb"\[\(", rb"[(\\001)("),  # half a letter
        (rb"\[\(", rb"[(\\377\\377"),  # a glyph of which nothing is said
        (rb"Tm\[", rb"Tm 100 Tz["),
        (rb"\Z", rb" BI /W 1 /H 1 ID x EI"),
        (rb"<</MCID", rb"<</E(a)b)/MCID"),
    ],
)
def test_what_is_not_understood_to_the_last_byte_is_not_read_at_all(pattern: bytes, instead: bytes) -> None:
    pdf = offer("Carmen Ruiz")
    assert read(pdf) is not None
    assert read(redrawn(pdf, lambda drawing: re.sub(pattern, lambda _: instead, drawing, count=1))) is None


def test_another_letter_drawn_is_another_word_read() -> None:
    pdf = offer("Carmen Ruiz")
    changed = redrawn(pdf, lambda drawing: drawing.replace(rb"\000\003", rb"\000\004", 1))
    assert read(changed) is not None
    assert read(changed) != read(pdf)
    assert [squeezed(page) for page in read(changed) or ()] == judged(changed)


@pytest.mark.parametrize(
    ("pattern", "instead"),
    [
        (rb"<0000> <FFFF>", b"<00> <FF>"),
        (rb"endbfchar", b"endbfchar\n1 beginbfrange\n<0001> <0002> <0041>\nendbfrange"),
    ],
)
def test_a_font_that_tells_its_letters_in_another_way_is_not_read(pattern: bytes, instead: bytes) -> None:
    writer = pypdf.PdfWriter(io.BytesIO(offer("Carmen Ruiz")))
    for font in writer.pages[0]["/Resources"]["/Font"].values():  # type: ignore[index]
        stream = DecodedStreamObject()
        stream.set_data(re.sub(pattern, instead, font.get_object()["/ToUnicode"].get_data()))
        font.get_object()[NameObject("/ToUnicode")] = stream
    data = io.BytesIO()
    writer.write(data)
    assert read(data.getvalue()) is None


def test_a_page_that_is_not_understood_is_read_by_a_reader_of_all_pdfs() -> None:
    pdf = redrawn(offer("Carmen Ruiz"), lambda drawing: drawing + b" 100 Tz")
    assert read(pdf) is None
    assert "ClienteCarmenRuiz" in printing.words(pdf)
