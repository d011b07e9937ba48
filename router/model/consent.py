"""Consent receipts: what exactly was agreed to, when, how and where. Append-only."""

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Numbered


class Receipt(Numbered):
    """The text as it was shown, its version and SHA-256 (hex), and the purposes ticked, one by one.

    `address` is truncated (IPv4 /24, IPv6 /48): it proves a region and a time, not a person.
    """

    __tablename__ = "receipts"
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id"), index=True)
    lead_id: Mapped[int | None] = mapped_column(ForeignKey("leads.id"))
    purposes: Mapped[list[str]]
    text: Mapped[str]
    text_sha256: Mapped[str]
    version: Mapped[str]
    method: Mapped[str]
    address: Mapped[str]
    user_agent: Mapped[str]
    page: Mapped[str]
    given_at: Mapped[datetime]
