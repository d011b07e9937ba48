"""Merges: two contacts that may be one person. Proposed by what was said, done by a person, and reversible."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Moves, Numbered, State, table


class ClaimKind(StrEnum):
    """What somebody said of himself, or a program said of him."""

    email = "email"
    external_id = "external_id"


class Claim(Numbered):
    """A contact said to have this e-mail address or external id. `mac` is keyed: the row tells the value to nobody."""

    __tablename__ = "claims"
    __table_args__ = (UniqueConstraint("campaign_id", "kind", "mac", "contact_id"),)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    kind: Mapped[ClaimKind]
    mac: Mapped[bytes]
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id"))
    lead_id: Mapped[int] = mapped_column(ForeignKey("leads.id"))
    created_at: Mapped[datetime]


class MergeState(State):
    proposed = "proposed"
    merged = "merged"
    declined = "declined"
    undone = "undone"

    @classmethod
    def moves(cls) -> Moves:
        return _MERGE_MOVES


_MERGE_MOVES = table(
    (MergeState.proposed, "merged declined"),
    (MergeState.merged, "undone"),
    (MergeState.declined, "merged"),
    (MergeState.undone, "merged"),
)


class Merge(Numbered):
    """`from_id` may be the same person as `into_id`, who was known before: so says `kind`, in the lead `lead_id`.

    `moved` are the rows that went over, by table: undoing gives back these and no others. Receipts, attempts and
    suppressions never move: they belong to a telephone number.
    """

    __tablename__ = "merges"
    __table_args__ = (
        UniqueConstraint("into_id", "from_id"),
        CheckConstraint("into_id < from_id", name="into_the_elder"),
        Index("ix_merges_open", "into_id", postgresql_where=text("state = 'proposed'")),
        Index("one_merge_of_a_contact", "from_id", unique=True, postgresql_where=text("state = 'merged'")),
    )
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    into_id: Mapped[int] = mapped_column(ForeignKey("contacts.id"))
    from_id: Mapped[int] = mapped_column(ForeignKey("contacts.id"))
    lead_id: Mapped[int] = mapped_column(ForeignKey("leads.id"))
    kind: Mapped[ClaimKind]
    state: Mapped[MergeState]
    created_at: Mapped[datetime]
    moved: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    decided_by: Mapped[int | None] = mapped_column(ForeignKey("agents.id"), default=None)
    decided_at: Mapped[datetime | None] = mapped_column(default=None)
