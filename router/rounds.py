"""Rounds: runs dispatch rounds while tasks wait and agents are free, and takes rings back from agents who left."""

from datetime import timedelta

from router.actions import dispatch
from router.book import Book
from router.store import tasks

MOST_ROUNDS = 20
"""Rounds of one pool in a sweep; the next sweep follows at once if more could be matched."""

REMIND_FROM, REMIND_UNTIL = timedelta(seconds=0.8), timedelta(seconds=2.0)


class Rounds:
    """One a process; any replica may run a round at any time."""

    def __init__(self, book: Book) -> None:
        self._book = book

    async def sweep(self) -> int:
        """One round after another in each pool with waiting tasks, until one matches nothing; reservations made."""
        async with self._book.writing() as w:
            pools, ours = await tasks.waiting_pools(w.session)
            total = await dispatch.match_all(w, pools[0]) if ours else 0
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

    async def remind(self) -> None:
        """Tells the desks of rings about a second old, once more: the net under a hint that was lost on the way."""
        async with self._book.reading() as r:
            ringing = await tasks.ringing_since(r.session, r.now - REMIND_UNTIL, r.now - REMIND_FROM)
        self._book.hub.tell(f"agent:{agent_id}" for agent_id in ringing)
