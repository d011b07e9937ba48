"""Rounds: runs dispatch rounds while tasks wait and agents are free, and takes rings back from agents who left."""

import asyncio
import time
from contextlib import suppress
from datetime import timedelta

from router.actions import aging, clocks, dispatch
from router.book import Book
from router.failpoints import fail_here
from router.model.agents import HEARTBEAT_LEASE
from router.model.routing import MOST_HEADS, ORDINARY, Policy
from router.store import agents, forecast, rounds, tasks

MOST_ROUNDS = 20
"""Rounds of one pool in a sweep; the next sweep follows at once if more could be matched."""

IN_VAIN_SECONDS = 0.1
"""A round that follows one in vain so soon is probably in vain too."""

NOBODY_SECONDS = 0.05
"""While nobody is free it looks no more often than this, unless it hears that somebody has become free."""

REMIND_FROM, REMIND_UNTIL = timedelta(seconds=0.8), timedelta(seconds=2.0)


class Rounds:
    """One a process; any replica may run a round at any time."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._in_vain = -IN_VAIN_SECONDS
        self._nobody_free = -NOBODY_SECONDS
        self._freed = asyncio.Event()
        self._policies: dict[int, Policy] = {}
        book.hub.on("free", self._freed.set)

    async def foresee(self) -> None:
        """Looks ahead for every pool with agents, so that no round has to."""
        async with self._book.reading() as r:
            for pool in await agents.pools(r.session):
                self._policies[pool] = await forecast.policy(r.session, pool, r.now)

    async def sweep(self) -> int:
        """One round after another in each pool with waiting tasks, until one matches nothing; reservations made.

        When many leads come while every agent is busy, it first looks whether anybody is free, without a transaction.
        """
        if time.monotonic() - self._in_vain < IN_VAIN_SECONDS:
            await self._until_worth_a_look()
            async with self._book.reading() as r:
                if not await rounds.anybody_free(r.session, r.now, HEARTBEAT_LEASE):
                    self._in_vain = self._nobody_free = time.monotonic()
                    return 0
        total = await self._rounds()
        self._in_vain = time.monotonic() if total == 0 else -IN_VAIN_SECONDS
        return total

    async def _until_worth_a_look(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, self._nobody_free + NOBODY_SECONDS - time.monotonic())):
                await self._freed.wait()
        self._freed.clear()

    async def _rounds(self) -> int:
        async with self._book.writing() as w:
            pools, ours = await rounds.waiting_pools(w.session)
            total = await dispatch.match_all(w, pools[0], self._policies.get(pools[0], ORDINARY)) if ours else 0
            if total:
                fail_here("round.made")
        full = total >= MOST_HEADS
        for pool in pools if full else pools[1:]:
            for _ in range(MOST_ROUNDS):
                async with self._book.writing() as w:
                    made = await dispatch.run_round(w, pool, self._policies.get(pool, ORDINARY))
                total += made
                if made < MOST_HEADS:
                    break
        return total

    async def age(self) -> None:
        """Moves on who has waited long enough for it."""
        async with self._book.writing() as w:
            await aging.age(w)

    async def set_right(self) -> None:
        """Puts right what a clock that was set back has left in the future."""
        more = True
        while more:
            async with self._book.writing() as w:
                more = await clocks.set_right(w)

    async def take_back(self) -> int:
        """Takes back what rings at agents whose browsers no longer answer."""
        async with self._book.writing() as w:
            return await dispatch.take_back_absent(w)

    async def remind(self) -> None:
        """Tells the desks of rings about a second old, once more: the net under a hint that was lost on the way."""
        async with self._book.reading() as r:
            ringing = await tasks.ringing_since(r.session, r.now - REMIND_UNTIL, r.now - REMIND_FROM)
        self._book.hub.tell(f"agent:{agent_id}" for agent_id in ringing)
