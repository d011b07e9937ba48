"""Rounds: runs dispatch rounds while tasks wait and agents are free, and takes rings back from agents who left."""

from router.actions import dispatch
from router.book import Book
from router.store import tasks

MOST_ROUNDS = 20
"""Rounds of one pool in a sweep; the next sweep follows at once if more could be matched."""


class Rounds:
    """One a process; any replica may run a round at any time."""

    def __init__(self, book: Book) -> None:
        self._book = book

    async def sweep(self) -> int:
        """One round after another in each pool with waiting tasks, until one matches nothing; reservations made."""
        async with self._book.writing() as w:
            pools = await tasks.waiting_pools(w.session)
            total = await dispatch.run_round(w, pools[0]) if pools else 0
        full = total >= tasks.MOST_HEADS
        for pool in pools if full else pools[1:]:
            for _ in range(MOST_ROUNDS):
                async with self._book.writing() as w:
                    made = await dispatch.run_round(w, pool)
                total += made
                if made < tasks.MOST_HEADS:
                    break
        return total

    async def take_back(self) -> int:
        """Takes back what rings at agents whose browsers no longer answer."""
        async with self._book.writing() as w:
            return await dispatch.take_back_absent(w)
