"""The words of a stranger's PDF. Imported by the worker only."""

import io
import logging

from pypdf import PdfReader

MOST_PAGES = 500

logging.getLogger("pypdf").setLevel(logging.ERROR)


def pages(pdf: bytes) -> list[str] | None:
    """What each page says; None for what cannot be read, or has more than MOST_PAGES."""
    try:
        found = PdfReader(io.BytesIO(pdf)).pages
        return None if len(found) > MOST_PAGES else [page.extract_text() for page in found]
    except Exception:
        # Whatever a parser trips over: it is no document we can vouch for.
        return None
