"""Countersignatures: where a campaign asks for it, the company signs in its turn what a customer has signed."""

from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Moves, Numbered, State, table

ARCHIVE_WAITS = timedelta(days=7)
"""So long the nightly archiving waits for a countersignature, so that it need not be done twice."""
BEFORE_EXPIRY = timedelta(days=3)
"""Nothing waits longer than until so long before the certificate of the seal expires: some nights are left then."""
LONGEST_NOTE = 500


class CountersignatureState(State):
    """`waiting` for a supervisor. `approved`: he has decided, its revision is being made; `made`: it is there."""

    waiting = "waiting"
    approved = "approved"
    made = "made"
    refused = "refused"

    @classmethod
    def moves(cls) -> Moves:
        return _MOVES


_MOVES = table(
    (CountersignatureState.waiting, "approved refused"),
    (CountersignatureState.approved, "made"),
)


class RefusalReason(StrEnum):
    """Why the company does not countersign: codes, of which the customer is told in his language."""

    undeliverable = "undeliverable"
    mistake = "mistake"
    details = "details"
    conditions = "conditions"
    other = "other"


REFUSALS = {
    RefusalReason.undeliverable: "it cannot be supplied at your address",
    RefusalReason.mistake: "the offer holds a mistake of ours",
    RefusalReason.details: "details you gave could not be confirmed",
    RefusalReason.conditions: "a condition of the offer is not met",
    RefusalReason.other: "a person tells you why",
}
"""The same in words to the customer, after "because" or a colon."""


class Countersignature(Numbered):
    """One for each signing that asks for it, from the moment it is sealed. `agent_id`, `name` and `role` are those of
    the supervisor who decided, as they were then; `reason` and `note` (words for the house alone) are why he refused.
    `sha256` is the document with the countersignature, as one of the signing's `archives`, too; `level` and
    `time_source` are its own. `copy_hash` is of the token in the link to that copy, `told_at` when the customer was
    told."""

    __tablename__ = "countersignatures"
    __table_args__ = (
        Index("ix_countersignatures_waiting", "id", postgresql_where=text("state = 'waiting'")),
        Index(None, "campaign_id"),
    )
    signing_id: Mapped[int] = mapped_column(ForeignKey("signings.id"), unique=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    lead_id: Mapped[int] = mapped_column(ForeignKey("leads.id"))
    state: Mapped[CountersignatureState]
    asked_at: Mapped[datetime]
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"), default=None)
    name: Mapped[str] = mapped_column(default="")
    role: Mapped[str] = mapped_column(default="")
    decided_at: Mapped[datetime | None] = mapped_column(default=None)
    reason: Mapped[str] = mapped_column(default="")
    note: Mapped[str] = mapped_column(default="")
    sha256: Mapped[bytes | None] = mapped_column(ForeignKey("blobs.sha256"), default=None, unique=True)
    level: Mapped[str] = mapped_column(default="")
    time_source: Mapped[str] = mapped_column(default="")
    made_at: Mapped[datetime | None] = mapped_column(default=None)
    copy_hash: Mapped[bytes | None] = mapped_column(default=None, unique=True)
    told_at: Mapped[datetime | None] = mapped_column(default=None)


def archive_from(now: datetime, seal_until: datetime | None) -> datetime:
    """When archiving waits no longer for a countersignature asked for `now`; `seal_until` is when the certificate of
    the seal expires, if that is known."""
    limit = now + ARCHIVE_WAITS
    return limit if seal_until is None else max(now, min(limit, seal_until - BEFORE_EXPIRY))
