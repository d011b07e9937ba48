"""Quotes: a price proposal with lines and validity, in versions. The customer reads it as "your offer"."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Moves, Numbered, State, table


class QuoteState(State):
    draft = "draft"
    frozen = "frozen"
    sent = "sent"
    opened = "opened"
    signed = "signed"
    completed = "completed"
    withdrawn = "withdrawn"
    declined = "declined"
    expired = "expired"
    superseded = "superseded"
    void = "void"

    @classmethod
    def moves(cls) -> Moves:
        return _QUOTE_MOVES


_QUOTE_MOVES = table(
    (QuoteState.draft, "frozen void"),
    (QuoteState.frozen, "sent superseded void"),
    (QuoteState.sent, "opened declined expired superseded void"),
    (QuoteState.opened, "signed declined expired superseded void"),
    (QuoteState.signed, "completed withdrawn"),
    (QuoteState.completed, "withdrawn"),
)

OPEN = (QuoteState.sent, QuoteState.opened)


class Quote(Numbered):
    """Money is in minor units of `currency`. `lines` are what the agent wrote: label, quantity, unit price without tax
    (minor units), tax (basis points), period ("once" or "month"). `canonical` is the one list of (label, value) lines
    from which page and PDF are both made; it is set when the quote is frozen, with `pdf_sha256`. `customer` is the name
    that stands on it. `idle_base` is when
    the customer, or a person talking with him, last moved it: our automatic messages never do. `last_open_at` and
    `open_before_at` are the last two openings by a person, not by what scans links. It is left alone until
    `snoozed_until`. `reasons` are those for which it was found quiet at the last look, the best first."""

    __tablename__ = "quotes"
    __table_args__ = (UniqueConstraint("number", "version"), Index(None, "contact_id"), Index(None, "lead_id"))
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id"))
    lead_id: Mapped[int] = mapped_column(ForeignKey("leads.id"))
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"))
    number: Mapped[str]
    state: Mapped[QuoteState]
    locale: Mapped[str]
    currency: Mapped[str]
    lines: Mapped[list[dict[str, Any]]]
    total_once: Mapped[int]
    total_month: Mapped[int]
    valid_until: Mapped[datetime]
    created_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1)
    canonical: Mapped[list[dict[str, Any]] | None] = mapped_column(default=None)
    canonical_sha256: Mapped[bytes | None] = mapped_column(default=None)
    pdf_sha256: Mapped[bytes | None] = mapped_column(ForeignKey("blobs.sha256"), default=None, index=True)
    customer: Mapped[str] = mapped_column(default="")
    idle_base: Mapped[datetime | None] = mapped_column(default=None)
    sent_at: Mapped[datetime | None] = mapped_column(default=None)
    ended_at: Mapped[datetime | None] = mapped_column(default=None)
    last_open_at: Mapped[datetime | None] = mapped_column(default=None)
    open_before_at: Mapped[datetime | None] = mapped_column(default=None)
    snoozed_until: Mapped[datetime | None] = mapped_column(default=None)
    reasons: Mapped[list[str]] = mapped_column(default_factory=list)
