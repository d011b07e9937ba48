"""Clocks: what becomes of timers when the database's clock is set back, be it by an hour.

Set forward, everything falls due at once, as after a night in which nothing ran. Set back, a ring would go on for an
hour, a pause of five seconds would last as long, and a browser closed long ago would count as open. So what is dated
later than now is dated back by as much: every timer runs at most its full time from now, and who waits keeps his place.
"""

from datetime import timedelta

from router.book import Writing
from router.store import clocks

TOLERANCE = timedelta(seconds=2)
"""Two replicas' ideas of the database's clock differ by less."""


async def set_right(w: Writing) -> bool:
    """Puts right what a clock that was set back has left in the future; whether there may be more of it. Any replica
    may, at any time: one at a time does it."""
    newest = await clocks.newest(w.session)
    if newest is None or newest - w.now < TOLERANCE or not await w.session.try_lock_word("clock"):
        return False
    if await clocks.set_ranks_back(w.session, w.now, newest - w.now) == clocks.RANKS_AT_ONCE:
        return True
    await clocks.set_moments_back(w.session, w.now, newest)
    w.fact("clock.set_back", seconds=round((newest - w.now).total_seconds(), 3))
    w.hint("free", "dispatch", "alarms", "courier", "wallboard")
    return False
