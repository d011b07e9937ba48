"""Tasks and reservations as queries."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, bindparam, select, text
from sqlalchemy.dialects.postgresql import insert

from router.model.agents import Agent
from router.model.base import vouched
from router.model.campaigns import Queue
from router.model.contacts import Contact
from router.model.tasks import HELD, Reservation, ReservationState, Task, TaskKind, TaskState
from router.store.db import ReadSession, WriteSession

# Whether a lead, or one attached to it, is its person's own request for a call: a place on a list is none, and a cart
# left behind is none. What an agent made by hand counts when the person has asked for the call in his hearing; the
# receipt says so.
_ASKED_FOR = text(
    """
    select 1 from leads l join contacts c on c.id = l.contact_id
    where l.contact_id = any(select contact_id from leads where id = :lead_id union select :contact_id)
      and (l.id = :lead_id or l.attached_to = :lead_id) and l.intent not in ('list', 'cart')
      and (l.source->>'party' is distinct from 'agent' and (c.renumbered_at is null or l.created_at > c.renumbered_at)
           or exists (select from receipts r where r.lead_id = l.id and 'requested' = any(r.purposes)
             and (c.renumbered_at is null or r.given_at > c.renumbered_at)))
    limit 1
    """
).bindparams(bindparam("contact_id", type_=BigInteger))

# Somebody who waits is asked for anew, more urgently: his one task moves up; it never moves down.
_HURRY = text(
    """
    update tasks set tier = m.tier,
      lane = regexp_replace(tasks.lane, '^([0-9]+/[0-9]+)/[0-9]+/', '\\1/' || m.tier || '/')
    from unnest(:lead_ids, :tiers) as m(lead_id, tier) join leads l on l.id = m.lead_id
    where tasks.lead_id = l.attached_to and tasks.kind = 'call' and tasks.state = 'queued' and tasks.tier > m.tier
    returning tasks.id
    """
).bindparams(bindparam("lead_ids", type_=ARRAY(BigInteger)), bindparam("tiers", type_=ARRAY(BigInteger)))


async def queue_of(session: ReadSession, task: Task) -> Queue:
    queue = vouched(await session.get(Queue, task.queue_id))
    return queue


async def newest_of_lead(session: ReadSession, lead_id: int) -> Task | None:
    """The lead's latest task."""
    return await session.scalar(select(Task).where(Task.lead_id == lead_id).order_by(Task.id.desc()).limit(1))


async def waiting_of_number(session: ReadSession, phone: str) -> Sequence[int]:
    """The ids of the waiting tasks of everybody with this telephone number, in any campaign, rising."""
    return await session.scalars(
        select(Task.id)
        .join(Contact, Contact.id == Task.contact_id)
        .where(Contact.phone == phone, Task.state.in_((TaskState.queued, TaskState.scheduled)))
        .order_by(Task.id)
    )


async def ringing_since(session: ReadSession, after: datetime, before: datetime) -> Sequence[int]:
    """The agents at whom a ring began in this span and still rings."""
    return await session.scalars(
        select(Reservation.agent_id).where(
            Reservation.state == ReservationState.pending,
            Reservation.created_at > after,
            Reservation.created_at <= before,
        )
    )


async def with_us(session: ReadSession, contact_id: int) -> bool:
    """Whether the person waits for somebody here, or somebody is busy with him."""
    found = await session.scalar(
        select(Task.id).where(Task.contact_id == contact_id, Task.state.in_((TaskState.queued, *HELD))).limit(1)
    )
    return found is not None


# The states stand as words, so that the partial indexes are used: there is none over all of a person's tasks.
_LIVE_OF_CONTACT = (
    select(Task)
    .where(text(
        "tasks.id in (select id from tasks where contact_id = :contact and kind <> 'nurture' "
        "and state in ('queued','reserved','connecting','engaged') "
        "union all select id from tasks where state in ('connecting','engaged') and agent_id is not null "
        "and contact_id = :contact and kind = 'nurture')"
    ))
    .order_by(Task.id)
    .with_for_update(key_share=True)
    .execution_options(populate_existing=True)
)


async def live_of_contact(session: WriteSession, contact_id: int) -> Sequence[Task]:
    """The tasks in which the person waits for somebody, or somebody is with him, locked."""
    found = await session.scalars(_LIVE_OF_CONTACT, {"contact": contact_id})
    return [task for task in found if not task.state.final and task.state is not TaskState.wrapping]


async def enqueue(session: WriteSession, values: Mapping[str, Any]) -> int | None:
    """A new task's id; None when its person already waits for the same."""
    made = await session.execute(insert(Task).values(values).on_conflict_do_nothing().returning(Task.id))
    return made[0][0] if made else None


async def held_by(session: ReadSession, agent_id: int, contact_id: int) -> Task | None:
    """The task in which this agent is with this person."""
    return await session.scalar(
        select(Task).where(
            Task.agent_id == agent_id, Task.contact_id == contact_id,
            Task.state.in_((TaskState.connecting, TaskState.engaged)),
        )
    )


async def pending_reservation(session: ReadSession, task_id: int) -> Reservation | None:
    """The reservation that rings for this task."""
    return await session.scalar(
        select(Reservation).where(Reservation.task_id == task_id, Reservation.state == ReservationState.pending)
    )


async def left_alone(session: WriteSession, gone_since: datetime) -> Sequence[Task]:
    """Chats and video talks whose agents' browsers have not answered since then, locked; those another replica holds
    are skipped."""
    return await session.scalars(
        select(Task)
        .join(Agent, Agent.id == Task.agent_id)
        .where(
            text("tasks.state = 'engaged' and tasks.kind in ('chat','video')"), Task.engaged_at < gone_since,
            Agent.heartbeat_at.is_(None) | (Agent.heartbeat_at < gone_since),
        )
        .order_by(Task.id)
        .with_for_update(skip_locked=True, key_share=True, of=Task)
        .execution_options(populate_existing=True)
    )


async def asked_for(session: ReadSession, lead_id: int, contact_id: int) -> bool:
    """Whether the person asked for this call himself, in this lead or in one that is attached to it. Who has another
    number since did not ask to be called there."""
    return bool(await session.rows(_ASKED_FOR, {"lead_id": lead_id, "contact_id": contact_id}))


async def hurry(session: WriteSession, tiers: Mapping[int, int]) -> None:
    """Moves up the waiting calls these leads, just attached to them, ask for with a more urgent tier."""
    await session.execute(_HURRY, {"lead_ids": list(tiers), "tiers": list(tiers.values())})


async def waiting_call_of(session: WriteSession, contact_id: int) -> Task | None:
    """The call this person waits for or is in, locked."""
    return await session.scalar(
        select(Task)
        .where(Task.contact_id == contact_id, Task.kind == TaskKind.call, Task.state.in_((TaskState.queued, *HELD)))
        .order_by(Task.id)
        .limit(1)
        .with_for_update()
    )
