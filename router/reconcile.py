"""Reconciling: telephones we believe connected are compared with the carrier, in case its word on them was lost.

The carrier tells of each step once or twice, and not at all to a house that is down at that moment.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from router.actions import answering, calling
from router.book import Book
from router.model.arrivals import ASK_AGAIN, Arrival
from router.model.calls import Call, CallState, Leg
from router.model.stations import Station, StationState
from router.ports import (
    Carrier,
    LegFound,
    LegMoved,
    LegOutcome,
    LegRole,
    LegStage,
    OutsideError,
    Refused,
    RoomChange,
    RoomMoved,
)
from router.store import arrivals, calls, stations

QUIET = timedelta(seconds=6)
"""A leg younger than this is not asked about: its own messages are still on their way."""
SOON_SECONDS, LATER_SECONDS = 6.0, 30.0
"""How often a leg is asked about: while it is being connected, and in a conversation."""
LONG_SILENT = timedelta(seconds=2 * ASK_AGAIN + 10)
"""A caller of whom the carrier has said nothing for so long is asked about: it asks what he shall hear more often."""
AT_ONCE = 20


class Reconciler:
    """Asks the carrier about the legs of living calls, and applies what it says like a message of its own."""

    def __init__(self, book: Book, carrier: Carrier) -> None:
        self._book = book
        self._carrier = carrier
        self._asked: dict[int, float] = {}
        self._listening: dict[int, float] = {}

    async def sweep(self) -> int:
        """How many legs were asked about."""
        return await self._sweep_calls() + await self._sweep_stations()

    async def _sweep_stations(self) -> int:
        """Agents who stay on the line, and telephones that should have left their rooms."""
        async with self._book.reading() as r:
            living = await stations.listening(r.session, r.now - QUIET, 500)
            left_over = await stations.left_over(r.session, r.now - QUIET, AT_ONCE)
        now = asyncio.get_running_loop().time()
        self._listening = {one.id: self._listening[one.id] for one in living if one.id in self._listening}
        due = [one for one in living if self._listens(one, now)][:AT_ONCE]
        for one in due:
            self._listening[one.id] = now
        await asyncio.gather(*(self._tell(one.ref, one.carrier_id) for one in due),
                             *(self._tell(leg.ref, leg.carrier_id) for leg in left_over))
        return len(due) + len(left_over)

    def _listens(self, station: Station, now: float) -> bool:
        pause = LATER_SECONDS if station.state is StationState.standing else SOON_SECONDS
        return station.id not in self._listening or self._listening[station.id] + pause <= now

    async def _tell(self, ref: str, carrier_id: str) -> None:
        found = await self._find(carrier_id)
        if found is not None:
            async with self._book.writing() as w:
                await calling.on_event(w, LegMoved(ref, carrier_id, found.stage, found.outcome))

    async def _sweep_calls(self) -> int:
        async with self._book.reading() as r:
            living = await calls.living_legs(r.session, r.now - QUIET, 500)
        now = asyncio.get_running_loop().time()
        self._asked = {leg.id: self._asked[leg.id] for leg, _ in living if leg.id in self._asked}
        due = [leg for leg, state in living if self._due(leg, state, now)][:AT_ONCE]
        for leg in due:
            self._asked[leg.id] = now
        silent = await self._silent_callers()
        await asyncio.gather(*(self._ask(leg) for leg in due), *(self._ask_caller(one) for one in silent))
        return len(due) + len(silent)

    async def _silent_callers(self) -> Sequence[Arrival]:
        """Each is asked about once in LONG_SILENT, by whichever replica marks him first."""
        async with self._book.writing() as w:
            silent = await arrivals.silent(w.session, w.now - LONG_SILENT, AT_ONCE)
            for one in silent:
                one.heard_at = w.now
            return silent

    async def _ask_caller(self, arrival: Arrival) -> None:
        found = await self._find(arrival.carrier_id)
        if found is not None and found.stage is LegStage.ended:
            async with self._book.writing() as w:
                await answering.left(w, arrival.carrier_id)

    def _due(self, leg: Leg, state: CallState, now: float) -> bool:
        pause = LATER_SECONDS if state is CallState.talking else SOON_SECONDS
        return leg.id not in self._asked or self._asked[leg.id] + pause <= now

    async def _find(self, carrier_id: str) -> LegFound | None:
        """What the carrier says; None when it does not say."""
        try:
            return await self._carrier.find_leg(carrier_id)
        except Refused as refusal:
            if not refusal.permanent:
                return None
            return LegFound(carrier_id, LegStage.ended, LegOutcome.failed)  # it knows of no such leg
        except OutsideError:
            return None

    async def _ask(self, leg: Leg) -> None:
        if not leg.came_in:
            await self._tell(leg.ref, leg.carrier_id)
        elif (found := await self._find(leg.carrier_id)) is not None:
            await self._ask_room(leg, found)

    async def _ask_room(self, leg: Leg, found: LegFound) -> None:
        """A caller's line says nothing of the room: whether he is in it, only the room does."""
        if found.stage is LegStage.ended:
            async with self._book.writing() as w:
                await answering.left(w, leg.carrier_id)
            return
        async with self._book.reading() as r:
            call = await r.session.get(Call, leg.call_id)
        if call is None or leg.joined_at is not None:
            return
        try:
            people = await self._carrier.who_is_in(call.room)
        except OutsideError:
            return
        if any(person.carrier_id == leg.carrier_id for person in people):
            joined = RoomMoved(call.room_ref, call.room, RoomChange.joined, LegRole.customer, leg.carrier_id)
            async with self._book.writing() as w:
                await calling.on_event(w, joined)
