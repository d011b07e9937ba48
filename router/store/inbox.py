"""The inbox as queries."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.dialects.postgresql import insert

from router.model.inbox import MAX_FAILURES, InboxRow, InboxState
from router.store.db import ReadSession, WriteSession


async def put(
    session: WriteSession, now: datetime, source: str, dedupe_key: str, *, path: str, headers: Mapping[str, str],
    body: bytes, fetching: bool = False,
) -> bool:
    """Stores a message as it came. False when the same one is here already. `fetching`: see InboxRow."""
    statement = insert(InboxRow).values(
        source=source, dedupe_key=dedupe_key, path=path, headers=dict(headers), body=body, received_at=now, due_at=now,
        state=InboxState.waiting, failures=0, fetching=fetching, lease=0,
    )
    return bool(await session.execute(statement.on_conflict_do_nothing().returning(InboxRow.id)))


async def next_waiting(session: WriteSession, now: datetime) -> InboxRow | None:
    """The first due message, locked; those another replica works on are skipped."""
    return await session.scalar(
        select(InboxRow)
        .where(InboxRow.state == InboxState.waiting, InboxRow.due_at <= now, InboxRow.fetching.is_(False))
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


async def park(session: WriteSession, row_id: int, now: datetime) -> None:
    """Nothing will come of it by trying again: it is left for a person to see."""
    await session.execute(
        update(InboxRow)
        .where(InboxRow.id == row_id, InboxRow.state == InboxState.waiting)
        .values(state=InboxState.parked, failures=InboxRow.failures + 1)
    )


async def claim_fetches(session: WriteSession, now: datetime, until: datetime, limit: int) -> Sequence[InboxRow]:
    """Due announcements, ours until then: who dies meanwhile leaves them to the next one."""
    due = (
        select(InboxRow.id)
        .where(InboxRow.state == InboxState.waiting, InboxRow.fetching.is_(True), InboxRow.due_at <= now)
        .order_by(InboxRow.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = await session.execute(
        update(InboxRow)
        .where(InboxRow.id.in_(due))
        .values(due_at=until, lease=InboxRow.lease + 1)
        .returning(InboxRow)
        .execution_options(populate_existing=True)
    )
    return [row[0] for row in rows]


def _mine(row: InboxRow) -> list[ColumnElement[bool]]:
    return [
        InboxRow.id == row.id, InboxRow.state == InboxState.waiting, InboxRow.fetching.is_(True),
        InboxRow.lease == row.lease,
    ]


async def fetched(session: WriteSession, row: InboxRow, answer: bytes, now: datetime) -> bool:
    """Keeps what was fetched; it is understood like any message then. False when the lease went to somebody else."""
    rows = await session.execute(
        update(InboxRow)
        .where(*_mine(row))
        .values(answer=answer, fetching=False, due_at=now, failures=0)
        .returning(InboxRow.id)
    )
    return bool(rows)


async def not_fetched(session: WriteSession, row: InboxRow, again_at: datetime | None) -> bool:
    """To be fetched again then; None parks it, visible. False when the lease went to somebody else."""
    state = InboxState.waiting if again_at else InboxState.parked
    rows = await session.execute(
        update(InboxRow)
        .where(*_mine(row))
        .values(state=state, failures=InboxRow.failures + 1, due_at=again_at or InboxRow.due_at)
        .returning(InboxRow.id)
    )
    return bool(rows)


async def oldest_waiting(session: ReadSession) -> datetime | None:
    """When the message that waits longest came."""
    return await session.scalar(select(func.min(InboxRow.received_at)).where(InboxRow.state == InboxState.waiting))


async def empty(session: WriteSession, before: datetime, limit: int) -> int:
    """Drops what stood in messages understood before this moment (aware); their keys stay. How many."""
    old = (
        select(InboxRow.id)
        .where(InboxRow.state == InboxState.done, InboxRow.ended_at < before, InboxRow.body != b"")
        .order_by(InboxRow.ended_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = await session.execute(
        update(InboxRow)
        .where(InboxRow.id.in_(old))
        .values(path="", headers={}, body=b"", answer=None)
        .returning(InboxRow.id)
    )
    return len(rows)
