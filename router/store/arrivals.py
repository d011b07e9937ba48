"""Arrivals as queries, and which campaign one of our numbers belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select, tuple_

from router.model.arrivals import Arrival, ArrivalState
from router.model.campaigns import Campaign, Number, Queue
from router.model.contacts import Contact
from router.model.tasks import Task, TaskState
from router.store.db import ReadSession, WriteSession


@dataclass(frozen=True)
class Route:
    """Whose number it is; `source` is what its leads are said to come from."""

    campaign: Campaign
    queue: Queue
    source: str = ""


async def route_of(session: ReadSession, dialled: str, caller: str) -> Route | None:
    """Where a number of ours leads: as it is configured, or else to the campaign that calls, texts or writes from it,
    rather one that knows the caller. None for a number that is not ours."""
    named = await session.rows(
        select(Campaign, Queue, Number.source)
        .join(Number, Number.campaign_id == Campaign.id)
        .join(Queue, Queue.id == Number.queue_id)
        .where(Number.phone == dialled)
    )
    if named:
        return Route(named[0][0], named[0][1], named[0][2])
    knows = select(Contact.id).where(Contact.campaign_id == Campaign.id, Contact.phone == caller).exists()
    ours = await session.rows(
        select(Campaign, Queue)
        .join(Queue, Queue.campaign_id == Campaign.id)
        .where(or_(*(column == dialled for column in (Campaign.caller_id, Campaign.sender, Campaign.whatsapp))))
        .order_by(knows.desc(), Campaign.id, Queue.id)
        .limit(1)
    )
    return Route(ours[0][0], ours[0][1]) if ours else None


def _locked(*where: Any) -> Any:
    return select(Arrival).where(*where).with_for_update(key_share=True).execution_options(populate_existing=True)


async def by_call(session: WriteSession, carrier_id: str) -> Arrival | None:
    """The arrival of this call, not locked: its task and call are locked first."""
    return await session.scalar(
        select(Arrival).where(Arrival.carrier_id == carrier_id).execution_options(populate_existing=True)
    )


async def by_ref(session: ReadSession, ref: str) -> Arrival | None:
    return await session.scalar(select(Arrival).where(Arrival.ref == ref))


async def waiting_for(session: WriteSession, task_id: int) -> Arrival | None:
    """Who waits on the line for this task, locked; of several the last to call."""
    found: Arrival | None = await session.scalar(
        _locked(Arrival.task_id == task_id, Arrival.state == ArrivalState.waiting).order_by(Arrival.id.desc()).limit(1)
    )
    return found


async def calls_since(session: ReadSession, caller: str, since: datetime) -> int:
    """How often this number has called since then."""
    return await session.scalar(
        select(func.count()).select_from(Arrival).where(Arrival.caller == caller, Arrival.created_at > since)
    ) or 0


async def ahead_of(session: ReadSession, task: Task, most: int) -> int:
    """How many in the task's pool are served before it, counted up to `most`."""
    before = (
        select(Task.id)
        .where(
            Task.pool == task.pool,
            Task.state == TaskState.queued,
            tuple_(Task.tier, Task.rank, Task.id) < tuple_(task.tier, task.rank, task.id),
        )
        .limit(most)
        .subquery()
    )
    return await session.scalar(select(func.count()).select_from(before)) or 0


async def silent(session: ReadSession, before: datetime, limit: int) -> Sequence[Arrival]:
    """Calls on the line of which the carrier has said nothing since then, the longest silent first."""
    return await session.scalars(
        select(Arrival)
        .where(Arrival.hung_up_at.is_(None), Arrival.heard_at < before)
        .order_by(Arrival.heard_at)
        .limit(limit)
    )
