"""Consent: what exactly was agreed to, when, how and where, and what was taken back. Rows are never changed."""

from datetime import datetime

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Numbered


class Receipt(Numbered):
    """One text as it was shown, with its language, version and SHA-256 (hex), and the purposes agreed to by it: each
    box ticked is a receipt of its own.

    `address` is truncated (IPv4 /24, IPv6 /48) unless the campaign says otherwise: it proves a region and a time, not a
    person. `client_at` is the sender's own clock, worth what a stranger's word is worth; `given_at` is ours. It is
    about the number its person had then.
    """

    __tablename__ = "receipts"
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id"), index=True)
    lead_id: Mapped[int | None] = mapped_column(ForeignKey("leads.id"), index=True)
    purposes: Mapped[list[str]]
    text: Mapped[str]
    text_sha256: Mapped[str]
    version: Mapped[str]
    method: Mapped[str]
    address: Mapped[str]
    user_agent: Mapped[str]
    page: Mapped[str]
    given_at: Mapped[datetime]
    locale: Mapped[str] = mapped_column(default="")
    client_at: Mapped[datetime | None] = mapped_column(default=None)


class Withdrawal(Numbered):
    """A consent taken back: from `at` on the receipt counts no more for this purpose. `method` is how: "link", "agent",
    "stop" …"""

    __tablename__ = "withdrawals"
    __table_args__ = (UniqueConstraint("receipt_id", "purpose"),)
    receipt_id: Mapped[int] = mapped_column(ForeignKey("receipts.id"))
    purpose: Mapped[str]
    method: Mapped[str]
    at: Mapped[datetime]
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"), default=None)
