"""Alarms: each due moment's handler runs in the transaction that marks it done, so exactly once."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from router.book import Book, Writing
from router.gauges import Recent
from router.model.alarms import Alarm, AlarmState
from router.store import alarms
from router.store.db import lost_connection

log = logging.getLogger(__name__)

Handler = Callable[[Writing, int], Awaitable[object]]

MOST = 200
"""Alarms a sweep; the next one follows at once when there are more."""


class Alarms:
    """Runs due alarms. `handlers` maps an alarm's kind to a verb taking the transaction and the subject's id.

    One transaction each: a failing one undoes nothing of its neighbours, and none holds back the journal for long.
    """

    def __init__(self, book: Book, handlers: Mapping[str, Handler], *, lateness: Recent | None = None) -> None:
        self._book = book
        self._handlers = handlers
        self._lateness = Recent() if lateness is None else lateness

    async def sweep(self) -> int:
        """Runs what is due; how many."""
        for count in range(MOST):
            if not await self._run_one():
                return count
        self._book.hub.tell(("alarms",))
        return MOST

    async def _run_one(self) -> bool:
        claimed: int | None = None
        try:
            async with self._book.writing() as w:
                due = await alarms.claim_due(w.session, w.now, 1)
                if not due:
                    return False
                alarm = due[0]
                claimed = alarm.id
                self._lateness.add((w.now - alarm.due_at).total_seconds())
                await self._handle(w, alarm.id, alarm.kind, alarm.subject_id)
        except Exception as error:
            if claimed is None or lost_connection(error):
                raise
            # The commit itself failed, for instance on a budget.
            async with self._book.writing() as w:
                await self._failed(w, claimed, error)
        return True

    async def _handle(self, w: Writing, alarm_id: int, kind: str, subject_id: int) -> None:
        try:
            async with w.attempt():
                # Done before the handler runs: it may set the same alarm anew.
                await alarms.finish(w.session, alarm_id, w.now)
                await self._handlers[kind](w, subject_id)
        except Exception as error:
            if lost_connection(error):
                raise
            await self._failed(w, alarm_id, error)

    async def _failed(self, w: Writing, alarm_id: int, error: Exception) -> None:
        """Later again, 2 s after the first failure, four times as long after each; a kind nobody knows is kept too."""
        alarm = await w.session.locked(Alarm, alarm_id)
        if alarm is None or alarm.state is not AlarmState.pending:
            return
        state = await alarms.count_failure(w.session, alarm, w.now + timedelta(seconds=2 * 4.0**alarm.failures))
        log.error("alarm failed", exc_info=error, extra={"alarm": alarm.id, "kind": alarm.kind, "state": state.value})
        if state is AlarmState.parked:
            w.fact("alarm.parked", subject_id=alarm.id, what=alarm.kind)
