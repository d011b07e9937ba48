"""Giving by hand: whether an agent can be given the task a supervisor has chosen for him, and why not."""

from datetime import datetime

from router.model.agents import WILLING, Agent
from router.model.levels import levels_of
from router.model.routing import Head, Reason, takes, why_not
from router.model.tasks import Task, TaskKind, occupies


def hindrance(agent: Agent, task: Task, now: datetime) -> Reason | None:
    """Why this agent cannot take this task at `now` (aware), as a code with its values; None when he can.

    Whose turn it is does not count, nor a short rest, nor that he has just said no to it: a supervisor knows better.
    """
    if agent.wish not in WILLING:
        return {"code": "not_ready"}
    if not agent.present(now):
        return {"code": "unreachable"}
    if agent.pool != task.pool:
        return {"code": "other_pool"}
    needs = levels_of(task.skills)
    return why_not(
        Head(task.id, task.tier, task.rank, needs, task.since_ms, occupies(task.kind)), agent.candidate(now)
    )


def free(agent: Agent, now: datetime) -> bool:
    """Whether he could be given anything at all at `now` (aware)."""
    return agent.wish in WILLING and agent.present(now) and bool(takes(agent.candidate(now)))


def stopped_by(
    kind: TaskKind, tier: int, *, nurture_off: bool, campaign_paused: bool, trunk_paused: bool = False
) -> str:
    """What keeps a task from being handed out: a supervisor has paused it ("nurture", "campaign"), or nobody is
    dialled on its line ("trunk"); or "". Who waits at the telephone, or writes, is never kept waiting by it.
    `store.rounds` says the same of lanes."""
    if kind is TaskKind.nurture and nurture_off:
        return "nurture"
    called = tier > 0 and kind in (TaskKind.call, TaskKind.nurture)
    if called and campaign_paused:
        return "campaign"
    return "trunk" if called and trunk_paused else ""
