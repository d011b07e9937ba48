"""Attachments: what came with a message, and spoken messages: fetched from outside, kept as blobs."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Moves, Numbered, State, table


class AttachmentState(State):
    """`expected`: its bytes are still to be fetched; `missing`: they cannot be had."""

    expected = "expected"
    kept = "kept"
    missing = "missing"

    @classmethod
    def moves(cls) -> Moves:
        return _ATTACHMENT_MOVES


_ATTACHMENT_MOVES = table((AttachmentState.expected, "kept missing"))


class Attachment(Numbered):
    """`external_id` is what the party it came from calls it: the same one is fetched once. `media_type` is what they
    said first, and what it turned out to be once it is kept. `seconds` is how long a spoken message lasts."""

    __tablename__ = "attachments"
    __table_args__ = (Index(None, "lead_id"),)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    lead_id: Mapped[int] = mapped_column(ForeignKey("leads.id"))
    kind: Mapped[str]
    external_id: Mapped[str] = mapped_column(unique=True)
    media_type: Mapped[str]
    state: Mapped[AttachmentState]
    created_at: Mapped[datetime]
    seconds: Mapped[int] = mapped_column(default=0)
    sha256: Mapped[bytes | None] = mapped_column(ForeignKey("blobs.sha256"), default=None)

    @property
    def path(self) -> str:
        """Where a signed-in agent gets it."""
        return f"/attachments/{self.id}"
