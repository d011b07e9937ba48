"""Waiting as queries: who is before somebody in the line, how long talks take, and what he was told."""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, bindparam, text

from router.model.agents import HEARTBEAT_LEASE
from router.model.base import vouched
from router.model.campaigns import Queue
from router.model.tasks import Task
from router.model.waiting import ENOUGH, RECENT, Standing, Told, reckoned, told
from router.store.db import ReadSession, WriteSession
from router.store.staffing import MOST_COUNTED, Staffing

MOST_TALKS = 100
"""The mean is that of so many talks at most, the last ones."""

# Lane by lane, in the order of the index, or whole lanes would be read; one that is not before him is not looked into.
# Who needs somebody else than the agents he waits for is not before him. Where the newest is first the rank is below
# zero; the age counts there too.
_AHEAD = text(
    """
    with recursive lanes as (
      (select lane, tier, skills from tasks where pool = :pool and state = 'queued' order by lane limit 1)
      union all
      select next.* from lanes cross join lateral (
        select t.lane, t.tier, t.skills from tasks t
        where t.pool = :pool and t.state = 'queued' and t.lane > lanes.lane order by t.lane limit 1) next
    ), his as materialized (
      select a.skills from agents a
      where a.pool = :pool and a.disabled_at is null and a.heartbeat_at > :alive_since
        and a.skills @> (select skills from tasks where id = :id)
        and (a.wish in ('ready', 'ready_once') or a.busy_since is not null)
    )
    select count(*) from (
      select from lanes cross join lateral (
        (select from tasks t where t.pool = :pool and t.state = 'queued' and t.lane = lanes.lane
           and lanes.tier < :tier order by t.rank, t.id limit :most)
        union all
        (select from tasks t where t.pool = :pool and t.state = 'queued' and t.lane = lanes.lane
           and lanes.lane = :lane and (t.rank, t.id) < (:rank, :id) order by t.rank, t.id limit :most)
        union all
        (select from tasks t where t.pool = :pool and t.state = 'queued' and t.lane = lanes.lane
           and lanes.tier = :tier and lanes.lane <> :lane and t.rank >= 0 and t.rank < :since
         order by t.rank, t.id limit :most)
        union all
        (select from tasks t where t.pool = :pool and t.state = 'queued' and t.lane = lanes.lane
           and lanes.tier = :tier and lanes.lane <> :lane and t.rank < 0 and t.rank > -:since
         order by t.rank, t.id limit :most)
      ) one
      where lanes.tier <= :tier and exists (select from his where his.skills @> lanes.skills)
      limit :most
    ) ahead
    """
).bindparams(*(bindparam(name, type_=BigInteger) for name in ("id", "rank", "since")))

# From the ring, not from the first word: for so long the agent is there for nobody else.
_TALKS = text(
    """
    with done as materialized (
      select subject_id, lead_id, seq, at from facts
      where kind = 'task.closed' and at > :since and at <= :now order by at desc limit 5 * :most
    ), taken as (
      select extract(epoch from done.at - held.began) as seconds
      from done
      join tasks t on t.id = done.subject_id
      cross join lateral (
        select max(b.at) filter (where b.kind = 'task.reserved') as began, bool_or(b.kind = 'task.engaged') as met
        from facts b
        where b.lead_id = done.lead_id and b.subject_id = done.subject_id and b.seq < done.seq
          and b.kind in ('task.reserved', 'task.engaged')) held
      where t.queue_id = :queue and t.kind <> 'chat' and held.met and held.began is not null
      order by done.at desc limit :most
    )
    select count(*), avg(seconds) from taken
    """
).bindparams(*(bindparam(name, type_=DateTime(timezone=True)) for name in ("since", "now")))

# A round that holds the row at this moment is not waited for: then he is told what he was told before.
_KEEP = text(
    """
    update tasks set expected_at = :at, expected_present = :present
    where id = (
      select id from tasks
      where id = :id and state = 'queued' and expected_at is not distinct from :before
      for no key update skip locked)
    returning id
    """
).bindparams(
    bindparam("id", type_=BigInteger), bindparam("at", type_=DateTime(timezone=True)),
    bindparam("before", type_=DateTime(timezone=True)),
)


def told_before(task: Task) -> Told | None:
    """What its person was told since he waits in this line; what he was told before he had himself put off is over."""
    if task.expected_at is None or task.expected_at <= task.enqueued_at:
        return None
    return Told(task.expected_at, task.expected_present)


async def meant_for(session: ReadSession, task: Task, people: Staffing, now: datetime) -> Told | None:
    """What the person of a queued task is to be told at `now` (aware); `people` are those he waits for."""
    return told(told_before(task), await _reckoned_for(session, task, people, now))


async def _reckoned_for(session: ReadSession, task: Task, people: Staffing, now: datetime) -> Told | None:
    if not people.present:
        return None
    queue = vouched(await session.get(Queue, task.queue_id))
    ahead = await before_him(session, task, now)
    seconds = await handle_seconds(session, queue, now)
    return reckoned(Standing(ahead, people.present, people.ready, seconds, queue.ring_seconds), now)


async def before_him(session: ReadSession, task: Task, now: datetime, most: int = MOST_COUNTED) -> int:
    """How many are served before this task by the agents it waits for, counted up to `most`."""
    rows = await session.rows(_AHEAD, {
        "pool": task.pool, "lane": task.lane, "tier": task.tier, "rank": task.rank, "since": task.since_ms,
        "id": task.id, "most": most, "alive_since": now - HEARTBEAT_LEASE,
    })
    return int(rows[0][0])


async def handle_seconds(session: ReadSession, queue: Queue, now: datetime) -> float:
    """How long one person takes up an agent of this queue: the mean of late, where there were enough."""
    rows = await session.rows(_TALKS, {"queue": queue.id, "since": now - RECENT, "now": now, "most": MOST_TALKS})
    count, mean = rows[0]
    return float(mean) if count >= ENOUGH else float(queue.handle_seconds)


async def keep(session: WriteSession, task: Task, meant: Told | None) -> bool:
    """Writes down what the person is told; False when he waits no more, somebody else told him something meanwhile, or
    the row is held at this moment."""
    values = {"at": meant and meant.at, "present": meant.present if meant else 0}
    return bool(await session.execute(_KEEP, {"id": task.id, "before": task.expected_at, **values}))
