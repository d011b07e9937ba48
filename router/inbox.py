"""The inbox: messages from outside are understood in the transaction of their effect, each once.

Those of one call may be read out of order and by several replicas at once: the verbs they cause only go forward.
"""

import logging
from typing import Protocol

from router.actions import calling, talking
from router.book import Book, Writing
from router.model.inbox import InboxRow, InboxState
from router.ports import Carrier, CarrierEvent, LegMoved, MessageArrived, MessageMoved, RoomMoved, Webhook
from router.store import inbox
from router.store.db import lost_connection

log = logging.getLogger(__name__)

MOST = 200
"""Messages a sweep; the next one follows at once when there are more."""


class Calling(Protocol):
    """The verb of `router.actions.calling` that the inbox uses."""

    async def on_event(self, w: Writing, event: LegMoved | RoomMoved, /) -> object: ...


class Talking(Protocol):
    """The verbs of `router.actions.talking` that the inbox uses."""

    async def message_moved(self, w: Writing, event: MessageMoved, /) -> object: ...
    async def message_arrived(self, w: Writing, event: MessageArrived, /) -> object: ...


class Inbox:
    """Works through waiting messages, one transaction each."""

    def __init__(self, book: Book, carrier: Carrier, *, calling: Calling = calling, talking: Talking = talking) -> None:
        self._book = book
        self._carrier = carrier
        self._calling = calling
        self._talking = talking

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
                await self._take(w, taken, Webhook(row.path, row.headers, row.body))
        except Exception as error:
            if taken is None or lost_connection(error):
                raise
            # The commit itself failed.
            async with self._book.writing() as w:
                await self._failed(w, taken, error)
        return True

    async def _take(self, w: Writing, row_id: int, webhook: Webhook) -> None:
        try:
            async with w.attempt():
                for event in self._carrier.understand(webhook):
                    await self._tell(w, event)
                await inbox.finish(w.session, row_id, w.now)
        except Exception as error:
            if lost_connection(error):
                raise
            await self._failed(w, row_id, error)

    async def _tell(self, w: Writing, event: CarrierEvent) -> None:
        match event:
            case LegMoved() | RoomMoved():
                await self._calling.on_event(w, event)
            case MessageMoved():
                await self._talking.message_moved(w, event)
            case MessageArrived():
                await self._talking.message_arrived(w, event)

    async def _failed(self, w: Writing, row_id: int, error: Exception) -> None:
        row = await w.session.locked(InboxRow, row_id)
        if row is None or row.state is not InboxState.waiting:
            return
        state = await inbox.count_failure(w.session, row.id, row.failures, w.now)
        log.error("message from outside not understood", exc_info=error, extra={"inbox": row.id, "state": state.value})
        if state is InboxState.parked:
            w.fact("inbox.parked", subject_id=row.id)
