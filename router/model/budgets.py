"""Budgets: what a day may cost, reserved before it is spent."""

from datetime import date, datetime

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Base

LEG_COST = 10
MESSAGE_COST = 5
"""What a leg and a message reserve, in hundredths of the currency. Rough, on the high side."""

NUMBER_CAP = 300
DEPLOYMENT_CAP = 100_000


def site_scope(site_id: int) -> str:
    """What a landing page's requests may cost in a day."""
    return f"site:{site_id}"


def hour_scope(site_id: int, at: datetime) -> str:
    """What they may cost in the hour (UTC) of `at`."""
    return f"site:{site_id}@{at.hour:02d}"


class Budget(Base):
    """One scope (`number:+34…`, `site:5`, `site:5@13`, `campaign:3`, `all`) on one day (UTC): hundredths reserved, and
    the most allowed."""

    __tablename__ = "budgets"
    __table_args__ = (CheckConstraint("used >= 0 and used <= cap", name="within_cap"),)
    scope: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    used: Mapped[int]
    cap: Mapped[int]
