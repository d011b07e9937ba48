"""Staffing as a query: whether somebody is there for a queue."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, func, or_, select

from router.model.agents import HEARTBEAT_LEASE, Agent, Wish
from router.store.db import ReadSession


@dataclass(frozen=True)
class Staffing:
    """`there`: somebody with the skills is at his desk, be it busy; `free`: one of them could take a call now."""

    there: bool
    free: bool


async def staffing(session: ReadSession, pool: int, skills: list[str], now: datetime) -> Staffing:
    """Who is there for work of this pool and these skills at `now` (aware)."""
    ready = Agent.wish.in_([Wish.ready, Wish.ready_once])
    free = and_(ready, Agent.load < Agent.capacity, or_(Agent.back_off_until.is_(None), Agent.back_off_until <= now))
    rows = await session.rows(
        select(func.count(), func.count().filter(free)).where(
            Agent.pool == pool,
            Agent.skills.contains(skills),
            Agent.disabled_at.is_(None),
            Agent.heartbeat_at > now - HEARTBEAT_LEASE,
            or_(ready, Agent.load > 0),
        )
    )
    return Staffing(there=rows[0][0] > 0, free=rows[0][1] > 0)
