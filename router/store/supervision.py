"""The supervisor's part of the wallboard: who needs him, what waits longest, and who could be given it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from sqlalchemy import BigInteger, bindparam, select, text

from router.model.agents import Agent, Wish
from router.model.alarms import Alarm
from router.model.campaigns import Queue
from router.model.giving import free, hindrance, stopped_by
from router.model.levels import levels_of
from router.model.quotes import Quote, QuoteState
from router.model.tasks import Task, TaskState
from router.store import alarms, switches
from router.store.db import ReadSession
from router.store.lanes import EVERY_LANE
from router.store.promises import Troubled, troubled
from router.store.screens import AgentLine
from router.store.switches import HouseView

MOST_WAITING = 20
MOST_PARKED = 12
MOST_CHOICES = 30
"""So many agents a task can be given to are named; they are in the order of their names."""

# Lane by lane as in a round: only the first rows of each are read, at the end where the oldest stand.
_LONGEST = text(
    f"""
    with {EVERY_LANE}
    select head.id from lanes cross join lateral (
      (select t.id, t.enqueued_at from tasks t
       where t.state = 'queued' and t.pool = lanes.pool and t.lane = lanes.lane and t.rank >= 0
       order by t.rank, t.id limit :most)
      union all
      (select t.id, t.enqueued_at from tasks t
       where t.state = 'queued' and t.pool = lanes.pool and t.lane = lanes.lane and t.rank < 0
       order by t.rank desc, t.id desc limit :most)
    ) head
    order by head.enqueued_at, head.id limit :most
    """  # noqa: S608  a constant
).bindparams(bindparam("most", type_=BigInteger))


class Waiting(NamedTuple):
    """A task that waits, without a word of its person. `stopped` is the switch that keeps it from being handed
    out, if any; `able` are some of the agents it could be given to now."""

    task: Task
    queue: str
    needs: Mapping[str, int]
    stopped: str
    able: Sequence[Agent]


class Awaiting(NamedTuple):
    """A quote that waits for a supervisor, without a word of its person, and the name of its agent."""

    quote: Quote
    agent: str


@dataclass(frozen=True)
class Supervision:
    """`asking` call for help, the first one first. `stuck` are wrap-ups past their time. `paused` are agents whom the
    house has paused. `moving` are, by task, the agents to whom what rings could be given instead. `promises`
    are in danger, or were not kept. `quotes` go further below the catalogue than their agents may, the first one
    first. `parked` is what was due, failed five times, and waits for a person."""

    asking: Sequence[AgentLine]
    stuck: Sequence[tuple[AgentLine, Task]]
    paused: Sequence[AgentLine]
    waiting: Sequence[Waiting]
    moving: Mapping[int, Sequence[Agent]]
    house: HouseView
    promises: Sequence[Troubled] = ()
    quotes: Sequence[Awaiting] = ()
    parked: Sequence[Alarm] = ()


async def supervision(session: ReadSession, lines: Sequence[AgentLine], now: datetime) -> Supervision:
    """What a supervisor can do something about at `now` (aware); `lines` is the team as the board has it."""
    asking = sorted((line for line in lines if line.agent.help_at), key=lambda line: (line.agent.help_at, line.name))
    held = [(line, task) for line in lines for task in line.tasks]
    stuck = [pair for pair in held if overdue(pair[1], now)]
    paused = [line for line in lines if line.agent.wish is Wish.paused
              and line.agent.pause_reason not in ("", "supervisor")]
    ringing = [task for _, task in held if task.state is TaskState.reserved]
    rung = {task.agent_id for task in ringing}
    others = sorted(
        (line.agent for line in lines if line.agent.id not in rung and free(line.agent, now)),
        key=lambda agent: (agent.name, agent.id),
    )
    house = await switches.house(session)
    waiting = await _longest(session, others, house, now)
    moving = {task.id: able(others, task, now) for task in ringing}
    in_danger = await troubled(session, now, MOST_WAITING)
    failed = await alarms.parked(session, MOST_PARKED)
    return Supervision(asking, stuck, paused, waiting, moving, house, in_danger, await _awaiting(session), failed)


async def _awaiting(session: ReadSession) -> list[Awaiting]:
    rows = await session.rows(
        select(Quote, Agent.name).join(Agent, Agent.id == Quote.agent_id)
        .where(Quote.state == QuoteState.awaiting).order_by(Quote.id).limit(MOST_WAITING)
    )
    return [Awaiting(row[0], row[1]) for row in rows]


def overdue(task: Task, now: datetime) -> bool:
    """Whether its wrap-up is past its time."""
    return task.state is TaskState.wrapping and task.held_until is not None and task.held_until <= now


async def _longest(session: ReadSession, others: Sequence[Agent], house: HouseView, now: datetime) -> list[Waiting]:
    rows = await session.rows(_LONGEST, {"most": MOST_WAITING})
    found = await session.rows(
        select(Task, Queue.name).join(Queue, Queue.id == Task.queue_id).where(Task.id.in_([row[0] for row in rows]))
        .order_by(Task.enqueued_at, Task.id)
    )
    paused = {one.id for one in house.campaigns if one.paused}
    off = house.nurture_off is not None
    closed = {one.caller_id for one in house.failing if one.closed_until(now) is not None}
    waits = {one.id for one in house.campaigns if one.caller_id in closed}
    made = []
    for task, queue in found:
        stopped = stopped_by(task.kind, task.tier, nurture_off=off, campaign_paused=task.campaign_id in paused,
                             trunk_paused=task.campaign_id in waits)
        choices = () if stopped else able(others, task, now)
        made.append(Waiting(task, queue, levels_of(task.skills), stopped, choices))
    return made


def able(agents: Sequence[Agent], task: Task, now: datetime) -> list[Agent]:
    """Some of these agents who could be given the task."""
    could = (agent for agent in agents if hindrance(agent, task, now) is None)
    return list(islice(could, MOST_CHOICES))
