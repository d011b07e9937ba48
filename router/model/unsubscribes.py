"""Unsubscribe links: by which a person ends commercial mails to one of his addresses, without being asked anything."""

from datetime import datetime

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Numbered


class Unsubscribe(Numbered):
    """One link for a person and an address, good for ever. `token_hash` is the SHA-256 of its token, `lead_id` the
    request it was first sent about, `used_at` when it was first used."""

    __tablename__ = "unsubscribes"
    __table_args__ = (UniqueConstraint("token_hash"),)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id"), index=True)
    lead_id: Mapped[int | None] = mapped_column(ForeignKey("leads.id"))
    address: Mapped[str]
    token_hash: Mapped[bytes]
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None] = mapped_column(default=None)
