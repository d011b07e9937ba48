"""Resuming as queries: another task for a lead that has come back by its link."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from router.model.campaigns import Queue, Site
from router.model.leads import Lead
from router.model.tasks import TIER_NOW, TIER_PROMISE, Task, TaskKind, TaskState, placed
from router.store.db import ReadSession, WriteSession


async def queue_of(session: ReadSession, lead: Lead) -> Queue | None:
    """The line this lead was in last, else its landing page's."""
    return await session.scalar(
        select(Queue).join(Task, Task.queue_id == Queue.id).where(Task.lead_id == lead.id).order_by(Task.id.desc())
        .limit(1)
    ) or await session.scalar(
        select(Queue).join(Site, Site.queue_id == Queue.id).where(Site.id == lead.site_id)
    )


async def call_task(session: WriteSession, lead: Lead, queue: Queue, now: datetime, *, later: bool) -> int | None:
    """A task to call this person, queued, or scheduled for `later`. None: he is waiting for a call already (a unique
    index says so, whoever was sooner)."""
    rows = await session.execute(
        insert(Task).values(
            **placed(queue.line, TaskKind.call, TIER_PROMISE if later else TIER_NOW, now), lead_id=lead.id,
            contact_id=lead.contact_id,
            state=TaskState.scheduled if later else TaskState.queued, enqueued_at=now,
        ).on_conflict_do_nothing().returning(Task.id)
    )
    return rows[0][0] if rows else None
