"""Aging as queries: whose rules, queue or patience with him change because he has waited so long."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import ARRAY, BigInteger, Text, bindparam, select, text

from router.model.campaigns import Campaign, Queue, Ruleset
from router.model.tasks import Task
from router.store.db import ReadSession, WriteSession
from router.store.lanes import EVERY_LANE

MOST_AGED = 200
"""So many of a lane are moved on in one transaction; the rest a moment later."""


class Step(StrEnum):
    """What waiting so long leads to, the last one first."""

    expire = "expire"
    overflow = "overflow"
    relax = "relax"


class Aged(NamedTuple):
    """A waiting task, locked, and what is due for it."""

    task_id: int
    step: Step


# What decides at which age something is due is the same for all of a lane, and its order is that of their ages: the
# due ones stand at one end of it. Where the newest is first, ranks are negative, and they stand at the other.
_DUE = text(
    f"""
    with {EVERY_LANE}, steps as (
      select lanes.pool, lanes.lane, step.name, coalesce(r.newest_first, false) as newest,
        cast(:now_ms as bigint) - step.after * 1000 as latest
      from lanes join queues q on q.id = lanes.queue_id left join rulesets r on r.id = lanes.rules_id
      cross join lateral (values
        ('expire', case when lanes.kind in ('call', 'nurture') and lanes.tier <> :promised
          then nullif(q.expire_seconds, 0) end),
        ('overflow', case when q.overflow_id is null then null when q.id = any(:closed) then 0
          else nullif(q.overflow_seconds, 0) end),
        ('relax', r.widens[lanes.row + 1])
      ) step(name, after)
      where step.after is not null
    )
    select due.id, steps.name
    from steps cross join lateral (
      select t.id from tasks t
      where t.pool = steps.pool and t.state = 'queued' and t.lane = steps.lane
        and t.rank between case when steps.newest then - steps.latest else 0 end
          and case when steps.newest then 0 else steps.latest end
        and (steps.name <> 'expire' or not exists (
          select from arrivals a where a.task_id = t.id and a.state = 'waiting'))
      limit :most
      for no key update of t skip locked) due
    """  # noqa: S608  a constant
).bindparams(bindparam("closed", type_=ARRAY(BigInteger)))

_RELAX = text(
    """
    update tasks set row = m.row, lane = m.lane, skills = string_to_array(m.skills, ' ')
    from unnest(:ids, :rows, :lanes, :skills) as m(id, row, lane, skills)
    where tasks.id = m.id and tasks.state = 'queued'
    """
).bindparams(
    bindparam("ids", type_=ARRAY(BigInteger)), bindparam("rows", type_=ARRAY(BigInteger)),
    bindparam("lanes", type_=ARRAY(Text)), bindparam("skills", type_=ARRAY(Text)),
)


async def overflowing(session: ReadSession) -> Sequence[tuple[Campaign, Queue]]:
    """The queues that another one takes over from."""
    rows = await session.rows(
        select(Campaign, Queue).join(Queue, Queue.campaign_id == Campaign.id).where(Queue.overflow_id.is_not(None))
    )
    return [(row[0], row[1]) for row in rows]


async def due(session: WriteSession, now: datetime, *, promised: int, closed: Sequence[int]) -> list[Aged]:
    """Whoever has waited long enough for something, each once, with the last thing that is due. From the queues that
    are `closed` whoever can be is taken over at once. Tasks of the tier `promised` and callers on the line are not
    given up."""
    values = {"now_ms": int(now.timestamp() * 1000), "promised": promised, "closed": closed, "most": MOST_AGED}
    found: dict[int, Step] = {}
    order = list(Step)
    for task_id, name in await session.execute(_DUE, values):
        step = Step(name)
        found[task_id] = min(step, found.get(task_id, step), key=order.index)
    return [Aged(task_id, step) for task_id, step in sorted(found.items())]


async def waiting(session: ReadSession, ids: Iterable[int]) -> Sequence[tuple[Task, Queue, Ruleset | None]]:
    """These tasks with their queues and rules, by rising id."""
    rows = await session.rows(
        select(Task, Queue, Ruleset).join(Queue, Queue.id == Task.queue_id)
        .outerjoin(Ruleset, Ruleset.id == Task.rules_id).where(Task.id.in_(list(ids))).order_by(Task.id)
        .execution_options(populate_existing=True)
    )
    return [(row[0], row[1], row[2]) for row in rows]


async def relax(session: WriteSession, moved: Sequence[tuple[int, int, str, list[str]]]) -> None:
    """Moves tasks to a later row of their rules: (task, row, lane, skills spelled out)."""
    ids, rows, lanes, skills = zip(*moved, strict=True)
    await session.execute(
        _RELAX, {"ids": ids, "rows": rows, "lanes": lanes, "skills": [" ".join(one) for one in skills]}
    )
