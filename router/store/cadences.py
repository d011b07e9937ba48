"""Enrolments as queries."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from router.model.cadences import Enrolment, EnrolmentState
from router.model.quotes import Quote
from router.model.tasks import Task, TaskKind, TaskState
from router.store.db import WriteSession


async def enrol(session: WriteSession, quote: Quote, reason: str, now: datetime) -> int | None:
    """A new enrolment's id; None when this quiet was enrolled before, or the person is in another cadence."""
    rows = await session.execute(
        insert(Enrolment)
        .values(
            campaign_id=quote.campaign_id, quote_id=quote.id, contact_id=quote.contact_id, lead_id=quote.lead_id,
            state=EnrolmentState.awaiting_agent, reason=reason, idle_base=quote.idle_base, created_at=now,
            exit_reason="",
        )
        .on_conflict_do_nothing()
        .returning(Enrolment.id)
    )
    return rows[0][0] if rows else None


async def live_of_quote(session: WriteSession, quote_id: int) -> Enrolment | None:
    """The quote's enrolment that has not ended, locked."""
    return await session.scalar(
        select(Enrolment)
        .where(Enrolment.quote_id == quote_id, Enrolment.state != EnrolmentState.exited)
        .with_for_update()
    )


async def waiting_of_contact(session: WriteSession, contact_id: int) -> Sequence[int]:
    """The nurture calls to this person that still wait for an agent, rising."""
    return await session.scalars(
        select(Task.id).where(
            Task.contact_id == contact_id, Task.kind == TaskKind.nurture,
            Task.state.in_((TaskState.queued, TaskState.scheduled)),
        ).order_by(Task.id)
    )


async def waiting_task(session: WriteSession, quote_id: int) -> Task | None:
    """The nurture call of this quote that still waits for an agent."""
    return await session.scalar(
        select(Task).where(
            Task.quote_id == quote_id,
            Task.kind == TaskKind.nurture,
            Task.state.in_((TaskState.queued, TaskState.scheduled)),
        )
    )
