"""Landing pages by their public keys, remembered for a moment: every lead and every widget asks for one."""

import time

from router.book import Book
from router.store import sites
from router.store.sites import Landing

REMEMBERED_SECONDS = 2.0
MOST = 1_000


class Landings:
    """A changed configuration is seen after at most REMEMBERED_SECONDS. Unknown keys are not remembered."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._known: dict[str, tuple[float, Landing]] = {}

    async def by_key(self, key: str) -> Landing | None:
        """The landing page with this key."""
        now = time.monotonic()
        at, landing = self._known.get(key, (0.0, None))
        if landing is not None and now - at < REMEMBERED_SECONDS:
            return landing
        async with self._book.reading() as r:
            found = await sites.by_key(r.session, key)
        if found is not None:
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[key] = now, found
        return found
