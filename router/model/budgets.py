"""Budgets: what a day may cost, reserved before it is spent."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import NamedTuple

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


class SiteCaps(NamedTuple):
    """What the requests of a landing page may cost in a day and in an hour; 0 for no cap of its own."""

    site_id: int
    daily: int
    hourly: int


def scopes(campaign_id: int, campaign_cap: int, phone: str, site: SiteCaps | None, at: datetime) -> dict[str, int]:
    """The budgets a paid delivery at `at` (aware) draws on, with the most each may take: those of the number, of the
    landing page its request came from when that has caps of its own, of the campaign and of the deployment."""
    found = {f"number:{phone}": NUMBER_CAP}
    if site is not None:
        caps = {site_scope(site.site_id): site.daily, hour_scope(site.site_id, at): site.hourly}
        found |= {scope: cap for scope, cap in caps.items() if cap}
    return found | {f"campaign:{campaign_id}": campaign_cap, "all": DEPLOYMENT_CAP}


def fits(cents: int, caps: Mapping[str, int], used: Mapping[str, int]) -> bool:
    """Whether so much more may be reserved in each of these scopes."""
    return all(used.get(scope, 0) + cents <= cap for scope, cap in caps.items())


class Budget(Base):
    """One scope (`number:+34…`, `site:5`, `site:5@13`, `campaign:3`, `all`) on one day (UTC): hundredths reserved, and
    the most allowed."""

    __tablename__ = "budgets"
    __table_args__ = (CheckConstraint("used >= 0 and used <= cap", name="within_cap"),)
    scope: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    used: Mapped[int]
    cap: Mapped[int]
