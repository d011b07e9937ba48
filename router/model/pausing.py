"""Pausing: what fails outside one time after the other is left alone for a while, and then tried by one alone."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Base

PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(minutes=15)
"""How long it pauses at first, and at most: twice as long after each try that failed."""
TRY_TAKES = timedelta(seconds=60)
"""After a pause one tries; the others wait so long for what becomes of it."""


class Pausing(Base, kw_only=True):
    """What fails since `failing_since`: nobody uses it until `paused_until`; from then on one at a time tries it, the
    present one until `trying_until`. `pauses` is how often it has paused since."""

    __abstract__ = True
    failing_since: Mapped[datetime | None] = mapped_column(default=None)
    paused_until: Mapped[datetime | None] = mapped_column(default=None)
    trying_until: Mapped[datetime | None] = mapped_column(default=None)
    pauses: Mapped[int] = mapped_column(default=0)

    def closed_until(self, now: datetime) -> datetime | None:
        """Until when nobody is to use it, at `now` (aware); None when somebody may."""
        ends = [end for end in (self.paused_until, self.trying_until) if end is not None and end > now]
        return max(ends, default=None) if self.failing_since is not None else None

    def pause(self, now: datetime) -> datetime:
        """It has failed once more; until when it pauses."""
        self.failing_since = self.failing_since or now
        self.paused_until, self.trying_until = now + pause_after(self.pauses), None
        self.pauses += 1
        return self.paused_until

    def go_on(self) -> None:
        """It is as it should be."""
        self.failing_since = self.paused_until = self.trying_until = None
        self.pauses = 0


def pause_after(pauses: int) -> timedelta:
    """How long the next pause is, after so many."""
    return min(PAUSE * (1 << min(pauses, 10)), LONGEST_PAUSE)
