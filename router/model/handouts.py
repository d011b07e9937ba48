"""Handouts: brochures sent to a person who is talked with, by one message with one link."""

from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Numbered

SUBJECT = "handout"
"""Our word for its message, whatever way it goes."""
MOST = 6
"""Brochures in one handout."""
SAME_PRESS = timedelta(seconds=10)
"""Who presses again so soon has not opened it again."""
FILE_LIFE = timedelta(minutes=10)
"""How long after the press the file itself is given to that browser."""


class Handout(Numbered):
    """`token_hash` is the SHA-256 of the token in its link, which works until `expires_at`. `press` names the press of
    the button it was sent by: the same one again sends nothing. `way` is a `router.model.cadence_rules.Way`, `locale`
    the person's language. `delivered_at` and
    `failed_at` are when the carrier said so of its message. Whose it is follows from the request `lead_id`."""

    __tablename__ = "handouts"
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    lead_id: Mapped[int] = mapped_column(ForeignKey("leads.id"), index=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id"), index=True)
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"))
    way: Mapped[str]
    locale: Mapped[str]
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    press: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    delivery_id: Mapped[int | None] = mapped_column(ForeignKey("deliveries.id"), default=None, unique=True)
    delivered_at: Mapped[datetime | None] = mapped_column(default=None)
    failed_at: Mapped[datetime | None] = mapped_column(default=None)


class HandoutItem(Numbered):
    """One brochure of a handout, the `place`th (from 1), and how often its person has opened it."""

    __tablename__ = "handout_items"
    __table_args__ = (UniqueConstraint("handout_id", "place"),)
    handout_id: Mapped[int] = mapped_column(ForeignKey("handouts.id"))
    brochure_id: Mapped[int] = mapped_column(ForeignKey("brochures.id"))
    place: Mapped[int]
    opens: Mapped[int] = mapped_column(default=0)
    first_opened_at: Mapped[datetime | None] = mapped_column(default=None)
    last_opened_at: Mapped[datetime | None] = mapped_column(default=None)
