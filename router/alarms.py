"""Alarms: each due moment's handler runs in the transaction that marks it done, so exactly once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from router.book import Book, Writing
from router.failpoints import fail_here
from router.gauges import Recent
from router.model.alarms import Alarm, AlarmState
from router.store import alarms
from router.store.alarms import Due
from router.store.db import lost_connection, too_slow

log = logging.getLogger(__name__)

Handler = Callable[[Writing, int], Awaitable[object]]
"""A verb taking the transaction and the subject's id. It may run, be undone and run again: what it does stands in the
transaction and nowhere else. Called after the alarm's `not_after` it finds in `w.late` by how much."""

BATCH, FIRST_BATCH = 100, 10
"""Alarms a transaction at most, and at first. It grows while they are done in time, and shrinks when they are not."""
BATCH_SECONDS = 0.1
"""A batch begins no further alarm after so long: no writer holds back the journal for long."""
LOCK_MILLISECONDS = 50
"""How long an alarm among others waits for a lock. It is less than it takes the database to look for a circle of
waiters, so that a batch never is part of one; whoever has to wait longer does so in a transaction of his own."""
HUNG_SECONDS, LONE_SECONDS = 5.0, 8.0
"""After so long a batch is cut off, and an alarm that is on its own."""
SWEEP_SECONDS = 5.0
"""A sweep ends after so long though there is more; the next one follows at once."""
AHEAD_SECONDS = 1.0
"""An alarm due this soon gets its sweep at its moment; others are found by the clock's sweeps."""
GATHER_SECONDS = 0.01


@dataclass(frozen=True)
class Late:
    """A kind for which late is a decision: after an alarm's `not_after`, `late` is called instead of `handler`. It
    plans anew; an outage never ends in a burst of what should have been done during it."""

    handler: Handler
    late: Handler


class Alarms:
    """Runs due alarms. `handlers` maps an alarm's kind to its verb; `lateness` takes seconds between due and claimed.

    What is due together is run in one transaction. When one of a batch fails nothing of it stays, and each is run again
    in a transaction of its own: a failing one undoes nothing of its neighbours. `claimers` transactions at a time share
    a backlog.
    """

    def __init__(
        self, book: Book, handlers: Mapping[str, Handler | Late], *, lateness: Recent | None = None, claimers: int = 2
    ) -> None:
        self._book = book
        self._handlers = handlers
        self._lateness = Recent() if lateness is None else lateness
        self._claimers = claimers
        self._most = FIRST_BATCH
        self._wake: asyncio.TimerHandle | None = None

    async def sweep(self) -> int:
        """Runs what is due; how many."""
        until = asyncio.get_running_loop().time() + SWEEP_SECONDS
        count, more = await self._run_batch()
        if more:
            async with asyncio.TaskGroup() as group:
                claiming = [group.create_task(self._drain(until)) for _ in range(self._claimers)]
            drained = [one.result() for one in claiming]
            count += sum(done for done, _ in drained)
            more = any(left for _, left in drained)
        if more:
            self._book.hub.tell(("alarms",))
        else:
            await self._look_ahead()
        return count

    async def _drain(self, until: float) -> tuple[int, bool]:
        """Batch after batch up to the loop's time `until`: how many, and whether there may be more."""
        count, more = 0, True
        while more and asyncio.get_running_loop().time() < until:
            done, more = await self._run_batch()
            count += done
        return count, more

    async def _look_ahead(self) -> None:
        """Wakes the sweep for the next alarm, if it is due soon."""
        async with self._book.reading() as r:
            moment = await alarms.next_due(r.session, r.now)
        if self._wake is not None:
            self._wake.cancel()
        seconds = AHEAD_SECONDS if moment is None else (moment - r.now).total_seconds()
        if seconds < AHEAD_SECONDS:
            loop = asyncio.get_running_loop()
            self._wake = loop.call_later(max(seconds, GATHER_SECONDS), self._book.hub.tell, ("alarms",))

    async def _run_batch(self) -> tuple[int, bool]:
        """How many were run, and whether there may be more."""
        most, tried = self._most, list[Due]()
        try:
            async with asyncio.timeout(HUNG_SECONDS) as limit, self._book.writing() as w:
                held = await alarms.take_due(w.session, w.now, most)
                self._fail_here("claimed", held)
                await self._ring_all(w, held, tried)
                self._fail_here("handled", held)
            self._fail_here("committed", held)
        except Exception as error:
            if not tried or (_of_database(error) and not limit.expired()):
                raise
            if len(held) == 1:
                return int(await self._failed(held[0], error)), True
            log.warning("alarms are run one by one", extra={"error": type(error).__name__, "count": len(tried)})
            return sum([await self._run_alone(due) for due in tried]), True
        for due in tried:
            self._lateness.add((w.now - due.due_at).total_seconds())
        if len(tried) < len(held):
            self._most = len(tried)
        elif len(held) == most:
            self._most = min(2 * most, BATCH)
        return len(tried), len(tried) < len(held) or len(held) == most

    def _fail_here(self, moment: str, held: Sequence[Due]) -> None:
        if held:
            fail_here(f"alarms.{moment}")

    async def _ring_all(self, w: Writing, held: Sequence[Due], tried: list[Due]) -> None:
        """Rings them in their order as far as the time goes. Whatever is begun is put among the `tried`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + BATCH_SECONDS
        if len(held) > 1:
            await alarms.wait_for_locks(w.session, LOCK_MILLISECONDS)
        moved: list[int] = []
        for due in held:
            tried.append(due)
            # A neighbour before it may have set it anew, or silenced it: then it is not due any more.
            if (due.kind, due.subject_id) in w.session.alarms_moved:
                moved.append(due.id)
            else:
                await self._ring(w, due)
            if loop.time() >= until:
                break
        unheard = held[len(tried) :]
        moved += [due.id for due in unheard if (due.kind, due.subject_id) in w.session.alarms_moved]
        await alarms.leave(w.session, moved=moved, unheard=[due.id for due in unheard if due.id not in moved])

    async def _run_alone(self, due: Due) -> bool:
        """False when another claimer has it."""
        try:
            async with asyncio.timeout(LONE_SECONDS) as limit, self._book.writing() as w:
                again = await alarms.take(w.session, due.id, w.now)
                if again is None:
                    return False
                await self._ring(w, again)
        except Exception as error:
            if _of_database(error) and not limit.expired():
                raise
            return await self._failed(due, error)
        self._lateness.add((w.now - due.due_at).total_seconds())
        return True

    async def _ring(self, w: Writing, due: Due) -> None:
        w.late = w.now - due.not_after if due.not_after is not None and w.now > due.not_after else None
        if w.late is not None:
            w.fact("alarm.late", subject_id=due.id, what=due.kind, seconds=round(w.late.total_seconds(), 3))
        await self._handler(due.kind, late=w.late is not None)(w, due.subject_id)
        # The next one sees what this one did, not what was read before it.
        await w.session.forget()

    def _handler(self, kind: str, *, late: bool) -> Handler:
        if kind not in self._handlers:
            raise LookupError("nobody here knows this kind of alarm")
        known = self._handlers[kind]
        if isinstance(known, Late):
            return known.late if late else known.handler
        return known

    async def _failed(self, due: Due, error: Exception) -> bool:
        """Later again, 2 s after the first failure, four times as long after each. A kind nobody knows is kept too: in
        the middle of a change of version another replica may know it. False when another claimer has had it since."""
        async with self._book.writing() as w:
            alarm = await w.session.locked(Alarm, due.id)
            if alarm is None or alarm.state is not AlarmState.pending or alarm.due_at > w.now:
                return False
            state = await alarms.count_failure(w.session, alarm, w.now + timedelta(seconds=2 * 4.0**alarm.failures))
            if state is AlarmState.parked:
                w.fact("alarm.parked", subject_id=due.id, what=due.kind)
        log.error("alarm failed", exc_info=error, extra={"alarm": due.id, "kind": due.kind, "state": state.value})
        return True


def _of_database(error: Exception) -> bool:
    """Whether the database went away, which is nobody's failure."""
    return lost_connection(error) and not too_slow(error)
