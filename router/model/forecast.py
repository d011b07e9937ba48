"""Forecast: what fresh work is to be expected soon, and whether quiet quotes have had their share of the day.

The house asks it of its journal, a replay of what it has played so far.
"""

from collections import Counter, deque
from collections.abc import Iterable
from datetime import timedelta

from router.model.routing import ORDINARY, Expected, Needs, Policy
from router.model.tasks import TIER_FRESH

LOOK_BACK = timedelta(minutes=15)
"""What came within so long says what will come."""
LOOK_AHEAD = timedelta(minutes=2)
"""Somebody is kept free for what comes within so long: about the time a nurture call takes to be placed and begun."""
DAY = timedelta(days=1)
"""What was done within so long says whether quiet quotes have had their share."""
EVERY = timedelta(seconds=30)
"""So often it is asked anew."""
LIKELY = 0.7
"""So many expected arrivals make one more likely than not: 1 - exp(-0.7) is a half."""
NURTURE_SHARE = 0.1
"""Tiers from `Policy.nurture_from` on are owed this share of what is done in a day, so that they do not starve."""
FRESH = TIER_FRESH
"""The last tier of fresh work."""


def foreseen(arrived: Iterable[tuple[Needs, int]], nurtured: int, done: int) -> Policy:
    """The policy after so many fresh tasks that need this arrived within LOOK_BACK, and of so many tasks that were done
    within a day so many were nurture."""
    ahead = LOOK_AHEAD / LOOK_BACK
    expected = [Expected(needs, many * ahead) for needs, many in arrived if many * ahead >= LIKELY]
    return Policy(expected=expected, owed=done > 0 and nurtured < NURTURE_SHARE * done)


class Happened:
    """What has come and was done so far where no journal is at hand. Moments are seconds and never go back."""

    def __init__(self) -> None:
        self._arrived: deque[tuple[float, tuple[tuple[str, int], ...]]] = deque()
        self._done: deque[tuple[float, bool]] = deque()

    def arrives(self, now: float, needs: Needs, tier: int) -> None:
        """A task comes for the first time."""
        if tier <= FRESH:
            self._arrived.append((now, tuple(sorted(needs.items()))))

    def is_done(self, now: float, tier: int) -> None:
        """A task is closed."""
        self._done.append((now, tier >= ORDINARY.nurture_from))

    def foreseen(self, now: float) -> Policy:
        """The policy at `now`."""
        while self._arrived and self._arrived[0][0] <= now - LOOK_BACK.total_seconds():
            self._arrived.popleft()
        while self._done and self._done[0][0] <= now - DAY.total_seconds():
            self._done.popleft()
        arrived = Counter(needs for _, needs in self._arrived)
        nurtured = sum(nurture for _, nurture in self._done)
        return foreseen(((dict(needs), many) for needs, many in sorted(arrived.items())), nurtured, len(self._done))
