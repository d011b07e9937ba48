"""Refusals: what the public doors did not take, counted by site, reason and hour; and prefixes where nobody answers."""

from datetime import date, datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Base


class Refusal(Base):
    """`times` requests of a site were refused for `code` (`router.model.protection.Why`) in the hour from `hour`."""

    __tablename__ = "refusals"
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id"), primary_key=True)
    code: Mapped[str] = mapped_column(primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    times: Mapped[int]


class Silence(Base):
    """A prefix (E.164 without its last four digits) of whose numbers hardly one was answered on this day (UTC): `tried`
    legs in 24 hours, `answered` of them."""

    __tablename__ = "silences"
    prefix: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    country: Mapped[str]
    tried: Mapped[int]
    answered: Mapped[int]
    seen_at: Mapped[datetime]
