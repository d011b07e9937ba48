"""Staffing as a query: whether somebody is there for a queue, how long it will take, and who will be there when."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, func, or_, select, text

from router.model.agents import HEARTBEAT_LEASE, WILLING, Agent, Role
from router.model.campaigns import Queue
from router.model.hours import Opening, week_of
from router.model.slots import shifts_of
from router.model.tasks import TIER_NOW
from router.store.db import ReadSession

MOST_COUNTED = 500
"""Nobody waits for a longer queue than this to be counted."""


_WAITING = text(
    """
    with recursive lanes as (
      (select lane, tier from tasks where pool = :pool and state = 'queued' order by lane limit 1)
      union all
      select next.* from lanes cross join lateral (
        select t.lane, t.tier from tasks t where t.pool = :pool and t.state = 'queued' and t.lane > lanes.lane
        order by t.lane limit 1) next
    )
    select count(*) from (
      select from lanes cross join lateral (
        select from tasks t where t.pool = :pool and t.state = 'queued' and t.lane = lanes.lane
        order by t.rank, t.id limit :most) one
      where lanes.tier = :tier limit :most) ahead
    """
)


@dataclass(frozen=True)
class Staffing:
    """`there`: somebody with the skills is at his desk, be it busy; `free`: one of them could take a call now.

    `present` and `ready` are how many of each."""

    there: bool
    free: bool
    present: int = 0
    ready: int = 0


async def staffing(session: ReadSession, pool: int, skills: list[str], now: datetime) -> Staffing:
    """Who is there for work of this pool and these skills at `now` (aware)."""
    ready = Agent.wish.in_(WILLING)
    free = and_(
        ready, Agent.call_load < Agent.call_capacity, Agent.video_load == 0,
        or_(Agent.back_off_until.is_(None), Agent.back_off_until <= now),
    )
    rows = await session.rows(
        select(func.count(), func.count().filter(free)).where(
            Agent.pool == pool,
            Agent.skills.contains(skills),
            Agent.disabled_at.is_(None),
            Agent.heartbeat_at > now - HEARTBEAT_LEASE,
            or_(ready, Agent.busy_since.is_not(None)),
        )
    )
    present, free_now = rows[0]
    return Staffing(there=present > 0, free=free_now > 0, present=present, ready=free_now)


async def estimate(session: ReadSession, queue: Queue, people: Staffing, now: datetime) -> int | None:
    """Seconds until somebody who asks now is talked to; None when nobody is there.

    With somebody free it is the time of a ring. Otherwise one of `present` busy agents becomes free every
    `handle_seconds` / `present` seconds, for each who waits before him and then for him.
    """
    if not people.present:
        return None
    if people.ready:
        return queue.ring_seconds
    return (await waiting(session, queue.pool) + 1) * queue.handle_seconds // people.present


async def waiting(session: ReadSession, pool: int) -> int:
    """How many wait in this pool to be called now, counted up to MOST_COUNTED. By lanes, as the index has them."""
    rows = await session.rows(_WAITING, {"pool": pool, "tier": TIER_NOW, "most": MOST_COUNTED})
    return int(rows[0][0])


async def planned(session: ReadSession, queue: Queue, zone: str) -> Mapping[Opening, int]:
    """How many agents who may take this queue's work have which weekly hours, in the wall time of `zone`.

    Agents without hours of their own work whenever the queue is open. Supervisors and administrators are counted only
    in hours they gave: they may take calls, but are not there for it.
    """
    rows = await session.rows(
        select(Agent.shifts).where(
            Agent.pool == queue.pool,
            Agent.skills.contains(list(queue.skills)),
            Agent.disabled_at.is_(None),
            or_(Agent.role == Role.agent, Agent.shifts != text("'{}'::jsonb")),
        )
    )
    return shifts_of(Opening(zone, week_of(row[0])) for row in rows)
