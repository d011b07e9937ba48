"""Staffing as a query: whether somebody is there for a queue, how long it will take, and who will be there when."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import and_, func, or_, select, text

from router.model.absences import Absence
from router.model.agents import HEARTBEAT_LEASE, WILLING, Agent, Role
from router.model.campaigns import Queue
from router.model.hours import Opening, week_of
from router.model.promises import SlotLoad
from router.model.slots import LATEST, Load, Shift
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


class Planned(NamedTuple):
    """How many agents who may take a queue's work, or that of a queue they share it with, work which shifts; and what
    those other queues have promised."""

    shifts: Mapping[Shift, int]
    loads: Sequence[Load]


async def planned(session: ReadSession, queue: Queue, zone: str, now: datetime, *, only: int | None = None) -> Planned:
    """Who is planned for this queue's work from `now` (aware) on, hours in the wall time of `zone`; of the agents
    `only` this one.

    Agents without hours of their own work whenever the queue is open. Supervisors and administrators are counted only
    in hours they gave: they may take calls, but are not there for it.
    """
    loads, skills = await _promised_beside(session, queue, now)
    rows = await session.rows(
        select(Agent.id, Agent.skills, Agent.shifts).where(
            Agent.pool == queue.pool,
            or_(*(Agent.skills.contains(list(needed)) for needed in skills.values())),
            Agent.disabled_at.is_(None),
            or_(Agent.role == Role.agent, Agent.shifts != text("'{}'::jsonb")),
            *([Agent.id == only] if only is not None else []),
        )
    )
    away = await absences(session, [row[0] for row in rows], now)
    shifts: Counter[Shift] = Counter()
    for agent_id, has, hours in rows:
        lines = frozenset(line for line, needed in skills.items() if needed <= frozenset(has))
        shifts[Shift(Opening(zone, week_of(hours)), tuple(away.get(agent_id, ())), lines)] += 1
    return Planned(shifts, loads)


async def _promised_beside(
    session: ReadSession, queue: Queue, now: datetime
) -> tuple[list[Load], dict[int, frozenset[str]]]:
    """What other queues of the pool have promised, in its order, and what skills they need; this one's among them."""
    rows = await session.rows(
        select(Queue.id, Queue.skills, Queue.slot_minutes, Queue.handle_seconds, SlotLoad.starts_at, SlotLoad.taken)
        .join(SlotLoad, SlotLoad.queue_id == Queue.id)
        .where(
            Queue.pool == queue.pool, Queue.id != queue.id, SlotLoad.taken > 0,
            SlotLoad.starts_at > now - timedelta(hours=4), SlotLoad.starts_at <= now + LATEST,
        )
        .order_by(SlotLoad.starts_at, Queue.id)
    )
    skills = {queue.id: frozenset(queue.skills)} | {row[0]: frozenset(row[1]) for row in rows}
    loads = [
        Load(line, starts_at, starts_at + timedelta(minutes=minutes), taken * seconds)
        for line, _, minutes, seconds, starts_at, taken in rows
    ]
    return loads, skills


async def absences(
    session: ReadSession, agent_ids: Sequence[int], now: datetime
) -> Mapping[int, Sequence[tuple[datetime, datetime]]]:
    """When these agents are known to be away from `now` (aware) on."""
    rows = await session.rows(
        select(Absence.agent_id, Absence.starts_at, Absence.ends_at)
        .where(Absence.agent_id.in_(agent_ids), Absence.ends_at > now).order_by(Absence.starts_at, Absence.id)
    )
    found: dict[int, list[tuple[datetime, datetime]]] = defaultdict(list)
    for agent_id, start, end in rows:
        found[agent_id].append((start, end))
    return found


async def shares_agents(session: ReadSession, queue: Queue) -> bool:
    """Whether another queue has this one's agents."""
    other = select(Queue.id).where(Queue.pool == queue.pool, Queue.id != queue.id).limit(1)
    return await session.scalar(other) is not None
