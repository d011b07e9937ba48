"""Leads: one request of a contact through one door, with its source and its consent."""

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Numbered


class Intent(enum.StrEnum):
    """What the person asked for."""

    call_now = "call_now"
    call_later = "call_later"
    chat = "chat"
    whatsapp = "whatsapp"
    video = "video"
    inbound_call = "inbound_call"
    email = "email"
    form = "form"
    cart = "cart"
    incident = "incident"
    list = "list"
    in_person = "in_person"


class Lead(Numbered):
    """`claims` is what a stranger typed about himself, `source` where he came from. `status_hash` is the SHA-256 of the
    token in his status link. `attached_to` is the lead whose task already waits for the same
    thing. `seq` counts the lead's facts: they are numbered 1, 2, 3 … without holes. `fields` are the answers to the
    campaign's own questions; `sealed_fields` those that are secret, as JSON under the vault's purpose "fields"."""

    __tablename__ = "leads"
    __table_args__ = (
        Index(None, "contact_id", "created_at"),
        Index("ix_leads_reference", text("(source ->> 'reference')"), postgresql_where=text(
            "source ->> 'reference' is not null")),
        Index("ix_leads_offline", "campaign_id", text("(source ->> 'offline')"), postgresql_where=text(
            "source ->> 'offline' is not null")),
    )
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    site_id: Mapped[int | None] = mapped_column(ForeignKey("sites.id"))
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id"))
    intent: Mapped[Intent]
    claims: Mapped[dict[str, Any]]
    source: Mapped[dict[str, Any]]
    locale: Mapped[str]
    status_hash: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    attached_to: Mapped[int | None] = mapped_column(ForeignKey("leads.id"), default=None)
    seq: Mapped[int] = mapped_column(default=0)
    fields: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    sealed_fields: Mapped[bytes | None] = mapped_column(default=None)
