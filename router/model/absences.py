"""Absences: when an agent who usually works will not be there, as far as it is known before."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Numbered

LONGEST_REASON = 80


class Absence(Numbered):
    """The agent is away from `starts_at` to `ends_at` (aware UTC), [from, to). `reason` is a word for colleagues, never
    for customers. One that was entered by mistake is deleted; its facts stay."""

    __tablename__ = "absences"
    __table_args__ = (
        CheckConstraint("starts_at < ends_at", name="ends_after_it_begins"),
        Index("ix_absences_agent", "agent_id", "ends_at"),
    )
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    created_at: Mapped[datetime]
    reason: Mapped[str] = mapped_column(default="")
