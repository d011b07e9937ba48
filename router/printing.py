"""Printing: documents by typst from templates/pdf, data passed as values; and what such a document says again.

typst works 10 to 80 ms and lets go of the interpreter meanwhile: print in a thread, never inside a transaction.
"""

import io
import json
import logging
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

import typst
from fontTools.ttLib import TTFont
from pypdf import PdfReader
from pypdf.errors import PyPdfError

from router.drawn import drawn
from router.model.errors import Conflict
from router.paths import FONTS, TEMPLATES

FONT = "DejaVuSans.ttf"
BOLD = "DejaVuSans-Bold.ttf"
STANDARDS = ["a-3a", "ua-1"]

logging.getLogger("pypdf").setLevel(logging.ERROR)
logging.getLogger("fontTools").setLevel(logging.ERROR)


@cache
def _fonts() -> typst.Fonts:
    """Looked up once: it takes as long as printing a page."""
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[FONTS])


@cache
def _drawable() -> frozenset[int]:
    """The code points both weights of the document's font have glyphs for."""
    points: list[frozenset[int]] = []
    for name in (FONT, BOLD):
        with TTFont(FONTS / name, lazy=True) as font:
            points.append(frozenset(font.getBestCmap() or {}))
    return points[0] & points[1]


def undrawable(text: str) -> list[str]:
    """The characters of the text which the document's font cannot draw, each once, in order."""
    return list(dict.fromkeys(char for char in text if ord(char) not in _drawable()))


def offer(lines: Sequence[Mapping[str, str]], locale: str, author: str, at: datetime) -> bytes:
    """The offer as PDF/A-3a, tagged. The same arguments give the same bytes. Raises Conflict when what the PDF says is
    not, word for word, what `lines` say."""
    title = " ".join((lines[0]["label"], lines[0]["value"]))
    pdf = _printed("offer.typ", {"lines": [dict(line) for line in lines], "title": title}, locale, author, at)
    if not same_words(words(pdf), squeezed("".join(line["label"] + line["value"] for line in lines))):
        raise Conflict("The printed offer does not say what the page says; it was not sent.")
    return pdf


def certificate(said: Mapping[str, Any], locale: str, author: str, at: datetime) -> bytes:
    """A certificate of evidence (`router.actions.attesting.contents`) as PDF/A-3a, tagged. The same arguments give the
    same bytes."""
    return _printed("certificate.typ", said, locale, author, at)


def brochure(said: Mapping[str, Any], locale: str, author: str, at: datetime) -> bytes:
    """A brochure (title, subtitle, sections of a title and pairs, notes) as PDF/A-3a, tagged. The same arguments give
    the same bytes."""
    return _printed("brochure.typ", said, locale, author, at)


def _printed(template: str, said: Mapping[str, Any], locale: str, author: str, at: datetime) -> bytes:
    data = {**said, "lang": locale, "author": author, "year": at.year, "month": at.month, "day": at.day}
    return typst.compile(
        TEMPLATES / "pdf" / template, root=TEMPLATES / "pdf", font_paths=_fonts(),
        sys_inputs={"data": json.dumps(data)}, pdf_standards=STANDARDS, timestamp=int(at.timestamp()),  # type: ignore[arg-type]
    )


def words(pdf: bytes) -> str:
    """What the pages say, squeezed, without the page numbers at their feet. Raises Conflict when it cannot be read."""
    try:
        reader = PdfReader(io.BytesIO(pdf))
        pages = drawn(reader) or [page.extract_text() for page in reader.pages]
        said = [squeezed(text) for text in pages]
    except (PyPdfError, ValueError, KeyError) as error:
        raise Conflict("The printed offer cannot be read back; it was not sent.") from error
    return "".join(text.removesuffix(f"{place}/{len(said)}") for place, text in enumerate(said, 1))


def opens(pdf: bytes) -> bool:
    """Whether this is a PDF everybody can open: it has pages, and asks for no password."""
    try:
        reader = PdfReader(io.BytesIO(pdf))
        if reader.is_encrypted and not reader.decrypt(""):
            return False
        return len(reader.pages) > 0
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OSError):
        return False  # what it stumbles over is named differently by every kind of damage


def contains(said: Sequence[str], offer_pdf: bytes) -> bool:
    """Whether pages that say this (each as it was read) say all that the offer's pages do, each page in one piece and
    in their order. What was added, such as a signature, does not matter. Raises Conflict when the offer is unreadable.
    """
    read, rest = "\x00".join(squeezed(page) for page in said), 0
    try:
        ours = [squeezed(page.extract_text()) for page in PdfReader(io.BytesIO(offer_pdf)).pages]
    except (PyPdfError, ValueError, KeyError) as error:
        raise Conflict("The printed offer cannot be read back; it was not sent.") from error
    for page in ours:
        place = read.find(page, rest)
        if place < 0:
            return False
        rest = place + len(page)
    return any(ours)


def squeezed(text: str) -> str:
    """The text without spaces, line breaks and invisible characters, in compatibility form: what is left does not
    depend on where lines were broken. Hyphens stay (the document hyphenates nothing): one is the sign of an amount."""
    kept = unicodedata.normalize("NFKC", text)
    return "".join(filter(_seen, kept))


@lru_cache(maxsize=4096)
def _seen(char: str) -> bool:
    return unicodedata.category(char)[0] not in "ZC"


def same_words(pdf: str, page: str) -> bool:
    """Whether both say the same. Letters written from right to left come back from a PDF in the order in which they
    were drawn, and marks beside their letters: there only the letters are compared, not their order."""
    if pdf == page:
        return True
    turned = any(unicodedata.bidirectional(char) in {"R", "AL", "NSM"} for char in page)
    return turned and sorted(pdf) == sorted(page)
