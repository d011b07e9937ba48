"""What a short link's code says a lead comes from, remembered for a moment: every lead of a poster asks."""

import time

from router.book import Book
from router.model.short_links import read_short_code
from router.store import short_links

REMEMBERED_SECONDS = 30.0
MOST = 10_000


class Sources:
    """A link's piece never changes, so what is remembered stays true. Unknown codes are not remembered."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._known: dict[tuple[str, int], tuple[float, str]] = {}

    async def of(self, typed: str, campaign_id: int) -> str:
        """The source "offline:<piece>" of a code as a page sends it back; "" for none, and for another campaign's. A
        link switched off since still tells where its late visitors came from."""
        code = read_short_code(typed)
        if code is None:
            return ""
        now = time.monotonic()
        at, source = self._known.get((code, campaign_id), (0.0, ""))
        if source and now - at < REMEMBERED_SECONDS:
            return source
        async with self._book.reading() as r:
            placed = await short_links.by_code(r.session, code)
        if placed is None or placed.link.campaign_id != campaign_id:
            return ""
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[code, campaign_id] = now, placed.link.source
        return placed.link.source
