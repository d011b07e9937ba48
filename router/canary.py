"""The canary: an alarm of each minute. Its lateness tells how alarms fare, its silence that none ring any more."""

import time
from collections.abc import Callable
from datetime import timedelta

from router.book import Book
from router.store import recurring
from router.store.recurring import Song

HOURS = timedelta(hours=6)
"""The lateness is that of the last hours."""
SILENT_SECONDS = 300.0
"""So long without a new canary, though the database answers: alarms do not ring, here or at any other replica."""
BLIND_SECONDS = 60.0
"""A database that was away for so long has a new chance: nothing could ring meanwhile."""


class Canary:
    """What this process hears of it. Silence is counted by the monotonic clock, which no wall clock moves, from the
    process's start on, and not while the database is away: that is another illness, and no restart cures it."""

    def __init__(self, book: Book, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._book = book
        self._clock = clock
        self._song = Song(0, 0.0, 0.0)
        self._heard_at = self._looked_at = clock()

    async def look(self) -> None:
        """Listens for a new one."""
        async with self._book.reading() as r:
            song = await recurring.heard(r.session, r.now - HOURS)
        now = self._clock()
        if song.newest != self._song.newest or now - self._looked_at > BLIND_SECONDS:
            self._heard_at = now
        self._song, self._looked_at = song, now

    @property
    def healthy(self) -> bool:
        return self.silent_seconds < SILENT_SECONDS

    @property
    def silent_seconds(self) -> float:
        """From the last new one, or the start, to the last look that the database answered."""
        return self._looked_at - self._heard_at

    @property
    def p50(self) -> float:
        """Seconds from due to done."""
        return self._song.p50

    @property
    def p99(self) -> float:
        return self._song.p99
