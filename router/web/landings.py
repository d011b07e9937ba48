"""Landing pages by their public keys, remembered for a moment: every lead and every widget asks for one."""

import asyncio
import time
from collections.abc import Callable
from functools import partial

from router.book import Book
from router.store import sites
from router.store.sites import Landing

REMEMBERED_SECONDS = 2.0
MOST = 1_000


class Landings:
    """A changed configuration is seen after at most REMEMBERED_SECONDS. Unknown keys are not remembered. `clock` counts
    seconds.

    However many ask at once, the database is asked once; and while requests keep coming nobody waits for it, because it
    is asked anew in half of that time.
    """

    def __init__(self, book: Book, clock: Callable[[], float] = time.monotonic) -> None:
        self._book = book
        self._clock = clock
        self._known: dict[str, tuple[float, Landing]] = {}
        self._asked: dict[str, asyncio.Task[Landing | None]] = {}

    async def by_key(self, key: str) -> Landing | None:
        """The landing page with this key."""
        at, landing = self._known.get(key, (0.0, None))
        age = self._clock() - at
        if landing is not None and age < REMEMBERED_SECONDS / 2:
            return landing
        asked = self._asked.get(key)
        if asked is None:
            asked = self._asked[key] = asyncio.create_task(self._ask(key))
            asked.add_done_callback(partial(self._answered, key))
        if landing is not None and age < REMEMBERED_SECONDS:
            return landing
        return await asyncio.shield(asked)  # who goes away takes nobody's answer with him

    def _answered(self, key: str, asked: asyncio.Task[Landing | None]) -> None:
        """Whoever waits hears of a failure; when nobody does, the next one asks again."""
        del self._asked[key]
        if not asked.cancelled():
            asked.exception()

    async def _ask(self, key: str) -> Landing | None:
        now = self._clock()
        async with self._book.reading() as r:
            found = await sites.by_key(r.session, key)
        if found is not None:
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[key] = now, found
        return found
