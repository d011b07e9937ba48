"""Forecast as a query: what fresh work is to be expected soon, and whether quiet quotes have had their share."""

from datetime import datetime

from sqlalchemy import text

from router.model.forecast import DAY, FRESH, LOOK_BACK, foreseen
from router.model.levels import levels_of
from router.model.routing import ORDINARY, Policy
from router.store.db import ReadSession

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
    arrived = await session.rows(_ARRIVED, {"since": now - LOOK_BACK, "pool": pool, "fresh": FRESH})
    done = (await session.rows(_DONE, {"since": now - DAY, "pool": pool, "nurture": ORDINARY.nurture_from}))[0]
    return foreseen(((levels_of(row[0]), row[1]) for row in arrived), done[0], done[1])
