"""Alarms as queries."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert

from router.model.alarms import MAX_FAILURES, Alarm, AlarmState
from router.store.db import ReadSession, WriteSession


async def set_alarm(session: WriteSession, kind: str, subject_id: int, due_at: datetime) -> None:
    """One pending alarm of a kind for a subject: setting it again moves it."""
    statement = insert(Alarm).values(
        kind=kind, subject_id=subject_id, due_at=due_at, state=AlarmState.pending, failures=0
    )
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["kind", "subject_id"],
            # Words, not a parameter: once PostgreSQL plans the statement for any value it finds no index for it.
            index_where=text("state = 'pending'"),
            set_={"due_at": due_at, "failures": 0},
        )
    )


async def cancel(session: WriteSession, kind: str, subject_id: int, now: datetime) -> None:
    """Cancels the pending alarm, if there is one."""
    await session.execute(
        update(Alarm)
        .where(Alarm.kind == kind, Alarm.subject_id == subject_id, Alarm.state == AlarmState.pending)
        .values(state=AlarmState.canceled, ended_at=now)
    )


async def claim_due(session: WriteSession, now: datetime, limit: int) -> Sequence[Alarm]:
    """The due alarms, oldest first, locked until the transaction ends; those another replica holds are skipped."""
    return await session.scalars(
        select(Alarm)
        .where(Alarm.state == AlarmState.pending, Alarm.due_at <= now)
        .order_by(Alarm.due_at, Alarm.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )


async def finish(session: WriteSession, alarm_id: int, now: datetime) -> None:
    await session.execute(
        update(Alarm)
        .where(Alarm.id == alarm_id, Alarm.state == AlarmState.pending)
        .values(state=AlarmState.done, ended_at=now)
    )


async def count_failure(session: WriteSession, alarm: Alarm, again_at: datetime) -> AlarmState:
    """Tries again later; the fifth failure parks it, visible."""
    failures = alarm.failures + 1
    state = AlarmState.parked if failures >= MAX_FAILURES else AlarmState.pending
    await session.execute(
        update(Alarm).where(Alarm.id == alarm.id).values(failures=failures, due_at=again_at, state=state)
    )
    return state


async def oldest_due(session: ReadSession, now: datetime) -> datetime | None:
    """When the most overdue alarm was due."""
    return await session.scalar(
        select(Alarm.due_at)
        .where(Alarm.state == AlarmState.pending, Alarm.due_at <= now)
        .order_by(Alarm.due_at)
        .limit(1)
    )
