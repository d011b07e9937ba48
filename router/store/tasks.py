"""Tasks and reservations as queries: the heads of lanes, and reservations made in bulk."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
from sqlalchemy import ARRAY, BigInteger, DateTime, Text, bindparam, select, text

from router.model.base import vouched
from router.model.campaigns import Queue
from router.model.contacts import Contact
from router.model.routing import Candidate, Head, Match
from router.model.tasks import HELD, Reservation, ReservationState, Task, TaskState
from router.store.db import ReadSession, WriteSession

MOST_HEADS = 50
"""How many rows of a lane a round looks at, at most."""

_POOLS = text(
    """
    with recursive waiting as (
      (select pool from tasks where state = 'queued' order by pool limit 1)
      union all
      select (select t.pool from tasks t where t.state = 'queued' and t.pool > waiting.pool order by t.pool limit 1)
      from waiting where waiting.pool is not null
    )
    select array_agg(pool order by pool), pg_try_advisory_xact_lock(hashtextextended('pool:' || min(pool), 7))
    from waiting where pool is not null
    """
)

# Agents without the skills of any lane are left out, or the first ones would hide those who could take something.
_FREE = text(
    """
    with recursive lanes as (
      (select lane, skills from tasks where pool = :pool and state = 'queued' order by lane limit 1)
      union all
      select next.lane, next.skills from lanes cross join lateral (
        select t.lane, t.skills from tasks t where t.pool = :pool and t.state = 'queued' and t.lane > lanes.lane
        order by t.lane limit 1) next
    )
    select id, idle_since, skills from agents
    where pool = :pool and wish in ('ready', 'ready_once') and disabled_at is null and load < capacity
      and heartbeat_at > :alive_since and (back_off_until is null or back_off_until <= :now) and idle_since is not null
      and exists (select from lanes where agents.skills @> lanes.skills)
    order by idle_since, id
    limit :most
    for no key update skip locked
    """
)

# Lanes are found by jumping along the index, and only the first rows of each are read: the backlog is never scanned.
_HEADS = text(
    """
    with recursive lanes as (
      (select lane from tasks where pool = :pool and state = 'queued' order by lane limit 1)
      union all
      select (select t.lane from tasks t where t.pool = :pool and t.state = 'queued' and t.lane > lanes.lane
              order by t.lane limit 1)
      from lanes where lanes.lane is not null
    )
    select head.id, head.tier, head.rank, head.skills, head.without
    from lanes cross join lateral (
      select t.id, t.tier, t.rank, t.skills, array(
        select e.agent_id from exclusions e where e.task_id = t.id and e.agent_id = any(:agents) and e.until > :now
      ) as without
      from tasks t
      where t.pool = :pool and t.state = 'queued' and t.lane = lanes.lane
        and exists (
          select from agents free
          where free.id = any(:agents) and free.skills @> t.skills and not exists (
            select from exclusions e where e.task_id = t.id and e.agent_id = free.id and e.until > :now))
      order by t.rank, t.id
      limit :k
      for no key update of t skip locked
    ) head
    where lanes.lane is not null
    """
).bindparams(bindparam("agents", type_=ARRAY(BigInteger)))

_RESERVE = text(
    """
    with made as (
      insert into reservations (task_id, agent_id, state, why, created_at, expires_at)
      select m.task_id, m.agent_id, 'pending', m.why::jsonb, :now, :now + make_interval(secs => q.ring_seconds)
      from unnest(:tasks, :agents, :whys) as m(task_id, agent_id, why)
      join tasks t on t.id = m.task_id join queues q on q.id = t.queue_id
      order by m.task_id
      on conflict do nothing
      returning id, task_id, agent_id, expires_at
    ), held as (
      update tasks set state = 'reserved', agent_id = made.agent_id, held_until = made.expires_at
      from made where tasks.id = made.task_id
      returning tasks.id, tasks.campaign_id, tasks.lead_id
    ), busy as (
      update agents set load = load + 1 from made where agents.id = made.agent_id
    ), due as (
      insert into alarms (kind, subject_id, due_at, state, failures)
      select 'reservation.expire', id, expires_at, 'pending', 0 from made
    )
    select made.id, made.task_id, made.agent_id, held.campaign_id, held.lead_id
    from made join held on held.id = made.task_id
    """
).bindparams(
    bindparam("tasks", type_=ARRAY(BigInteger)),
    bindparam("agents", type_=ARRAY(BigInteger)),
    bindparam("whys", type_=ARRAY(Text)),
    bindparam("now", type_=DateTime(timezone=True)),
)


class Held(NamedTuple):
    """A reservation just made, and whose it is."""

    id: int
    task_id: int
    agent_id: int
    campaign_id: int
    lead_id: int


async def waiting_pools(session: WriteSession) -> tuple[list[int], bool]:
    """The pools in which a task waits, and whether the first one is now ours for a round (see `run_round`)."""
    row = (await session.execute(_POOLS))[0]
    return row[0] or [], bool(row[1])


async def free_agents(session: WriteSession, pool: int, now: datetime, lease: timedelta) -> list[Candidate]:
    """Who may be given work that waits in the pool, longest idle first, locked; those who are changing are skipped."""
    rows = await session.execute(
        _FREE, {"pool": pool, "now": now, "alive_since": now - lease, "most": MOST_HEADS}
    )
    return [Candidate(row[0], row[1], frozenset(row[2])) for row in rows]


async def heads(
    session: WriteSession, pool: int, agents: Sequence[int], now: datetime
) -> tuple[list[Head], set[tuple[int, int]]]:
    """The first rows of each lane of the pool that one of these agents may take, locked; and the pairs (task, agent)
    that are not made now."""
    values = {"pool": pool, "agents": list(agents), "now": now, "k": min(MOST_HEADS, len(agents))}
    rows = await session.execute(_HEADS, values)
    return (
        [Head(row[0], row[1], row[2], frozenset(row[3])) for row in rows],
        {(row[0], agent) for row in rows for agent in row[4]},
    )


async def reserve(session: WriteSession, matches: Iterable[Match], now: datetime) -> list[Held]:
    """Reserves the pairs in one statement: reservation, task, the agent's load, the alarm that ends the ringing.

    A pair that is held already (a unique index says so) is left out and does not fail the round.
    """
    pairs = list(matches)
    rows = await session.execute(
        _RESERVE,
        {
            "tasks": [pair.task for pair in pairs],
            "agents": [pair.agent for pair in pairs],
            "whys": [msgspec.json.encode(pair.why).decode() for pair in pairs],
            "now": now,
        },
    )
    return [Held(*tuple(row)) for row in rows]


async def queue_of(session: ReadSession, task: Task) -> Queue:
    queue = vouched(await session.get(Queue, task.queue_id))
    return queue


async def newest_of_lead(session: ReadSession, lead_id: int) -> Task | None:
    """The lead's latest task."""
    return await session.scalar(select(Task).where(Task.lead_id == lead_id).order_by(Task.id.desc()).limit(1))


async def waiting_of_number(session: ReadSession, phone: str) -> Sequence[int]:
    """The ids of the waiting tasks of everybody with this telephone number, in any campaign, rising."""
    return await session.scalars(
        select(Task.id)
        .join(Contact, Contact.id == Task.contact_id)
        .where(Contact.phone == phone, Task.state.in_((TaskState.queued, TaskState.scheduled)))
        .order_by(Task.id)
    )


async def ringing_since(session: ReadSession, after: datetime, before: datetime) -> Sequence[int]:
    """The agents at whom a ring began in this span and still rings."""
    return await session.scalars(
        select(Reservation.agent_id).where(
            Reservation.state == ReservationState.pending,
            Reservation.created_at > after,
            Reservation.created_at <= before,
        )
    )


async def with_us(session: ReadSession, contact_id: int) -> bool:
    """Whether the person waits for somebody here, or somebody is busy with him."""
    found = await session.scalar(
        select(Task.id).where(Task.contact_id == contact_id, Task.state.in_((TaskState.queued, *HELD))).limit(1)
    )
    return found is not None
