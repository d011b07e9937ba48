"""Rooms as queries: who is in one, and what the two browsers tell each other."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from router.model.base import vouched
from router.model.conversations import ROOM_LIFE, SIGNAL_LIFE, Room, Side, Signal
from router.model.tasks import Task
from router.store.db import ReadSession, WriteSession

MOST_SIGNALS = 400
"""How many signals may wait in a room for one side: a page that loops fills no disk."""


async def find(session: ReadSession, task_id: int) -> Room | None:
    """The room of a task, if somebody has been at its door."""
    return await session.scalar(select(Room).where(Room.task_id == task_id))


async def of_task(session: WriteSession, task: Task, now: datetime) -> Room:
    """The room of a task, locked; made when there is none yet."""
    await session.execute(
        insert(Room)
        .values(task_id=task.id, lead_id=task.lead_id, created_at=now, expires_at=now + ROOM_LIFE)
        .on_conflict_do_nothing()
    )
    return vouched(await session.scalar(
        select(Room)
        .where(Room.task_id == task.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ))


async def tell(session: WriteSession, room: Room, receiver: Side, body: Mapping[str, Any], now: datetime) -> int | None:
    """Leaves a signal for one side; its id. None when too many wait already. What has expired, anywhere, is wiped."""
    await session.execute(delete(Signal).where(Signal.expires_at <= now))
    waiting = await session.scalar(
        select(func.count()).select_from(Signal).where(Signal.room_id == room.id, Signal.receiver == receiver)
    )
    if (waiting or 0) >= MOST_SIGNALS:
        return None
    signal = Signal(room_id=room.id, receiver=receiver, body=dict(body), expires_at=now + SIGNAL_LIFE)
    session.add(signal)
    await session.flush()
    return signal.id


async def latest(session: ReadSession, room_id: int) -> int:
    """The id of the room's newest signal, for who comes in now; 0 for none."""
    return await session.scalar(select(func.coalesce(func.max(Signal.id), 0)).where(Signal.room_id == room_id)) or 0


async def signals(session: ReadSession, room_id: int, receiver: Side, after: int) -> Sequence[Signal]:
    """What one side has not heard yet, in order."""
    return await session.scalars(
        select(Signal)
        .where(Signal.room_id == room_id, Signal.receiver == receiver, Signal.id > after)
        .order_by(Signal.id)
        .limit(100)
    )


async def wipe(session: WriteSession, room_id: int) -> None:
    """Forgets all that was signalled."""
    await session.execute(delete(Signal).where(Signal.room_id == room_id))
