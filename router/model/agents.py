"""Agents: users who work tasks, what they want and what they are."""

import enum
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Numbered

HEARTBEAT_LEASE = timedelta(seconds=15)
"""How long an answer to the stream's ping counts: three pings of 5 s."""


class Role(enum.StrEnum):
    agent = "agent"
    supervisor = "supervisor"
    admin = "admin"

    def covers(self, other: "Role") -> bool:
        order = list(Role)
        return order.index(self) >= order.index(other)


class Wish(enum.StrEnum):
    """What the agent wants. The house itself only ever pauses him: after missed rings, or after `ready_once`."""

    off = "off"
    ready = "ready"
    ready_once = "ready_once"
    paused = "paused"


class Agent(Numbered):
    """`load` counts the voice tasks held; it moves under the row's lock, and the database keeps it within `capacity`.
    `idle_since` is when he last became eligible: idle time counts only eligible time. `address` is where his leg rings:
    E.164 or `client:name`. `shifts` are his weekly hours in the form of a queue's `hours`; none means whenever his
    queues are open."""

    __tablename__ = "agents"
    __table_args__ = (
        CheckConstraint("load >= 0 and load <= capacity", name="load_within_capacity"),
        Index("ix_agents_free", "pool", "idle_since", postgresql_where=text("wish in ('ready','ready_once')")),
    )
    login: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    role: Mapped[Role]
    password_hash: Mapped[str]
    address: Mapped[str]
    locale: Mapped[str] = mapped_column(default="es")
    skills: Mapped[list[str]] = mapped_column(default_factory=list)
    pool: Mapped[int] = mapped_column(default=1)
    capacity: Mapped[int] = mapped_column(default=1)
    load: Mapped[int] = mapped_column(default=0)
    wish: Mapped[Wish] = mapped_column(default=Wish.off)
    misses: Mapped[int] = mapped_column(default=0)
    idle_since: Mapped[datetime | None] = mapped_column(default=None)
    heartbeat_at: Mapped[datetime | None] = mapped_column(default=None)
    back_off_until: Mapped[datetime | None] = mapped_column(default=None)
    disabled_at: Mapped[datetime | None] = mapped_column(default=None)
    shifts: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)

    def present(self, now: datetime) -> bool:
        """Whether his browser has answered within its lease at `now` (aware)."""
        return self.heartbeat_at is not None and self.heartbeat_at > now - HEARTBEAT_LEASE
