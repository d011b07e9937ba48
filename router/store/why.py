"""Why, as queries: why nothing comes to an agent, and who could take a task and who not."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from msgspec.structs import replace
from sqlalchemy import and_, select, text

from router.model.agents import HEARTBEAT_LEASE, Agent, Wish
from router.model.base import vouched
from router.model.campaigns import Queue, Ruleset
from router.model.routing import Head, Owed, Reason, keeps_him, why_not, why_nothing
from router.model.tasks import HELD, Reservation, Task, TaskKind, TaskState
from router.store import switches
from router.store.db import ReadSession
from router.store.rounds import KEPT, LANES, Kept, Place, lane_of, owing

MOST_OF_A_LANE = 200
"""A longer lane is counted as so many: a reason is told just as well by them."""
MOST_AGENTS = 200
MOST_DECISIONS = 20

# All of a lane is refused for one reason, but for single tasks: those he just said no to, and those kept for others.
_FOR_AGENT = text(
    f"""
    {LANES}
    select lanes.stopped, lanes.tier, first.rank, lanes.skills, lanes.kind, lanes.row, r.version, r.body::text,
      counted.many, counted.excluded, counted.kept, counted.owner, q.handle_seconds
    from lanes join queues q on q.id = lanes.queue_id left join rulesets r on r.id = lanes.rules_id
    cross join lateral (
      select t.rank from tasks t where t.pool = :pool and t.state = 'queued' and t.lane = lanes.lane
      order by t.rank limit 1) first
    cross join lateral (
      select count(*) as many, count(*) filter (where one.excluded) as excluded,
        count(*) filter (where not one.excluded and one.owner is not null) as kept, min(one.owner) as owner
      from (
        select
          exists (select from exclusions e where e.task_id = t.id and e.agent_id = :agent and e.until > :now) excluded,
          case when t.prefers <> :agent and {KEPT} then t.prefers end as owner
        from tasks t where t.pool = :pool and t.state = 'queued' and t.lane = lanes.lane
        limit :most) one) counted
    order by lanes.lane
    """  # noqa: S608  a constant
)


_IS_KEPT = text(f"select {KEPT} from tasks t where t.id = :task")  # noqa: S608  a constant


async def nothing_for(session: ReadSession, agent: Agent, now: datetime) -> list[Reason]:
    """Why nothing of what waits in his pool goes to this agent at `now` (aware): reasons with the numbers of tasks."""
    rows = await session.rows(_FOR_AGENT, {
        "pool": agent.pool, "agent": agent.id, "now": now, "alive_since": now - HEARTBEAT_LEASE,
        "most": MOST_OF_A_LANE,
    })
    heads: list[Head] = []
    many: dict[int, int] = {}
    excluded: set[tuple[int, int]] = set()
    stopped: Counter[str] = Counter()
    for switch, tier, rank, skills, kind, step, version, body, all_of_them, refused, kept, owner, handle in rows:
        if switch:
            stopped[switch] += all_of_them
            continue
        lane = lane_of(Place(tier, skills, TaskKind(kind), step, handle), version, body)
        for times, keeper, said_no in (
            (all_of_them - refused - kept, None, False), (refused, None, True), (kept, owner, False)
        ):
            if times:
                number = -1 - len(heads)  # it stands for them all
                until = Kept(keeper, now + HEARTBEAT_LEASE, keeper is not None)
                heads.append(lane.head(number, rank, until))
                many[number] = times
                if said_no:
                    excluded.add((number, agent.id))
    owes = await owing(session, [agent.id], now)
    candidate = replace(agent.candidate(now), owes=owes.get(agent.id))
    reasons = why_nothing(heads, candidate, now.timestamp() * 1000, excluded=excluded, many=many)
    codes = {"pull": "pull", "nurture": "nurture_paused", "campaign": "campaign_paused",
             "trunk": "trunk_paused"}
    reasons += [{"code": codes[switch], "tasks": times} for switch, times in stopped.items()]
    return sorted(reasons, key=lambda one: -one["tasks"])


class Decision(NamedTuple):
    """A reservation that was made for a task, and its agent's name."""

    reservation: Reservation
    agent: str


class Standing(NamedTuple):
    """How an agent stands to a waiting task: `reason` is None when he could take it now."""

    agent: Agent
    reason: Reason | None


class TaskView(NamedTuple):
    task: Task
    queue: Queue
    rules: Ruleset | None
    decisions: Sequence[Decision]
    standings: Sequence[Standing]


async def of_task(session: ReadSession, task_id: int, now: datetime) -> TaskView | None:
    """All that decides, or decided, who takes this task: reservations newest first; while it waits, every agent of its
    pool."""
    rows = await session.rows(
        select(Task, Queue, Ruleset).join(Queue, Queue.id == Task.queue_id)
        .outerjoin(Ruleset, Ruleset.id == Task.rules_id).where(Task.id == task_id)
    )
    if not rows:
        return None
    task, queue, rules = rows[0]
    made = await session.rows(
        select(Reservation, Agent.name).join(Agent, Agent.id == Reservation.agent_id)
        .where(Reservation.task_id == task_id).order_by(Reservation.id.desc()).limit(MOST_DECISIONS)
    )
    standings = await _standings(session, task, rules, now) if task.state is TaskState.queued else []
    return TaskView(task, queue, rules, [Decision(row[0], row[1]) for row in made], standings)


async def _standings(session: ReadSession, task: Task, rules: Ruleset | None, now: datetime) -> list[Standing]:
    rows = await session.rows(
        select(Agent, Task.state)
        .outerjoin(Task, and_(Task.agent_id == Agent.id, Task.state.in_(HELD)))
        .where(Agent.pool == task.pool, Agent.disabled_at.is_(None)).order_by(Agent.name, Agent.id).limit(MOST_AGENTS)
    )
    agents: dict[int, tuple[Agent, set[TaskState]]] = {}
    for agent, state in rows:
        agents.setdefault(agent.id, (agent, set()))[1].add(state)
    here = await _is_kept(session, task.id, now)
    body = msgspec.json.encode(rules.body).decode() if rules else None
    queue = vouched(await session.get(Queue, task.queue_id))
    place = Place(task.tier, task.skills, task.kind, task.row, queue.handle_seconds)
    lane = lane_of(place, rules.version if rules else None, body)
    head = lane.head(task.id, task.rank, Kept(task.prefers, task.prefers_until, here))
    without = await _excluded(session, task.id, now)
    stopped = await switches.stops(session, task, now)
    owes = await owing(session, list(agents), now)
    standings = [
        Standing(agent, _reason(agent, states, head, without, now, owes.get(agent.id)))
        for agent, states in agents.values()
    ]
    return [Standing(one.agent, one.reason or ({"code": "stopped"} if stopped else None)) for one in standings]


def _reason(
    agent: Agent, states: Iterable[TaskState | None], head: Head, without: set[tuple[int, int]], now: datetime,
    owes: Owed | None,
) -> Reason | None:
    """What he lacks is told before what will pass: who lacks the skills does not get it when he is back either."""
    reason = why_not(head, agent.candidate(now), excluded=without)
    if reason is not None and reason["code"] in ("lacks", "level"):
        return reason
    if agent.wish in (Wish.off, Wish.paused):
        return {"code": agent.wish.value}
    if not agent.present(now):
        return {"code": "unreachable"}
    if TaskState.reserved in states:
        return {"code": "ringing"}
    if agent.back_off_until is not None and agent.back_off_until > now and reason is None:
        return {"code": "resting"}
    if reason is None and owes is not None:
        reason = keeps_him(head, replace(agent.candidate(now), owes=owes), now.timestamp() * 1000)
    if reason is None and head.only_he and head.prefers != agent.id:
        return {"code": "only_owner", "owner": head.prefers}
    if reason is None and head.prefers not in (None, agent.id) and head.prefers_here and (
        head.prefers_until > now.timestamp() * 1000
    ):
        return {"code": "kept_for", "owner": head.prefers}
    return reason


async def _is_kept(session: ReadSession, task_id: int, now: datetime) -> bool:
    """Whether rounds keep it for somebody, by their own rule."""
    rows = await session.rows(_IS_KEPT, {"task": task_id, "now": now, "alive_since": now - HEARTBEAT_LEASE})
    return bool(rows[0][0])


async def _excluded(session: ReadSession, task_id: int, now: datetime) -> set[tuple[int, int]]:
    rows = await session.rows(
        text("select task_id, agent_id from exclusions where task_id = :task and until > :now"),
        {"task": task_id, "now": now},
    )
    return {(row[0], row[1]) for row in rows}


async def names(session: ReadSession, reasons: Iterable[Reason]) -> Mapping[int, str]:
    """The names of the agents these reasons speak of, by their ids."""
    ids: set[int] = set()
    for reason in reasons:
        inner = reason.get("by") or {}
        spoken_of = (reason.get("owner"), reason.get("supervisor"), inner.get("agent"), inner.get("owner"))
        ids.update(one for one in spoken_of if one)
        ids.update(reason.get("agents") or ())
    if not ids:
        return {}
    rows = await session.rows(select(Agent.id, Agent.name).where(Agent.id.in_(sorted(ids))))
    return {row[0]: row[1] for row in rows}
