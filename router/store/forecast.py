"""Forecast as a query: what fresh work is to be expected soon, and whether quiet quotes have had their share."""

from datetime import datetime, timedelta

from sqlalchemy import text

from router.model.levels import levels_of
from router.model.routing import ORDINARY, Expected, Policy
from router.store.db import ReadSession

LOOK_BACK = timedelta(minutes=15)
"""What came within so long says what will come."""
LOOK_AHEAD = timedelta(minutes=2)
"""Somebody is kept free for what comes within so long: about the time a nurture call takes to be placed and begun."""
LIKELY = 0.7
"""So many expected arrivals make one more likely than not: 1 - exp(-0.7) is a half."""
NURTURE_SHARE = 0.1
"""Tiers from `Policy.nurture_from` on are owed this share of what is done in a day, so that they do not starve."""
FRESH = 2
"""The last tier of fresh work."""

_ARRIVED = text(
    """
    select t.skills, count(*) from facts f join tasks t on t.id = f.subject_id
    where f.kind = 'task.queued' and f.at > :since and not f.data ? 'reason' and t.pool = :pool and t.tier <= :fresh
    group by t.skills order by t.skills
    """
)
_DONE = text(
    """
    select count(*) filter (where t.tier >= :nurture), count(*) from facts f join tasks t on t.id = f.subject_id
    where f.kind = 'task.closed' and f.at > :since and t.pool = :pool
    """
)


async def policy(session: ReadSession, pool: int, now: datetime) -> Policy:
    """The pool's policy at `now` (aware), with what is expected."""
    ahead = LOOK_AHEAD / LOOK_BACK
    arrived = await session.rows(_ARRIVED, {"since": now - LOOK_BACK, "pool": pool, "fresh": FRESH})
    done = (await session.rows(_DONE, {
        "since": now - timedelta(days=1), "pool": pool, "nurture": ORDINARY.nurture_from,
    }))[0]
    expected = [Expected(levels_of(row[0]), row[1] * ahead) for row in arrived if row[1] * ahead >= LIKELY]
    return Policy(expected=expected, owed=done[1] > 0 and done[0] < NURTURE_SHARE * done[1])
