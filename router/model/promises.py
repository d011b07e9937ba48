"""Promises: a callback promised to a person at a time on his wall, and how much of a slot is taken."""

from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Base, Moves, Numbered, State, table

HOLD = timedelta(minutes=10)
"""How long a slot is held while the visitor fills in the rest."""
QUEUED_BEFORE = timedelta(minutes=1)
"""So long before the promised time its task is queued."""
KEPT_UNTIL = timedelta(minutes=15)
"""Who has not been dialled so long after the promised time was let down."""
HOLDS_EACH = 12
"""Slots one network may hold at once."""
MOVES_EACH = 5
"""How often a day a visitor may move his call by himself."""
OWNER_FIRST = timedelta(minutes=5)
"""So long after the promised time it waits for its owner alone. Then another of the team calls or, where only the owner
may, the person is told that he has to wait."""
RETRIES = (timedelta(minutes=10), timedelta(minutes=60))
"""Who did not answer at the promised time is called again so long after each try. They count as any call does."""
OWED_FROM = timedelta(minutes=10)
"""So long before the time he has promised, its owner is given nothing that would keep him beyond it."""
AGENT_LATEST = timedelta(days=90)
"""An agent promises nothing further ahead."""


class PromiseMode(StrEnum):
    """Who keeps it: its owner and nobody else; its owner if he is free, else his team; anybody of the team."""

    personal_strict = "personal_strict"
    personal_preferred = "personal_preferred"
    team = "team"


PERSONAL = (PromiseMode.personal_strict, PromiseMode.personal_preferred)


class PromiseState(State):
    """`held` while the visitor is choosing, `scheduled` when booked, `offered` once its task waits for an agent,
    `no_answer` between a call that he did not answer and the next.

    Ends: `kept` (talked), `kept_by_inbound` (talked before), `broken_by_customer` (did not answer), `missed_by_us` (not
    dialled in time), `canceled`, `moved` (another promise takes its place), `lapsed` (held, never booked).
    """

    held = "held"
    scheduled = "scheduled"
    offered = "offered"
    no_answer = "no_answer"
    kept = "kept"
    kept_by_inbound = "kept_by_inbound"
    broken_by_customer = "broken_by_customer"
    missed_by_us = "missed_by_us"
    canceled = "canceled"
    moved = "moved"
    lapsed = "lapsed"

    @classmethod
    def moves(cls) -> Moves:
        return _PROMISE_MOVES


_PROMISE_MOVES = table(
    (PromiseState.held, "scheduled lapsed canceled"),
    (PromiseState.scheduled, "offered kept_by_inbound missed_by_us canceled moved"),
    (PromiseState.offered, "no_answer kept kept_by_inbound broken_by_customer missed_by_us canceled moved"),
    (PromiseState.no_answer, "offered kept_by_inbound broken_by_customer missed_by_us canceled moved"),
)

OPEN = (PromiseState.scheduled, PromiseState.offered, PromiseState.no_answer)


class Promise(Numbered):
    """`wall` is what was promised: local time in ISO 8601 without offset, in `zone` (IANA); `starts_at` is the moment
    this meant under the rules of the `tzdata` version. A held one has no person yet.

    `hold_hash` is the SHA-256 of the token that books it, `link_hash` of the one in the text message; `holder` says
    whose holds are counted together, without naming him. `continues` is the promise it took the place of.

    `slot_at` is the slot in which it takes a place (none: it takes none). `agent_id` is its owner, none for the team's.
    `tries` counts the calls he did not answer. `at_risk` says why its owner will not be there, as far as is known
    ("absence", "shift"; "" when he will).
    """

    __tablename__ = "promises"
    __table_args__ = (
        Index("one_open_promise_per_contact", "contact_id", unique=True, postgresql_where=text(
            "state in ('scheduled','offered','no_answer')")),
        Index(None, "contact_id", "id"),
        Index("ix_promises_owed", "agent_id", "starts_at", postgresql_where=text(
            "state in ('scheduled','offered','no_answer')")),
        Index("ix_promises_missed", "ended_at", postgresql_where=text("state = 'missed_by_us'")),
        Index("ix_promises_tzdata", "tzdata", postgresql_where=text("state = 'scheduled'")),
        Index("ix_promises_held", "holder", postgresql_where=text("state = 'held'")),
    )
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    queue_id: Mapped[int] = mapped_column(ForeignKey("queues.id"))
    state: Mapped[PromiseState]
    starts_at: Mapped[datetime]
    wall: Mapped[str]
    zone: Mapped[str]
    tzdata: Mapped[str]
    created_at: Mapped[datetime]
    hold_hash: Mapped[bytes | None] = mapped_column(unique=True, default=None)
    holder: Mapped[bytes] = mapped_column(default=b"")
    held_until: Mapped[datetime | None] = mapped_column(default=None)
    contact_id: Mapped[int | None] = mapped_column(ForeignKey("contacts.id"), default=None)
    lead_id: Mapped[int | None] = mapped_column(ForeignKey("leads.id"), index=True, default=None)
    task_id: Mapped[int | None] = mapped_column(ForeignKey("tasks.id"), index=True, default=None)
    link_hash: Mapped[bytes | None] = mapped_column(unique=True, default=None)
    locale: Mapped[str] = mapped_column(default="")
    continues: Mapped[int | None] = mapped_column(ForeignKey("promises.id"), default=None)
    ended_at: Mapped[datetime | None] = mapped_column(default=None)
    mode: Mapped[PromiseMode] = mapped_column(default=PromiseMode.team)
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"), default=None)
    slot_at: Mapped[datetime | None] = mapped_column(default=None)
    tries: Mapped[int] = mapped_column(default=0)
    at_risk: Mapped[str] = mapped_column(default="")


class SlotLoad(Base):
    """How many calls of a queue's slot are held or booked. It rises only by a conditional statement, so that replicas
    never sell a place twice."""

    __tablename__ = "slot_loads"
    __table_args__ = (CheckConstraint("taken >= 0", name="taken_not_negative"),)
    queue_id: Mapped[int] = mapped_column(ForeignKey("queues.id"), primary_key=True)
    starts_at: Mapped[datetime] = mapped_column(primary_key=True)
    taken: Mapped[int]
