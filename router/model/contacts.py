"""Contacts: persons, known within a campaign by a telephone number in E.164."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Numbered


class Contact(Numbered):
    """A person. A public door attaches a lead only by `phone`; what else was typed there are claims on the lead.

    Without a `phone` ("") nothing joins him to anybody: each such lead has a contact of its own. `merged_into` is the
    contact he was found to be, `agent_id` who last spoke with him. `zone` (IANA) is the clock he lives by as far as
    anybody said so, `zone_source` who did; `country` (ISO 3166-1), `subdivision` (ISO 3166-2) and `postcode` are where
    he lives, "" where that is not known. Of one who was forgotten (`erased_at`) only the row itself is left.
    At `renumbered_at` somebody of ours found him another number: what he agreed to before was about the old one.
    """

    __tablename__ = "contacts"
    __table_args__ = (
        Index("one_contact_per_number", "campaign_id", "phone", unique=True, postgresql_where=text("phone <> ''")),
        Index(None, "merged_into", postgresql_where=text("merged_into is not null")),
    )
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    phone: Mapped[str]
    name: Mapped[str]
    locale: Mapped[str]
    created_at: Mapped[datetime]
    merged_into: Mapped[int | None] = mapped_column(ForeignKey("contacts.id"), default=None)
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"), default=None)
    zone: Mapped[str] = mapped_column(default="", server_default=text("''"))
    zone_source: Mapped[str] = mapped_column(default="", server_default=text("''"))
    country: Mapped[str] = mapped_column(default="", server_default=text("''"))
    subdivision: Mapped[str] = mapped_column(default="", server_default=text("''"))
    postcode: Mapped[str] = mapped_column(default="", server_default=text("''"))
    erased_at: Mapped[datetime | None] = mapped_column(default=None)
    renumbered_at: Mapped[datetime | None] = mapped_column(default=None)
