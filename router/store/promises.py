"""Promises as queries: places in slots, and whose promise it is."""

from datetime import datetime

from sqlalchemy import func, select, text

from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.conversations import Channel, Conversation
from router.model.leads import Lead
from router.model.promises import OPEN, Promise, SlotLoad
from router.model.tasks import Task, TaskKind, TaskState
from router.store.db import ReadSession, WriteSession

# Two at once for the last place: the second waits for the first one's row, then finds it full.
_TAKE_PLACE = text(
    """
    insert into slot_loads as s (queue_id, starts_at, taken)
    select :queue_id, :starts_at, 1 where :capacity > 0
    on conflict (queue_id, starts_at) do update set taken = s.taken + 1 where s.taken < :capacity
    returning taken
    """
)
_FREE_PLACE = text(
    "update slot_loads set taken = taken - 1 where queue_id = :queue_id and starts_at = :starts_at and taken > 0"
)


async def take_place(session: WriteSession, queue_id: int, starts_at: datetime, capacity: int) -> bool:
    """Takes one of the slot's `capacity` places, if one is left."""
    values = {"queue_id": queue_id, "starts_at": starts_at, "capacity": capacity}
    return bool(await session.execute(_TAKE_PLACE, values))


async def free_place(session: WriteSession, queue_id: int, starts_at: datetime) -> None:
    await session.execute(_FREE_PLACE, {"queue_id": queue_id, "starts_at": starts_at})


async def taken(session: ReadSession, queue_id: int, start: datetime, end: datetime) -> dict[datetime, int]:
    """How many places are taken in the queue's slots that begin between two moments."""
    rows = await session.rows(
        select(SlotLoad.starts_at, SlotLoad.taken).where(
            SlotLoad.queue_id == queue_id, SlotLoad.starts_at >= start, SlotLoad.starts_at <= end
        )
    )
    return {row[0]: row[1] for row in rows}


async def held_by(session: ReadSession, holder: bytes, now: datetime) -> int:
    """How many slots this holder holds at `now`."""
    found = await session.scalar(
        select(func.count(Promise.id)).where(
            Promise.holder == holder, Promise.state == text("'held'"), Promise.held_until > now
        )
    )
    return found or 0


async def of_hold(session: ReadSession, hold_hash: bytes) -> Promise | None:
    """The promise that this hold is, in whatever state."""
    return await session.scalar(select(Promise).where(Promise.hold_hash == hold_hash))


async def open_of_task(session: ReadSession, task_id: int) -> Promise | None:
    return await session.scalar(select(Promise).where(Promise.task_id == task_id, Promise.state.in_(OPEN)))


async def open_of_contact(session: ReadSession, contact_id: int) -> Promise | None:
    return await session.scalar(select(Promise).where(Promise.contact_id == contact_id, Promise.state.in_(OPEN)))


async def newest_of_lead(session: ReadSession, lead_id: int) -> Promise | None:
    """The promise last made for this lead, in whatever state."""
    return await session.scalar(select(Promise).where(Promise.lead_id == lead_id).order_by(Promise.id.desc()).limit(1))


async def made_for(session: ReadSession, lead_id: int, since: datetime) -> int:
    """How many promises were made to this lead since then (aware)."""
    found = await session.scalar(
        select(func.count(Promise.id)).where(Promise.lead_id == lead_id, Promise.created_at >= since)
    )
    return found or 0


async def lead_of_link(session: ReadSession, link_hash: bytes) -> int | None:
    """The lead whose promise's text message holds this link."""
    return await session.scalar(select(Promise.lead_id).where(Promise.link_hash == link_hash))


async def live_task(session: ReadSession, contact_id: int, kind: TaskKind) -> Task | None:
    """The task in which this person waits or talks, if he does."""
    live = (TaskState.queued, TaskState.reserved, TaskState.connecting, TaskState.engaged)
    return await session.scalar(
        select(Task).where(Task.contact_id == contact_id, Task.kind == kind, Task.state.in_(live)).limit(1)
    )


async def chats(session: ReadSession, status_hash: bytes) -> bool:
    """Whether a chat was begun by this status link."""
    found = await session.scalar(
        select(Conversation.id).join(Lead, Lead.id == Conversation.lead_id)
        .where(Lead.status_hash == status_hash, Conversation.channel == Channel.web_chat).limit(1)
    )
    return found is not None


async def reach(session: ReadSession, lead_id: int) -> tuple[str, str]:
    """The number (E.164) of the lead's person, and how his campaign keeps addresses."""
    rows = await session.rows(
        select(Contact.phone, Campaign.keep_address)
        .join(Lead, Lead.contact_id == Contact.id)
        .join(Campaign, Campaign.id == Lead.campaign_id)
        .where(Lead.id == lead_id)
    )
    return rows[0][0], rows[0][1]
