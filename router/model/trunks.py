"""Trunks: the ways out into the telephone network, each by the number it shows, and whether dialling on one pauses."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Numbered

FAILURES = 3
"""So many different numbers that could not be dialled, with none between that could: it is not the numbers."""
WITHIN = timedelta(minutes=5)
PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(minutes=15)
"""How long dialling pauses at first, and at most: twice as long after each try that failed."""
TRY_TAKES = timedelta(seconds=60)
"""After a pause one call is made; the others wait so long for what becomes of it."""


class Trunk(Numbered):
    """A number of ours that is shown to those we call (`caller_id`, E.164). Since `failing_since` calls on it fail at
    the carrier: dialling pauses until `paused_until`; from then on one call at a time is tried, the present one until
    `trying_until`. `pauses` is how often it has paused since."""

    __tablename__ = "trunks"
    caller_id: Mapped[str] = mapped_column(unique=True)
    failing_since: Mapped[datetime | None] = mapped_column(default=None)
    paused_until: Mapped[datetime | None] = mapped_column(default=None)
    trying_until: Mapped[datetime | None] = mapped_column(default=None)
    pauses: Mapped[int] = mapped_column(default=0)

    def closed_until(self, now: datetime) -> datetime | None:
        """Until when nobody is to be dialled on it, at `now` (aware); None when somebody may."""
        ends = [end for end in (self.paused_until, self.trying_until) if end is not None and end > now]
        return max(ends, default=None) if self.failing_since is not None else None


def pause_after(pauses: int) -> timedelta:
    """How long the next pause is, after so many."""
    return min(PAUSE * (1 << min(pauses, 10)), LONGEST_PAUSE)
