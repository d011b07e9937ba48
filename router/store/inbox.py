"""The inbox as queries."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from router.model.inbox import MAX_FAILURES, InboxRow, InboxState
from router.store.db import ReadSession, WriteSession


async def put(
    session: WriteSession, now: datetime, source: str, dedupe_key: str, *, path: str, headers: Mapping[str, str],
    body: bytes,
) -> bool:
    """Stores a message as it came. False when the same one is here already."""
    statement = insert(InboxRow).values(
        source=source, dedupe_key=dedupe_key, path=path, headers=dict(headers), body=body, received_at=now, due_at=now,
        state=InboxState.waiting, failures=0,
    )
    return bool(await session.execute(statement.on_conflict_do_nothing().returning(InboxRow.id)))


async def next_waiting(session: WriteSession, now: datetime) -> InboxRow | None:
    """The first due message, locked; those another replica works on are skipped."""
    return await session.scalar(
        select(InboxRow)
        .where(InboxRow.state == InboxState.waiting, InboxRow.due_at <= now)
        .order_by(InboxRow.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


async def finish(session: WriteSession, row_id: int, now: datetime) -> None:
    await session.execute(
        update(InboxRow)
        .where(InboxRow.id == row_id, InboxRow.state == InboxState.waiting)
        .values(state=InboxState.done, ended_at=now)
    )


async def count_failure(session: WriteSession, row_id: int, failures: int, now: datetime) -> InboxState:
    """Tries again later, 1 s after the first failure and twice as long after each; the fifth parks it, visible."""
    failures += 1
    state = InboxState.parked if failures >= MAX_FAILURES else InboxState.waiting
    await session.execute(
        update(InboxRow)
        .where(InboxRow.id == row_id, InboxRow.state == InboxState.waiting)
        .values(failures=failures, due_at=now + timedelta(seconds=2.0 ** (failures - 1)), state=state)
    )
    return state


async def oldest_waiting(session: ReadSession) -> datetime | None:
    """When the message that waits longest came."""
    return await session.scalar(select(func.min(InboxRow.received_at)).where(InboxRow.state == InboxState.waiting))
