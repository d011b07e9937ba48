"""Printing: the PDF says what the page says, draws every letter, and is the same each time."""

import io
import re
import unicodedata
from datetime import UTC, datetime
from typing import Any

import pypdf
import pytest

from router import printing
from router.model.errors import Conflict

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)


def offer(customer: str = "Carmen Ruiz", label: str = "Fibra", many: int = 1) -> list[dict[str, str]]:
    return [
        {"kind": "title", "label": "Oferta", "value": "2026-0001/1"},
        {"kind": "company", "label": "Empresa", "value": "Luz Clara SL"},
        {"kind": "customer", "label": "Cliente", "value": customer},
        *({"kind": "line", "label": label, "value": "1 × 29,90 €"} for _ in range(many)),  # noqa: RUF001
        {"kind": "total", "label": "Total", "value": "-29,90 €"},
        {"kind": "term", "label": "Plazo", "value": "catorce días " * 40},
    ]


def printed(lines: list[dict[str, str]]) -> bytes:
    return printing.offer(lines, "es", "Luz Clara SL", AT)


@pytest.mark.parametrize(
    "name",
    [
        'Íñigo "Ñandú" Pérez-Ruiz', "#let x = 1", "$x^2$ ] [ #sys.inputs", "\\ _ * ` ~ @ <script>alert(1)</script> //",
        "Дмитрий Шостакович", "Ἀθηνᾶ", "Nguyễn Thị Hương", "שלום דוד", "محمد علي", "fi ffl st", "Ω ½ №", "-5",
        "https://example.com", "a  b", "= Heading", "- list", "+ list", "W" * 120,
    ],
)  # fmt: skip
def test_the_pdf_says_word_for_word_what_people_typed_and_never_reads_it_as_markup(name: str) -> None:
    assert printed(offer(name)).startswith(b"%PDF-")


def test_fifty_long_lines_run_over_pages_and_still_say_the_same() -> None:
    pdf = printed(offer(label="Ñ" * 199, many=50))
    assert len(pypdf.PdfReader(io.BytesIO(pdf)).pages) > 3


def test_the_same_offer_gives_the_same_bytes() -> None:
    assert printed(offer()) == printed(offer())


def test_a_word_without_breaks_stays_inside_the_page() -> None:
    page = pypdf.PdfReader(io.BytesIO(printed(offer(label="W" * 200)))).pages[0]
    text = page.extract_text(extraction_mode="layout", layout_mode_space_vertically=False)
    assert max(len(found) for found in re.findall("W+", unicodedata.normalize("NFKC", text))) < 60


def test_the_pdf_is_tagged_archival_and_in_its_language() -> None:
    reader = pypdf.PdfReader(io.BytesIO(printed(offer())))
    root: Any = reader.trailer["/Root"]
    assert bool(root["/MarkInfo"]["/Marked"])
    assert root["/Lang"].startswith("es")
    metadata = root["/Metadata"].get_object().get_data()
    assert re.search(rb"pdfaid:part>3<.*pdfaid:conformance>A<", metadata, re.DOTALL)
    assert re.search(rb"pdfuaid:part>1<", metadata)


def test_a_print_that_says_something_else_is_refused() -> None:
    lines = offer()
    silent = {"kind": "a kind the template does not know", "label": "Permanencia", "value": "24 meses"}
    with pytest.raises(Conflict, match="does not say"):
        printed([*lines, silent])


def test_a_lost_minus_is_a_difference() -> None:
    assert not printing.same_words(printing.squeezed("Total 5,00"), printing.squeezed("Total -5,00"))


def test_letters_the_font_cannot_draw_are_found_once_each() -> None:
    assert printing.undrawable("Carmen 🌸 漢 Ruiz 🌸") == ["🌸", "漢"]
    assert printing.undrawable('Íñigo Дмитрий Ἀθηνᾶ שלום "€" №') == []
