"""What a document says to whoever opens it: its words, and the files inside it."""

import io
import re
from decimal import Decimal

from pypdf import PdfReader

from router.walk.browser import Wrong
from router.walk.markup import Element


def words(pdf: bytes) -> str:
    """All words of a document, without blanks: lines break where they fit."""
    return squeezed("".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages))


def squeezed(text: str) -> str:
    return "".join(text.split())


def evidence(pdf: bytes) -> bytes:
    """The file of evidence inside the document. Raises Wrong when there is none."""
    for name, contents in PdfReader(io.BytesIO(pdf)).attachments.items():
        if name.endswith(".json"):
            return bytes(contents[0])
    raise Wrong("the signed document carries no evidence")


def amounts(text: str) -> list[Decimal]:
    """The amounts of money in a text written as in Spain: 1.234,56 €."""
    return [Decimal(found.replace(".", "").replace(",", ".")) for found in re.findall(r"(\d[\d.]*,\d\d)\s*€", text)]


def pairs(page: Element) -> list[tuple[str, str]]:
    """The offer as the page shows it: what stands beside what."""
    found = [
        (name.text, value.text)
        for name, value in zip(page.all("dt"), page.all("dd"), strict=True)
    ]
    for line in page.of_class("lines"):
        found += [tuple(part.text for part in item.parts if isinstance(part, Element)) for item in line.all("li")]  # type: ignore[misc]
    return found
