"""Credits: whose sale a signed quote is. The author's, unless a supervisor splits it."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Base
from router.model.errors import Invalid

WHOLE = 100
"""A whole sale, in percent."""
MOST_SHARES = 4
AUTHOR = "author"
"""Why a sale is first credited: to the quote's author, the moment it is signed."""


class SplitReason(StrEnum):
    """Why a sale is not its author's alone: codes, not words."""

    handed_over = "handed_over"
    helped = "helped"
    covered = "covered"
    wrong_author = "wrong_author"
    other = "other"


class Credit(Base):
    """An agent's share of a signed quote, in percent. The shares of a quote make up the whole."""

    __tablename__ = "credits"
    __table_args__ = (CheckConstraint(f"percent between 1 and {WHOLE}", name="a_share"),)
    quote_id: Mapped[int] = mapped_column(ForeignKey("quotes.id"), primary_key=True)
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"), primary_key=True, index=True)
    percent: Mapped[int]
    since: Mapped[datetime]


def check(shares: Mapping[int, int]) -> None:
    """Raises Invalid unless the shares (percent, by agent) make up the whole."""
    if not 1 <= len(shares) <= MOST_SHARES:
        raise Invalid("A sale is shared by 1 to %(most)s agents.", pointer="/shares", most=MOST_SHARES)
    if any(percent < 1 for percent in shares.values()) or sum(shares.values()) != WHOLE:
        raise Invalid("The shares should be whole percents and make up 100.", pointer="/shares")
