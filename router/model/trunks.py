"""Trunks: the ways out into the telephone network, each by the number it shows, and whether dialling on one pauses."""

from datetime import timedelta

from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Numbered
from router.model.pausing import Pausing

FAILURES = 3
"""So many different numbers that could not be dialled, with none between that could: it is not the numbers."""
WITHIN = timedelta(minutes=5)


class Trunk(Pausing, Numbered):
    """A number of ours that is shown to those we call (`caller_id`, E.164). Since `failing_since` calls on it fail at
    the carrier: dialling pauses, and one call at a time is tried."""

    __tablename__ = "trunks"
    caller_id: Mapped[str] = mapped_column(unique=True)
