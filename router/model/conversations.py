"""Conversations: threads of messages with a person, and the rooms where two see each other.

A chat from a web page belongs to the lead whose link opened it, never to whoever typed the same telephone number: a
number typed into a form proves nothing, and what was written stays with the link. Texts and mail come from an address
the network vouches for, so there the person's open thread goes on.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Moves, Numbered, State, table

LONGEST_TEXT = 4_000
"""Characters in one message of a visitor or an agent."""
ROOM_LIFE = timedelta(hours=4)
"""A room is good for so long from the moment it is made."""
PRESENCE_LEASE = timedelta(seconds=15)
"""How long an answer to a room's ping counts: three pings of 5 s."""
SIGNAL_LIFE = timedelta(minutes=2)


class Channel(StrEnum):
    """How a thread's messages travel."""

    web_chat = "web_chat"
    sms = "sms"
    whatsapp = "whatsapp"
    email = "email"


class Direction(StrEnum):
    """Seen from the house."""

    incoming = "incoming"
    outgoing = "outgoing"


class ConversationState(State):
    open = "open"
    closed = "closed"

    @classmethod
    def moves(cls) -> Moves:
        return _CONVERSATION_MOVES


_CONVERSATION_MOVES = table((ConversationState.open, "closed"))


class Conversation(Numbered):
    """One thread. `address` is where the person writes from (E.164, a mail address; "" for a chat). `agent_id` is who
    answers it, or answered last. `last_at` is its latest message; `unread` counts what came in since the agent read,
    up to the message `read_to`. `answered` is whether the house had the last word."""

    __tablename__ = "conversations"
    __table_args__ = (
        Index("one_open_chat_per_lead", "lead_id", unique=True, postgresql_where=text(
            "state = 'open' and channel = 'web_chat'")),
        Index("one_open_thread_per_address", "contact_id", "channel", "address", unique=True, postgresql_where=text(
            "state = 'open' and channel <> 'web_chat'")),
        Index("ix_conversations_lead", "lead_id"),
        Index("ix_conversations_contact", "contact_id", "last_at"),
    )
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id"))
    lead_id: Mapped[int] = mapped_column(ForeignKey("leads.id"))
    channel: Mapped[Channel]
    state: Mapped[ConversationState]
    created_at: Mapped[datetime]
    last_at: Mapped[datetime]
    address: Mapped[str] = mapped_column(default="")
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"), default=None)
    unread: Mapped[int] = mapped_column(default=0)
    read_to: Mapped[int] = mapped_column(default=0)
    answered: Mapped[bool] = mapped_column(default=True)
    closed_at: Mapped[datetime | None] = mapped_column(default=None)


class Message(Numbered):
    """`client_id` is given by the browser that posts it, `external_id` by the network it came through: the same one
    twice is one message. `delivery_id` is the delivery that carries it to a telephone. `media` lists what came with it:
    {"url", "type"} each."""

    __tablename__ = "messages"
    __table_args__ = (
        UniqueConstraint("conversation_id", "client_id"),
        UniqueConstraint("conversation_id", "external_id"),
        Index("ix_messages_conversation", "conversation_id", "id"),
    )
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversations.id"))
    direction: Mapped[Direction]
    text: Mapped[str]
    at: Mapped[datetime]
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"), default=None)
    delivery_id: Mapped[int | None] = mapped_column(ForeignKey("deliveries.id"), default=None)
    media: Mapped[list[dict[str, Any]]] = mapped_column(default_factory=list)
    external_id: Mapped[str | None] = mapped_column(default=None)
    client_id: Mapped[str | None] = mapped_column(default=None)


class Side(StrEnum):
    """Who stands where in a room."""

    visitor = "visitor"
    agent = "agent"

    @property
    def other(self) -> "Side":
        return Side.agent if self is Side.visitor else Side.visitor


class Room(Numbered):
    """Where a visitor and an agent see each other: one for a task. `claimed_hash` is the SHA-256 of the cookie of the
    one browser that may be in it for the visitor. `visitor_seen_at` and `agent_seen_at` are their browsers' last
    answers; none when they have left."""

    __tablename__ = "rooms"
    task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id"), unique=True)
    lead_id: Mapped[int] = mapped_column(ForeignKey("leads.id"), index=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    claimed_hash: Mapped[bytes | None] = mapped_column(default=None)
    visitor_seen_at: Mapped[datetime | None] = mapped_column(default=None)
    agent_seen_at: Mapped[datetime | None] = mapped_column(default=None)
    ended_at: Mapped[datetime | None] = mapped_column(default=None)

    def seen_at(self, side: Side) -> datetime | None:
        return self.visitor_seen_at if side is Side.visitor else self.agent_seen_at

    def has(self, side: Side, now: datetime) -> bool:
        """Whether this side's browser is in the room at `now` (aware)."""
        seen = self.seen_at(side)
        return seen is not None and seen > now - PRESENCE_LEASE

    def open(self, now: datetime) -> bool:
        return self.ended_at is None and self.expires_at > now


class Signal(Numbered):
    """What one browser tells the other so that they find each other. It holds network addresses: it lives SIGNAL_LIFE
    and goes with the room."""

    __tablename__ = "signals"
    __table_args__ = (Index("ix_signals_room", "room_id", "receiver", "id"), Index("ix_signals_expiry", "expires_at"))
    room_id: Mapped[int] = mapped_column(ForeignKey("rooms.id"))
    receiver: Mapped[Side]
    body: Mapped[dict[str, Any]]
    expires_at: Mapped[datetime]
