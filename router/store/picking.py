"""Picking, as a query: what waits in lines where agents pick for themselves."""

from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import text

from router.model.agents import Agent
from router.store.db import ReadSession
from router.store.rounds import LANES

MOST_TO_PICK = 10
"""So many are shown to who picks for himself."""

_TO_PICK = text(
    f"""
    {LANES}
    select head.id, head.since_ms, c.name, q.name, lanes.kind
    from lanes join queues q on q.id = lanes.queue_id
    cross join lateral (
      select t.id, t.contact_id, abs(t.rank) as since_ms from tasks t
      where t.pool = :pool and t.state = 'queued' and t.lane = lanes.lane and not exists (
        select from exclusions e where e.task_id = t.id and e.agent_id = :agent and e.until > :now)
      order by t.rank, t.id limit :most) head
    join contacts c on c.id = head.contact_id
    where lanes.stopped = 'pull' and lanes.skills <@ cast(:skills as text[]) and strpos(:takes, lanes.kind) > 0
    order by lanes.tier, head.since_ms limit :most
    """  # noqa: S608  a constant
)


class Pickable(NamedTuple):
    """A waiting task an agent may pick: its person's name, its line, and since when it waits (ms since 1970)."""

    id: int
    since_ms: int
    name: str
    queue: str
    kind: str

    @property
    def since(self) -> datetime:
        """Since when it waits, in UTC."""
        return datetime.fromtimestamp(self.since_ms / 1000, UTC)


async def to_pick(session: ReadSession, agent: Agent, now: datetime, takes: str) -> list[Pickable]:
    """What waits in lines where agents pick, and this one could take: `takes` are the kinds he has room for."""
    rows = await session.rows(_TO_PICK, {
        "pool": agent.pool, "agent": agent.id, "now": now, "skills": agent.skills, "takes": takes,
        "most": MOST_TO_PICK,
    })
    return [Pickable(*row) for row in rows]
