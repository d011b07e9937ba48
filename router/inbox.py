"""The inbox: messages from outside are understood in the transaction of their effect, each once.

Those of one call may be read out of order and by several replicas at once: the verbs they cause only go forward.
"""

import logging
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from router.actions import answering, arriving, calling, entrusted, hearing, talking
from router.actions.intake import Raced
from router.book import Book, Writing
from router.model import foreign
from router.model.base import vouched
from router.model.connectors import Connector
from router.model.errors import Unreadable
from router.model.inbox import InboxRow, InboxState
from router.ports import (
    CallerMoved,
    Carrier,
    CarrierEvent,
    Hint,
    LeadSource,
    LegMoved,
    LegStage,
    MessageArrived,
    MessageMoved,
    MessageSpoken,
    Party,
    PartyEvent,
    RoomMoved,
    Webhook,
)
from router.store import inbox
from router.store.db import lost_connection

log = logging.getLogger(__name__)

CARRIER = "carrier"
"""The source of the carrier's own messages; every other one names a party and its connector."""
SIGNER = "signer"
"""Begins the source of a provider's of signatures: its account follows and, where its address was made for one request
alone, that request."""
MOST = 200
"""Messages a sweep; the next one follows at once when there are more."""


class Calling(Protocol):
    """The verb of `router.actions.calling` that the inbox uses."""

    async def on_event(self, w: Writing, event: LegMoved | RoomMoved, /) -> object: ...


class Talking(Protocol):
    """The verbs of `router.actions.talking` that the inbox uses."""

    async def message_moved(self, w: Writing, event: MessageMoved, /) -> object: ...


class Hearing(Protocol):
    """The verb of `router.actions.hearing` that the inbox uses."""

    async def message_arrived(self, w: Writing, event: MessageArrived, /) -> object: ...


class Arriving(Protocol):
    """The verb of `router.actions.arriving` that the inbox uses."""

    async def arrived(self, w: Writing, connector: Connector, event: PartyEvent, /) -> object: ...


class Entrusted(Protocol):
    """The verb of `router.actions.entrusted` that the inbox uses."""

    async def hinted(
        self, w: Writing, account_id: int, hint: Hint, body_sha256: str, entrusted_id: int | None = None, /
    ) -> object: ...


class Inbox:
    """Works through waiting messages, one transaction each. `parties` and `sources` read those of foreign parties, by
    the party's name."""

    def __init__(
        self, book: Book, carrier: Carrier, *, calling: Calling = calling, talking: Talking = talking,
        hearing: Hearing = hearing, entrusted: Entrusted = entrusted,
        arriving: Arriving = arriving, parties: Mapping[str, Party] = MappingProxyType({}),
        sources: Mapping[str, LeadSource] = MappingProxyType({}),
    ) -> None:
        self._book = book
        self._carrier = carrier
        self._calling = calling
        self._talking = talking
        self._hearing = hearing
        self._arriving = arriving
        self._entrusted = entrusted
        self._parties = parties
        self._sources = sources

    async def sweep(self) -> int:
        """Works through what waits; how many."""
        for count in range(MOST):
            if not await self._take_one():
                return count
        self._book.hub.tell(("inbox",))
        return MOST

    async def _take_one(self) -> bool:
        taken: int | None = None
        try:
            async with self._book.writing() as w:
                row = await inbox.next_waiting(w.session, w.now)
                if row is None:
                    return False
                taken = row.id
                await self._take(w, row)
        except Exception as error:
            if taken is None or lost_connection(error):
                raise
            # The commit itself failed.
            async with self._book.writing() as w:
                await self._failed(w, taken, error)
        return True

    async def _take(self, w: Writing, row: InboxRow) -> None:
        try:
            async with w.attempt():
                await self._understand(w, row)
                await inbox.finish(w.session, row.id, w.now)
        except Unreadable:
            # It will not read better tomorrow.
            await inbox.park(w.session, row.id, w.now)
            log.error("message from outside cannot be read", extra={"inbox": row.id, "source": row.source})
            w.fact("inbox.parked", subject_id=row.id, reason="unreadable")
        except Exception as error:
            if lost_connection(error):
                raise
            await self._failed(w, row.id, error)

    async def _understand(self, w: Writing, row: InboxRow) -> None:
        webhook = Webhook(row.path, row.headers, row.body)
        if row.source == CARRIER:
            for event in self._carrier.understand(webhook):
                await self._tell(w, event)
            return
        # "shopify:7", "meta:3:fetched" for what was announced and then fetched, "signer:2" or "signer:2:15".
        party, number, *fetched = row.source.split(":")
        if party == SIGNER:
            told_by = int(fetched[0]) if fetched else None
            await self._entrusted.hinted(w, int(number), hint_of(row), foreign.digest(row.body), told_by)
            return
        connector = vouched(await w.session.get(Connector, int(number)))
        told: Sequence[PartyEvent]
        if fetched:
            told = [self._sources[party].understand(row.dedupe_key, row.body, row.answer or b"")]
        else:
            told = self._parties[party].understand(webhook)
        for one in told:
            await self._arriving.arrived(w, connector, one)

    async def _tell(self, w: Writing, event: CarrierEvent) -> None:
        match event:
            case LegMoved() | RoomMoved():
                await self._calling.on_event(w, event)
                if isinstance(event, LegMoved) and event.stage is LegStage.ended:
                    await answering.left_the_line(w, event.carrier_id)
            case MessageMoved():
                await self._talking.message_moved(w, event)
            case MessageArrived():
                await self._hearing.message_arrived(w, event)
            case CallerMoved():
                await answering.moved(w, event)
            case MessageSpoken():
                await answering.spoken(w, event)

    async def _failed(self, w: Writing, row_id: int, error: Exception) -> None:
        row = await w.session.locked(InboxRow, row_id)
        if row is None or row.state is not InboxState.waiting:
            return
        state = await inbox.count_failure(w.session, row.id, row.failures, w.now)
        if isinstance(error, Raced) and state is InboxState.waiting:
            return
        log.error("message from outside not understood", exc_info=error, extra={"inbox": row.id, "state": state.value})
        if state is InboxState.parked:
            w.fact("inbox.parked", subject_id=row.id)


def hint_of(row: InboxRow) -> Hint:
    """The hint as the door understood it."""
    kept = row.headers
    return Hint(row.dedupe_key, str(kept.get("event", "")), str(kept.get("foreign_id", "")), str(kept.get("ref", "")))
