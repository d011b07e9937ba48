"""Reconciling: calls we believe in conversation are compared with the carrier, in case its last word was lost."""

import asyncio
from datetime import timedelta

from router.actions.calling import Ended, end_call
from router.book import Book
from router.model.calls import Call
from router.ports import Carrier, OutsideError
from router.store import calls

QUIET = timedelta(seconds=20)
"""A call younger than this is not asked about: its own messages are still on their way."""
AGAIN_SECONDS = 30.0
AT_ONCE = 20


class Reconciler:
    """Asks the carrier who is in the room of each long conversation; a room without the customer has ended."""

    def __init__(self, book: Book, carrier: Carrier) -> None:
        self._book = book
        self._carrier = carrier
        self._asked: dict[int, float] = {}

    async def sweep(self) -> int:
        """How many calls were found to have ended."""
        async with self._book.reading() as r:
            talking = await calls.talking_since(r.session, r.now - QUIET, 200)
        now = asyncio.get_running_loop().time()
        self._asked = {call.id: self._asked[call.id] for call in talking if call.id in self._asked}
        due = [call for call in talking if self._asked.get(call.id, 0.0) + AGAIN_SECONDS <= now][:AT_ONCE]
        for call in due:
            self._asked[call.id] = now
        return sum(await asyncio.gather(*(self._check(call) for call in due)))

    async def _check(self, call: Call) -> bool:
        try:
            present = await self._carrier.who_is_in(call.room)
        except OutsideError:
            return False
        if any(one.role == "customer" or one.role is None for one in present):
            return False
        async with self._book.writing() as w:
            return await end_call(w, call.id, Ended("lost")) is not None
