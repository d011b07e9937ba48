"""The importer: takes lists in, some rows a transaction, and lets list calls rest outside their hours."""

import logging
import time

from router.actions import importing, listing
from router.book import Book
from router.failpoints import fail_here
from router.model.imports import CHUNK
from router.store import imports
from router.store.db import contended, lost_connection

log = logging.getLogger(__name__)

MOST = 40
"""Transactions a sweep; the next one follows at once when there is more."""
LONG_SECONDS, LEAST = 0.12, 16
"""A transaction that took longer than this is followed by smaller ones, of LEAST rows at least."""


class Importer:
    """One a process. Of several, each works at another import."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self.most = CHUNK
        self._looked_at: dict[int, int] = {}

    async def sweep(self) -> int:
        """Works at what is to be checked or taken in; how many transactions it took."""
        for count in range(MOST):
            if not await self._step():
                return count
        self._book.hub.tell((importing.HINT,))
        return MOST

    async def _step(self) -> bool:
        claimed: int | None = None
        began = time.perf_counter()
        try:
            async with self._book.writing() as w:
                found = await imports.claim(w.session)
                if found is None:
                    return False
                claimed = found.id
                await importing.step(w, found, self.most)
                fail_here("import.written")
            fail_here("import.committed")
            self._fit(time.perf_counter() - began)
        except Exception as error:
            if claimed is None or lost_connection(error) or contended(error):
                raise
            log.error("import failed", exc_info=error, extra={"import": claimed})
            async with self._book.writing() as w:
                await importing.gone_wrong(w, claimed)
        return True

    def _fit(self, seconds: float) -> None:
        """On a busy machine fewer rows a transaction, so that none holds the journal's readers back for long."""
        if seconds > LONG_SECONDS:
            self.most = max(LEAST, self.most // 2)
        elif seconds < LONG_SECONDS / 3:
            self.most = min(CHUNK, self.most * 2)

    async def rest(self) -> None:
        """Puts list calls off that may not be made now, so that they ring at no agent."""
        async with self._book.writing() as w:
            waiting = await listing.waiting_lists(w)
        self._looked_at = {one: self._looked_at.get(one, 0) for one in waiting}
        for campaign_id in waiting:
            for _ in range(MOST):
                async with self._book.writing() as w:
                    _, after = await listing.put_off(w, campaign_id, self._looked_at[campaign_id])
                self._looked_at[campaign_id] = after
                if not after:
                    break

    async def forget(self) -> None:
        """Empties the cells of imports long over: their persons are contacts now, or are none of our business."""
        async with self._book.writing() as w:
            await imports.drop_broken(w.session, w.now - importing.STUCK)
            before = w.now - importing.KEEP_CELLS
        for _ in range(MOST):
            async with self._book.writing() as w:
                if not await imports.forget(w.session, before):
                    break
