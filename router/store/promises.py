"""Promises as queries: places in slots, and whose promise it is."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import delete, func, select, text

from router.model.absences import Absence
from router.model.calls import Call
from router.model.campaigns import Campaign, Queue
from router.model.contacts import Contact
from router.model.conversations import Channel, Conversation
from router.model.leads import Lead
from router.model.promises import OPEN, PERSONAL, Promise, SlotLoad
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


async def open_of_task(session: ReadSession, task_id: int, *, locked: bool = False) -> Promise | None:
    """What is promised with this task; `locked` until the transaction ends."""
    found = select(Promise).where(Promise.task_id == task_id, Promise.state.in_(OPEN))
    return await session.scalar(found.with_for_update(key_share=True) if locked else found)


async def open_of_contact(session: ReadSession, contact_id: int) -> Promise | None:
    return await session.scalar(select(Promise).where(Promise.contact_id == contact_id, Promise.state.in_(OPEN)))


async def newest_of_lead(session: ReadSession, lead_id: int) -> Promise | None:
    """The promise last made for this lead, in whatever state."""
    return await session.scalar(select(Promise).where(Promise.lead_id == lead_id).order_by(Promise.id.desc()).limit(1))


async def talk_began(session: ReadSession, task_id: int) -> datetime | None:
    """When the two of this task began to talk; None when they have not."""
    talking = await session.scalar(
        select(Call.talking_at).where(Call.task_id == task_id).order_by(Call.id.desc()).limit(1)
    )
    return talking or await session.scalar(select(Task.engaged_at).where(Task.id == task_id))


async def last_zone(session: ReadSession, contact_id: int) -> str:
    """The zone in which a call was promised to this person last; "" when none was."""
    return await session.scalar(
        select(Promise.zone).where(Promise.contact_id == contact_id).order_by(Promise.id.desc()).limit(1)
    ) or ""


async def owed(session: ReadSession, agent_id: int) -> Sequence[Promise]:
    """What this agent has promised to do himself, the next one first."""
    return await session.scalars(
        select(Promise)
        .where(Promise.agent_id == agent_id, Promise.state.in_(OPEN), Promise.mode.in_(PERSONAL))
        .order_by(Promise.starts_at, Promise.id)
    )


class OwedTo(NamedTuple):
    """A promise an agent owes, the name of its person, and the zone (IANA) of the team's clock."""

    promise: Promise
    name: str
    zone: str


async def owed_to(session: ReadSession, agent_id: int) -> list[OwedTo]:
    """What this agent has promised to do himself, with the names, the next one first."""
    rows = await session.rows(
        select(Promise, Contact.name, Campaign.timezone)
        .join(Contact, Contact.id == Promise.contact_id).join(Campaign, Campaign.id == Promise.campaign_id)
        .where(Promise.agent_id == agent_id, Promise.state.in_(OPEN), Promise.mode.in_(PERSONAL))
        .order_by(Promise.starts_at, Promise.id)
    )
    return [OwedTo(row[0], row[1], row[2]) for row in rows]


class Troubled(NamedTuple):
    """A promise a supervisor should see, without a word of its person: `why` is "missed" (nobody has called yet),
    "late" (its time is over and nobody calls), or why its owner will not be there."""

    promise: Promise
    agent: str
    why: str


# The time is over a minute after it: what rings in time is no trouble.
_TROUBLED = text(
    """
    select p.id, coalesce(a.name, ''), case when p.state = 'missed_by_us' then 'missed'
      when p.state = 'offered' and p.tries = 0 and p.starts_at <= :late then 'late' else p.at_risk end as why
    from (
      select * from promises where state = 'missed_by_us' and ended_at > :since
      union all
      select * from promises where state in ('scheduled','offered','no_answer')
        and (at_risk <> '' or state = 'offered' and tries = 0 and starts_at <= :late)
    ) p
    join tasks t on t.id = p.task_id and t.state in ('queued', 'scheduled') left join agents a on a.id = p.agent_id
    order by p.starts_at, p.id limit :most
    """
)


async def troubled(session: ReadSession, now: datetime, most: int) -> list[Troubled]:
    """What is promised and in danger, or was not kept and is still to be made good, at `now` (aware)."""
    rows = await session.rows(_TROUBLED, {
        "late": now - timedelta(minutes=1), "since": now - timedelta(days=3), "most": most,
    })
    named = await session.scalars(select(Promise).where(Promise.id.in_([row[0] for row in rows])))
    found = {one.id: one for one in named}
    return [Troubled(found[row[0]], row[1], row[2]) for row in rows]


async def owes_near(
    session: ReadSession, agent_id: int, at: datetime, *, without: int | None = None
) -> Promise | None:
    """Another call this agent has promised for so near a time that he cannot make both, reckoned with the time calls
    take in its queue. `without` is the promise that is asked about."""
    found = await _personal(session, agent_id, without)
    return next((one for one, busy in found if abs((one.starts_at - at).total_seconds()) < busy), None)


async def busy_with(
    session: ReadSession, agent_id: int, *, without: int | None = None
) -> Sequence[tuple[datetime, int]]:
    """When the calls begin that this agent has promised (aware), and how many seconds they take, the next one first.
    `without` is the promise that is asked about."""
    return [(one.starts_at, busy) for one, busy in await _personal(session, agent_id, without)]


async def _personal(session: ReadSession, agent_id: int, without: int | None) -> Sequence[tuple[Promise, int]]:
    rows = await session.rows(
        select(Promise, Queue.handle_seconds).join(Queue, Queue.id == Promise.queue_id)
        .where(
            Promise.agent_id == agent_id, Promise.state.in_(OPEN), Promise.mode.in_(PERSONAL),
            Promise.id != (without or 0),
        )
        .order_by(Promise.starts_at)
    )
    return [(row[0], row[1]) for row in rows]


async def locked_with_task(session: WriteSession, promise_id: int) -> Promise | None:
    """The promise, locked after its task: whoever calls holds the task first, too."""
    promise = await session.get(Promise, promise_id)
    if promise is not None and promise.task_id is not None:
        await session.locked(Task, promise.task_id)
    return await session.locked(Promise, promise_id)


async def forget_absence(session: WriteSession, absence_id: int) -> None:
    await session.execute(delete(Absence).where(Absence.id == absence_id))


async def take_anyway(session: WriteSession, queue_id: int, starts_at: datetime) -> None:
    """Takes a place in the slot, though it may be full: who promises something himself knows what he does."""
    await session.execute(_TAKE_PLACE, {"queue_id": queue_id, "starts_at": starts_at, "capacity": 1_000_000})


async def resolved_before(session: WriteSession, tzdata: str, most: int) -> Sequence[Promise]:
    """Promises yet to come whose moment was reckoned by older rules of the time zones, locked; those another replica
    holds are skipped."""
    return await session.scalars(
        select(Promise)
        .where(Promise.state == text("'scheduled'"), Promise.tzdata < tzdata)
        .order_by(Promise.id).limit(most).with_for_update(skip_locked=True, key_share=True)
    )


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
