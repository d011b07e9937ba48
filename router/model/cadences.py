"""Enrolments and attempts: a person inside the plan for a quiet quote, and every try to reach somebody."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Moves, Numbered, State, table


class EnrolmentState(State):
    active = "active"
    awaiting_agent = "awaiting_agent"
    paused = "paused"
    exited = "exited"

    @classmethod
    def moves(cls) -> Moves:
        return _ENROLMENT_MOVES


_ENROLMENT_MOVES = table(
    (EnrolmentState.active, "awaiting_agent paused exited"),
    (EnrolmentState.awaiting_agent, "active paused exited"),
    (EnrolmentState.paused, "active exited"),
)


class Enrolment(Numbered):
    """A person inside the cadence of one quiet quote. `idle_base` is the epoch of the quiet: one enrolment for each."""

    __tablename__ = "enrolments"
    __table_args__ = (
        UniqueConstraint("quote_id", "idle_base"),
        Index("one_live_enrolment_per_person", "contact_id", unique=True, postgresql_where=text("state <> 'exited'")),
    )
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    quote_id: Mapped[int] = mapped_column(ForeignKey("quotes.id"))
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id"))
    lead_id: Mapped[int] = mapped_column(ForeignKey("leads.id"))
    state: Mapped[EnrolmentState]
    reason: Mapped[str]
    idle_base: Mapped[datetime]
    created_at: Mapped[datetime]
    exit_reason: Mapped[str] = mapped_column(default="")
    ended_at: Mapped[datetime | None] = mapped_column(default=None)


class Attempt(Numbered):
    """The guard's recorded answer at the moment of a try: who, by which channel, for what purpose, by which rules.

    The row reserves the place in the number's caps. `refunded_at`: the try never left the house. `receipt_id` is the
    consent that was relied on, at `at`: it is kept as long as the law counts from its last use."""

    __tablename__ = "attempts"
    __table_args__ = (
        Index(None, "phone", "at"),
        Index(None, "receipt_id", postgresql_where=text("receipt_id is not null")),
    )
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    lead_id: Mapped[int | None] = mapped_column(ForeignKey("leads.id"))
    phone: Mapped[str]
    channel: Mapped[str]
    purpose: Mapped[str]
    verdict: Mapped[str]
    rules: Mapped[list[str]]
    detail: Mapped[dict[str, Any]]
    at: Mapped[datetime]
    refunded_at: Mapped[datetime | None] = mapped_column(default=None)
    contact_id: Mapped[int | None] = mapped_column(ForeignKey("contacts.id"), default=None)
    receipt_id: Mapped[int | None] = mapped_column(ForeignKey("receipts.id"), default=None)
