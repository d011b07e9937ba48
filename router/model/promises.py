"""Promises: a callback promised to a person at a time on his wall, and how much of a slot is taken."""

from datetime import datetime, timedelta

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


class PromiseState(State):
    """`held` while the visitor is choosing, `scheduled` when booked, `offered` once its task waits for an agent.

    Ends: `kept` (talked), `kept_by_inbound` (talked before), `broken_by_customer` (did not answer), `missed_by_us` (not
    dialled in time), `canceled`, `moved` (another promise takes its place), `lapsed` (held, never booked).
    """

    held = "held"
    scheduled = "scheduled"
    offered = "offered"
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
    (PromiseState.offered, "kept kept_by_inbound broken_by_customer missed_by_us canceled moved"),
)

OPEN = (PromiseState.scheduled, PromiseState.offered)


class Promise(Numbered):
    """`wall` is what was promised: local time in ISO 8601 without offset, in `zone` (IANA); `starts_at` is the moment
    this meant under the rules of the `tzdata` version. A held one has no person yet.

    `hold_hash` is the SHA-256 of the token that books it, `link_hash` of the one in the text message; `holder` says
    whose holds are counted together, without naming him. `continues` is the promise it took the place of.
    """

    __tablename__ = "promises"
    __table_args__ = (
        Index("one_open_promise_per_contact", "contact_id", unique=True, postgresql_where=text(
            "state in ('scheduled','offered')")),
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


class SlotLoad(Base):
    """How many calls of a queue's slot are held or booked. It rises only by a conditional statement, so that replicas
    never sell a place twice."""

    __tablename__ = "slot_loads"
    __table_args__ = (CheckConstraint("taken >= 0", name="taken_not_negative"),)
    queue_id: Mapped[int] = mapped_column(ForeignKey("queues.id"), primary_key=True)
    starts_at: Mapped[datetime] = mapped_column(primary_key=True)
    taken: Mapped[int]
