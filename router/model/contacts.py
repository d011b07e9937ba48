"""Contacts: persons, known within a campaign by a telephone number in E.164."""

from datetime import datetime

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Numbered


class Contact(Numbered):
    """A person. A public door attaches a lead only by `phone`; what else was typed there are claims on the lead."""

    __tablename__ = "contacts"
    __table_args__ = (UniqueConstraint("campaign_id", "phone"),)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    phone: Mapped[str]
    name: Mapped[str]
    locale: Mapped[str]
    created_at: Mapped[datetime]
