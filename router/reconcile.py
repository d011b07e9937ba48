"""Reconciling: telephones we believe connected are compared with the carrier, in case its word on them was lost.

The carrier tells of each step once or twice, and not at all to a house that is down at that moment.
"""

import asyncio
from datetime import timedelta

from router.actions import calling
from router.book import Book
from router.model.calls import CallState, Leg
from router.ports import Carrier, LegMoved, LegOutcome, LegStage, OutsideError, Refused
from router.store import calls

QUIET = timedelta(seconds=6)
"""A leg younger than this is not asked about: its own messages are still on their way."""
SOON_SECONDS, LATER_SECONDS = 6.0, 30.0
"""How often a leg is asked about: while it is being connected, and in a conversation."""
AT_ONCE = 20


class Reconciler:
    """Asks the carrier about the legs of living calls, and applies what it says like a message of its own."""

    def __init__(self, book: Book, carrier: Carrier) -> None:
        self._book = book
        self._carrier = carrier
        self._asked: dict[int, float] = {}

    async def sweep(self) -> int:
        """How many legs were asked about."""
        async with self._book.reading() as r:
            living = await calls.living_legs(r.session, r.now - QUIET, 500)
        now = asyncio.get_running_loop().time()
        self._asked = {leg.id: self._asked[leg.id] for leg, _ in living if leg.id in self._asked}
        due = [leg for leg, state in living if self._due(leg, state, now)][:AT_ONCE]
        for leg in due:
            self._asked[leg.id] = now
        await asyncio.gather(*(self._ask(leg) for leg in due))
        return len(due)

    def _due(self, leg: Leg, state: CallState, now: float) -> bool:
        pause = LATER_SECONDS if state is CallState.talking else SOON_SECONDS
        return leg.id not in self._asked or self._asked[leg.id] + pause <= now

    async def _ask(self, leg: Leg) -> None:
        try:
            found = await self._carrier.find_leg(leg.carrier_id)
            event = LegMoved(leg.ref, leg.carrier_id, found.stage, found.outcome)
        except Refused as refusal:
            if not refusal.permanent:
                return
            event = LegMoved(leg.ref, leg.carrier_id, LegStage.ended, LegOutcome.failed)  # it knows of no such leg
        except OutsideError:
            return
        async with self._book.writing() as w:
            await calling.on_event(w, event)
