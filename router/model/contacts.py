"""Contacts: persons, known within a campaign by a telephone number in E.164."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Numbered


class Contact(Numbered):
    """A person. A public door attaches a lead only by `phone`; what else was typed there are claims on the lead.

    Without a `phone` ("") nothing joins him to anybody: each such lead has a contact of its own. `merged_into` is the
    contact he was found to be, `agent_id` who last spoke with him."""

    __tablename__ = "contacts"
    __table_args__ = (
        Index("one_contact_per_number", "campaign_id", "phone", unique=True, postgresql_where=text("phone <> ''")),
    )
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    phone: Mapped[str]
    name: Mapped[str]
    locale: Mapped[str]
    created_at: Mapped[datetime]
    merged_into: Mapped[int | None] = mapped_column(ForeignKey("contacts.id"), default=None)
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"), default=None)
