"""Conversations as queries: threads, their messages, and how a visitor's chat stands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ARRAY, BigInteger, DateTime, and_, bindparam, func, or_, select, text, true, update
from sqlalchemy.dialects.postgresql import insert

from router.model.agents import Agent
from router.model.campaigns import Campaign, Queue, Site
from router.model.contacts import Contact
from router.model.conversations import Channel, Conversation, ConversationState, Direction, Message
from router.model.leads import Lead
from router.model.tasks import WITHOUT_TELEPHONE, Task, TaskState
from router.store.db import ReadSession, Rows, WriteSession

MOST_MESSAGES = 200
"""How many messages a screen shows of one thread, the newest."""

# The first words stand in the claims of leads that were taken in by the hundred: one statement for all of them.
_OPEN_CHATS = text(
    """
    with asked as (
      select id, campaign_id, contact_id, left(btrim(coalesce(claims->>'message', '')), 4000) as words
      from leads l
      where id = any(:ids) and not exists (select from conversations c where c.lead_id = l.id)
    ), chats as (
      insert into conversations (campaign_id, contact_id, lead_id, channel, state, created_at, last_at, address, unread,
        read_to, answered)
      select campaign_id, contact_id, id, 'web_chat', 'open', :now, :now, '', case when words = '' then 0 else 1 end, 0,
        words = ''
      from asked order by id
      on conflict do nothing
      returning id, lead_id, campaign_id
    ), first as (
      insert into messages (conversation_id, direction, text, at, media, client_id)
      select c.id, 'incoming', a.words, :now, '[]', 'first'
      from chats c join asked a on a.id = c.lead_id where a.words <> '' order by c.id
    )
    select id, lead_id, campaign_id from chats
    """
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)), bindparam("now", type_=DateTime(timezone=True)))


async def open_chats(session: WriteSession, lead_ids: Sequence[int], now: datetime) -> Sequence[Rows]:
    """Opens a chat for each of these leads that has none, with its claimed message as the first; rows of (id, lead,
    campaign)."""
    return await session.execute(_OPEN_CHATS, {"ids": list(lead_ids), "now": now})


async def make(session: WriteSession, values: Mapping[str, Any]) -> int | None:
    """A new open thread's id; None when there is one already."""
    statement = insert(Conversation).values(values).on_conflict_do_nothing().returning(Conversation.id)
    made = await session.execute(statement)
    return made[0][0] if made else None


async def open_thread(
    session: WriteSession, channel: Channel, *, contact_id: int, lead_id: int, address: str
) -> Conversation | None:
    """The thread a message goes to, locked: the chat of its lead, otherwise the person's thread with this address."""
    mine = (
        [Conversation.lead_id == lead_id] if channel is Channel.web_chat
        else [Conversation.contact_id == contact_id, Conversation.address == address]
    )
    return await session.scalar(
        select(Conversation)
        .where(Conversation.channel == channel, Conversation.state == ConversationState.open, *mine)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )


async def known(
    session: ReadSession, *, contact_id: int, lead_id: int, client_id: str | None, external_id: str | None
) -> Message | None:
    """The message that was stored before under one of these ids."""
    if client_id is not None:
        same = [Conversation.lead_id == lead_id, Message.client_id == client_id]
    elif external_id is not None:
        same = [Conversation.contact_id == contact_id, Message.external_id == external_id]
    else:
        return None
    return await session.scalar(
        select(Message).join(Conversation, Conversation.id == Message.conversation_id).where(*same).limit(1)
    )


async def add(session: WriteSession, values: Mapping[str, Any]) -> Message | None:
    """A new message; None when the thread has one with its client's or its network's id."""
    return await session.returning(insert(Message).values(values).on_conflict_do_nothing().returning(Message))


async def of_task(session: ReadSession, task: Task) -> Sequence[Conversation]:
    """The open threads an agent who holds this task answers, the latest first: the chat of its lead, and texts and mail
    of its person."""
    return await session.scalars(_OF_TASK, {"contact": task.contact_id, "lead": task.lead_id})


# A chat is its lead's even when the lead has been joined to another person since.
_MINE = or_(
    and_(Conversation.channel == Channel.web_chat, Conversation.lead_id == bindparam("lead")),
    and_(Conversation.channel != Channel.web_chat, Conversation.contact_id == bindparam("contact")),
)
_OF_TASK = (
    select(Conversation)
    .where(Conversation.state == ConversationState.open, _MINE)
    .order_by(Conversation.last_at.desc(), Conversation.id.desc())
)


async def unanswered(session: ReadSession, task: Task) -> Conversation | None:
    """The open thread of the task's person, or request, that has waited longest for an answer."""
    return await session.scalar(
        select(Conversation)
        .where(
            or_(Conversation.contact_id == task.contact_id, Conversation.lead_id == task.lead_id),
            Conversation.state == ConversationState.open,
            Conversation.answered.is_(False),
        )
        .order_by(Conversation.last_at)
        .limit(1)
    )


async def wrote_since(session: ReadSession, contact_id: int, channel: Channel, since: datetime) -> bool:
    """Whether the person has written by this channel since then (aware)."""
    found = await session.scalar(
        select(Message.id)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .where(
            Conversation.contact_id == contact_id, Conversation.channel == channel, Conversation.last_at >= since,
            Message.direction == Direction.incoming, Message.at >= since,
        )
        .limit(1)
    )
    return found is not None


async def messages(session: ReadSession, conversation_id: int) -> list[Message]:
    """The newest messages of a thread, in order."""
    found = await session.scalars(_MESSAGES, {"conversation": conversation_id})
    return list(found)[::-1]


_MESSAGES = (
    select(Message)
    .where(Message.conversation_id == bindparam("conversation"))
    .order_by(Message.id.desc())
    .limit(MOST_MESSAGES)
)


@dataclass(frozen=True)
class ThreadView:
    """A thread and its newest messages, in order."""

    thread: Conversation
    messages: Sequence[Message]

    @property
    def newest(self) -> int:
        return self.messages[-1].id if self.messages else 0

    @property
    def open(self) -> bool:
        return self.thread.state is ConversationState.open


async def on_desk(session: ReadSession, task: Task) -> list[ThreadView]:
    """The threads of a held task: those its agent answers, the chat first, and those he has just ended."""
    found = await session.scalars(_ON_DESK, {
        "contact": task.contact_id, "lead": task.lead_id, "since": task.engaged_at or task.enqueued_at,
    })
    ranked = sorted(found, key=lambda one: (one.state is ConversationState.closed, one.channel is not Channel.web_chat))
    return [ThreadView(one, await messages(session, one.id)) for one in ranked]


_ON_DESK = (
    select(Conversation)
    .where(
        _MINE,
        or_(Conversation.state == ConversationState.open, Conversation.closed_at >= bindparam("since")),
    )
    .order_by(Conversation.closed_at.desc().nulls_first(), Conversation.id.desc())
    .limit(3)
)


async def earlier(session: ReadSession, contact_id: int, shown: Sequence[int]) -> list[ThreadView]:
    """The person's last threads besides those shown, newest first. A chat's number was only typed: nobody has checked
    that it is the same person."""
    found = await session.scalars(
        select(Conversation)
        .where(Conversation.contact_id == contact_id, Conversation.id.not_in(shown))
        .order_by(Conversation.last_at.desc())
        .limit(3)
    )
    return [ThreadView(one, (await messages(session, one.id))[-30:]) for one in found]


async def read(session: WriteSession, conversation_id: int, up_to: int) -> None:
    """The agent has seen the messages up to this one."""
    later = (
        select(func.count())
        .where(
            Message.conversation_id == conversation_id, Message.id > up_to, Message.direction == Direction.incoming
        )
        .scalar_subquery()
    )
    await session.execute(
        update(Conversation)
        .where(Conversation.id == conversation_id, Conversation.read_to < up_to)
        .values(read_to=up_to, unread=later)
        .execution_options(synchronize_session=False)
    )


async def said_lately(session: ReadSession, lead_id: int, now: datetime, span: timedelta) -> tuple[int, int]:
    """How many messages came in by this lead's link: within the span, and ever."""
    rows = await session.rows(
        select(func.count().filter(Message.at > now - span), func.count())
        .select_from(Message)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .where(Conversation.lead_id == lead_id, Message.direction == Direction.incoming)
    )
    return rows[0][0], rows[0][1]


@dataclass(frozen=True)
class Visit:
    """A visitor's chat or video as his link opens it. `task` is the newest of its kind, `agent` its agent's first name;
    `thread` the latest chat. `origins` are the pages that may read it."""

    lead: Lead
    contact: Contact
    campaign: Campaign
    queue: Queue | None
    task: Task | None
    agent: str
    thread: Conversation | None
    origins: Sequence[str]
    phone: str


_NEWEST_OWN = (
    select(Task.id)
    .where(Task.lead_id == Lead.id, Task.kind.in_(WITHOUT_TELEPHONE))
    .order_by(Task.id.desc())
    .limit(1)
    .correlate(Lead)
    .lateral("newest_task")
)
_NEWEST_THREAD = (
    select(Conversation.id)
    .where(Conversation.lead_id == Lead.id, Conversation.channel == Channel.web_chat)
    .order_by(Conversation.id.desc())
    .limit(1)
    .correlate(Lead)
    .lateral("newest_thread")
)
_VISIT = (
    select(Lead, Contact, Campaign, Site, Queue, Task, Agent.name, Conversation)
    .join(Contact, Contact.id == Lead.contact_id)
    .join(Campaign, Campaign.id == Lead.campaign_id)
    .outerjoin(Site, Site.id == Lead.site_id)
    .outerjoin(_NEWEST_OWN, true())
    .outerjoin(Task, Task.id == _NEWEST_OWN.c.id)
    .outerjoin(Queue, Queue.id == func.coalesce(Task.queue_id, Site.queue_id))
    .outerjoin(Agent, Agent.id == Task.agent_id)
    .outerjoin(_NEWEST_THREAD, true())
    .outerjoin(Conversation, Conversation.id == _NEWEST_THREAD.c.id)
    .where(Lead.status_hash == bindparam("token_hash"))
)


async def visit(session: ReadSession, token_hash: bytes) -> Visit | None:
    """What stands behind the SHA-256 of a link's token."""
    rows = await session.rows(_VISIT, {"token_hash": token_hash})
    if not rows:
        return None
    lead, contact, campaign, site, queue, task, agent, thread = rows[0]
    held = task is not None and task.state in (TaskState.engaged, TaskState.wrapping)
    return Visit(
        lead, contact, campaign, queue, task, next(iter((agent or "").split()), "") if held else "", thread,
        list(site.origins) if site else [], campaign.phone_for(site),
    )


async def of_lead(
    session: ReadSession, lead_id: int, after: int, most: int = MOST_MESSAGES
) -> Sequence[tuple[Message, str]]:
    """The messages of a lead's own chats with an id above `after`, in order, each with its agent's first name."""
    rows = await session.rows(
        select(Message, Agent.name)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .outerjoin(Agent, Agent.id == Message.agent_id)
        .where(Conversation.lead_id == lead_id, Conversation.channel == Channel.web_chat, Message.id > after)
        .order_by(Message.id)
        .limit(most)
    )
    return [(row[0], next(iter((row[1] or "").split()), "")) for row in rows]


async def queue_of_lead(session: ReadSession, lead: Lead) -> Queue | None:
    """The line a lead's work stands in: that of its last task, of its site, or the campaign's first."""
    of_task = select(Task.queue_id).where(Task.lead_id == lead.id).order_by(Task.id.desc()).limit(1).scalar_subquery()
    of_site = select(Site.queue_id).where(Site.id == lead.site_id).scalar_subquery()
    first = select(func.min(Queue.id)).where(Queue.campaign_id == lead.campaign_id).scalar_subquery()
    return await session.scalar(select(Queue).where(Queue.id == func.coalesce(of_task, of_site, first)))
