"""Quotes: a price proposal with lines and validity, in versions. The customer reads it as "your offer"."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Moves, Numbered, State, table


class QuoteState(State):
    draft = "draft"
    awaiting = "awaiting"
    approved = "approved"
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
    signed_elsewhere = "signed_elsewhere"

    @classmethod
    def moves(cls) -> Moves:
        return _QUOTE_MOVES


_QUOTE_MOVES = table(
    (QuoteState.draft, "awaiting frozen void"),
    (QuoteState.awaiting, "approved superseded void"),
    (QuoteState.approved, "frozen superseded void"),
    (QuoteState.frozen, "sent superseded void"),
    (QuoteState.sent, "opened declined expired superseded void signed_elsewhere"),
    (QuoteState.opened, "signed declined expired superseded void"),
    (QuoteState.signed, "completed withdrawn"),
    (QuoteState.completed, "withdrawn"),
)

OPEN = (QuoteState.sent, QuoteState.opened)
UNSENT = (QuoteState.draft, QuoteState.awaiting, QuoteState.approved)


class Quote(Numbered):
    """Money is in minor units of `currency`. `lines` are what the agent wrote: label, quantity, unit price without tax
    (minor units), tax (basis points), period ("once" or "month"). `canonical` is the one list of (label, value) lines
    from which page and PDF are both made; it is set when the quote is frozen, with `pdf_sha256`. `customer` is the name
    that stands on it. `idle_base` is when
    the customer, or a person talking with him, last moved it: our automatic messages never do. `last_open_at` and
    `open_before_at` are the last two openings by a person, not by what scans links. It is left alone until
    `snoozed_until`. `reasons` are those for which it was found quiet at the last look, the best first.

    A quote that was made elsewhere has an `external_number` and no link of ours; it may have totals and no lines.
    `queue_id` is the line its calls go to, `agent_id` its owner, if he is known here, `paced_at` the moment the stale
    watch was given for it, so that a list of old quotes is looked at one by one. `foreign_pdf_sha256` is the document
    it came with.

    `terms` are those agreed on for it (`router.model.terms.Agreed`), `call_id` is the call it was made in. It is
    `discount_bp` below the catalogue (basis points); where its agent may not give that much, it is `over_limit`, waits
    for a supervisor once it is to be sent, and is sent only when he, `approved_by`, has approved it."""

    __tablename__ = "quotes"
    __table_args__ = (
        UniqueConstraint("number", "version"), Index(None, "contact_id"), Index(None, "lead_id"),
        Index("one_quote_per_external_number", "campaign_id", "external_number", unique=True,
              postgresql_where=text("external_number is not null")),
        Index("ix_quotes_awaiting", "id", postgresql_where=text("state = 'awaiting'")),
        Index("ix_quotes_paced", "campaign_id", "paced_at", postgresql_where=text("paced_at is not null")),
    )
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id"))
    lead_id: Mapped[int] = mapped_column(ForeignKey("leads.id"))
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"))
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
    external_number: Mapped[str | None] = mapped_column(default=None)
    queue_id: Mapped[int | None] = mapped_column(ForeignKey("queues.id"), default=None)
    paced_at: Mapped[datetime | None] = mapped_column(default=None)
    last_open_at: Mapped[datetime | None] = mapped_column(default=None)
    open_before_at: Mapped[datetime | None] = mapped_column(default=None)
    snoozed_until: Mapped[datetime | None] = mapped_column(default=None)
    reasons: Mapped[list[str]] = mapped_column(default_factory=list)
    terms: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    call_id: Mapped[int | None] = mapped_column(
        ForeignKey("calls.id", use_alter=True, name="fk_quotes_call_id"), default=None
    )
    discount_bp: Mapped[int] = mapped_column(default=0)
    over_limit: Mapped[bool] = mapped_column(default=False)
    approved_by: Mapped[int | None] = mapped_column(ForeignKey("agents.id"), default=None)
    foreign_pdf_sha256: Mapped[bytes | None] = mapped_column(ForeignKey("blobs.sha256"), default=None)

    @property
    def known_as(self) -> str:
        """The number its customer knows it by."""
        return self.external_number or self.number
