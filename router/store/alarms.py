"""Alarms as queries. A handler sets and cancels alarms by these: what is due beside it in its transaction must hear of
it. Statements of other files only set alarms for rows they have just made, or are no handler's.

The conditions of the partial indexes stand in words, not as parameters: once PostgreSQL plans a statement for any value
it finds no index for it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, DateTime, bindparam, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY

from router.model.alarms import MAX_FAILURES, Alarm, AlarmState
from router.store.db import ReadSession, WriteSession


class Due(NamedTuple):
    """A due alarm as claimed: nobody else's until the transaction ends."""

    id: int
    kind: str
    subject_id: int
    due_at: datetime
    not_after: datetime | None


_SET = text(
    """
    insert into alarms (kind, subject_id, due_at, not_after, state, failures)
    values (:kind, :subject_id, :due_at, :not_after, 'pending', 0)
    on conflict (kind, subject_id) where state = 'pending'
    do update set due_at = excluded.due_at, not_after = excluded.not_after, failures = 0
    """
).bindparams(
    bindparam("due_at", type_=DateTime(timezone=True)), bindparam("not_after", type_=DateTime(timezone=True))
)


async def set_alarm(
    session: WriteSession, kind: str, subject_id: int, due_at: datetime, *, not_after: datetime | None = None
) -> None:
    """One pending alarm of a kind for a subject: setting it again moves it.

    Claimed later than `not_after` it is too late for what was meant: the kind's `Late` handler decides what becomes of
    it.
    """
    values = {"kind": kind, "subject_id": subject_id, "due_at": due_at, "not_after": not_after}
    session.alarms_moved.add((kind, subject_id))
    await session.execute(_SET, values)


_CANCEL = text(
    "update alarms set state = 'canceled', ended_at = :now "
    "where kind = :kind and subject_id = :subject_id and state = 'pending'"
).bindparams(bindparam("now", type_=DateTime(timezone=True)))


async def cancel(session: WriteSession, kind: str, subject_id: int, now: datetime) -> None:
    """Cancels the pending alarm, if there is one."""
    session.alarms_moved.add((kind, subject_id))
    await session.execute(_CANCEL, {"kind": kind, "subject_id": subject_id, "now": now})


# Done before the handler runs: it may set the same alarm anew. The rows are named by an array: joined with the limited
# select, of which PostgreSQL cannot know how few it gives, it would look through the whole table.
_TAKE = text(
    """
    update alarms set state = 'done', ended_at = :now where id = any(array(
      select id from alarms where state = 'pending' and due_at <= :now
      order by due_at, id limit :most for update skip locked))
    returning id, kind, subject_id, due_at, not_after
    """
).bindparams(bindparam("now", type_=DateTime(timezone=True)))

_TAKE_ONE = text(
    """
    update alarms set state = 'done', ended_at = :now where id = any(array(
      select id from alarms where id = :id and state = 'pending' and due_at <= :now for update skip locked))
    returning id, kind, subject_id, due_at, not_after
    """
).bindparams(bindparam("now", type_=DateTime(timezone=True)))


async def take_due(session: WriteSession, now: datetime, most: int) -> list[Due]:
    """Marks due alarms done, the oldest first; those another claimer holds are skipped. It is true when the transaction
    commits, in which their handlers run."""
    rows = await session.execute(_TAKE, {"now": now, "most": most})
    return sorted((Due._make(row) for row in rows), key=lambda due: (due.due_at, due.id))


async def take(session: WriteSession, alarm_id: int, now: datetime) -> Due | None:
    """As `take_due` with this one alone, if it is still due and nobody else holds it."""
    rows = await session.execute(_TAKE_ONE, {"id": alarm_id, "now": now})
    return Due._make(rows[0]) if rows else None


_LEAVE = text(
    """
    update alarms set state = case when id = any(:moved) then 'canceled' else 'pending' end,
      ended_at = case when id = any(:moved) then ended_at end
    where id = any(:moved) or id = any(:unheard)
    """
).bindparams(bindparam("moved", type_=ARRAY(BigInteger)), bindparam("unheard", type_=ARRAY(BigInteger)))


async def leave(session: WriteSession, *, moved: Sequence[int] = (), unheard: Sequence[int] = ()) -> None:
    """Of what this transaction took: those that were moved or canceled before their turn came have not rung, and those
    whose turn did not come are pending as before."""
    if moved or unheard:
        await session.execute(_LEAVE, {"moved": [*moved], "unheard": [*unheard]})


async def wait_for_locks(session: WriteSession, milliseconds: int) -> None:
    """How long this transaction waits for a lock from now on."""
    await session.execute(text("select set_config('lock_timeout', :most, true)"), {"most": str(milliseconds)})


async def count_failure(session: WriteSession, alarm: Alarm, again_at: datetime) -> AlarmState:
    """Tries again later; the fifth failure parks it, visible."""
    failures = alarm.failures + 1
    state = AlarmState.parked if failures >= MAX_FAILURES else AlarmState.pending
    await session.execute(
        update(Alarm).where(Alarm.id == alarm.id).values(failures=failures, due_at=again_at, state=state)
    )
    return state


async def parked(session: ReadSession, most: int) -> Sequence[Alarm]:
    """Those that failed five times and wait for a person, the oldest first."""
    return await session.scalars(
        select(Alarm).where(text("alarms.state = 'parked'")).order_by(Alarm.id).limit(most)
    )


async def is_pending(session: ReadSession, kind: str, subject_id: int) -> bool:
    """Whether the same is to be done at some moment."""
    found = await session.scalar(
        select(Alarm.id).where(text("alarms.state = 'pending'"), Alarm.kind == kind, Alarm.subject_id == subject_id)
    )
    return found is not None


async def oldest_due(session: ReadSession, now: datetime) -> datetime | None:
    """When the most overdue alarm was due."""
    return await session.scalar(
        select(Alarm.due_at)
        .where(text("alarms.state = 'pending'"), Alarm.due_at <= now)
        .order_by(Alarm.due_at)
        .limit(1)
    )


_NEXT = text("select min(due_at) from alarms where state = 'pending' and due_at > :now").bindparams(
    bindparam("now", type_=DateTime(timezone=True))
)


async def next_due(session: ReadSession, now: datetime) -> datetime | None:
    """When the next alarm will be due, of those that are not due yet."""
    moment: datetime | None = (await session.rows(_NEXT, {"now": now}))[0][0]
    return moment


_PURGE = text(
    """
    delete from alarms where id in (
      select id from alarms where state in ('done', 'canceled') and ended_at < :before
      order by ended_at limit :most for update skip locked)
    returning 1
    """
).bindparams(bindparam("before", type_=DateTime(timezone=True)), bindparam("most", type_=BigInteger))


async def purge(session: WriteSession, before: datetime, most: int) -> int:
    """Forgets at most so many of those that were over before a moment; how many. What is parked stays."""
    values: dict[str, Any] = {"before": before, "most": most}
    return len(await session.execute(_PURGE, values))
