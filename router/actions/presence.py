"""Presence: what agents want, whether they are there, and their capacity."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from router.book import Writing
from router.model.agents import (
    BACK_OFF,
    HEARTBEAT_LEASE,
    MISSES_UNTIL_PAUSE,
    PAUSED_BY_MISSES,
    PAUSED_BY_ONCE,
    WILLING,
    Agent,
    Wish,
)
from router.model.base import vouched
from router.model.errors import Conflict, NotFound
from router.model.hours import end_of_day
from router.model.tasks import HELD, Task, TaskKind, occupies
from router.store import agents


async def set_wish(w: Writing, agent_id: int, wish: Wish, *, reason: str = "", by: int | None = None) -> Agent:
    """What the agent wants from now on, or a supervisor (`by`) wants of him, for a `reason`. Asking for what is already
    so changes nothing. His turn is neither won nor lost by it: a pause ends where it began. Who is made ready while his
    browser is away is eligible from its next answer on. Raises NotFound."""
    agent = await w.session.locked(Agent, agent_id)
    if agent is None or agent.disabled_at is not None:
        raise NotFound("There is no such agent.")
    if agent.wish is wish:
        return agent
    was_willing = agent.wish in WILLING
    agent.wish, agent.pause_reason = wish, "" if wish in WILLING else reason
    if wish in WILLING:
        agent.misses, agent.back_off_until = 0, None
        if not was_willing:
            _begin_idle(agent, w.now)
    else:
        _stop_idle(agent, w.now)
        if wish is Wish.off:
            agent.idle_kept_ms = 0
    await w.session.flush()
    said: dict[str, Any] = {name: value for name, value in (("reason", reason), ("by", by)) if value}
    w.fact(f"agent.{wish.value}", agent_id=agent_id, subject_id=agent_id, **said)
    w.hint("free", "dispatch", f"agent:{agent_id}", "wallboard")
    return agent


async def beat(w: Writing, agent_ids: Sequence[int]) -> None:
    """These agents' browsers have just answered. Not facts: one UPDATE for all, in a transaction of its own. But the
    end of a silence is one: what an agent was there for is reckoned with it."""
    was_away = await agents.beat(w.session, agent_ids, w.now)
    for agent_id, since in was_away.items():
        if since is not None:
            w.fact("desk.back", agent_id=agent_id, subject_id=agent_id, since=since.isoformat())
    if was_away:
        w.hint("free", "dispatch", "wallboard", *(f"agent:{agent_id}" for agent_id in was_away))


def _there_until(agent: Agent, now: datetime) -> datetime:
    """Now, or when his browser's last answer ceased to count: what comes after that `beat` leaves out."""
    return now if agent.heartbeat_at is None else min(now, agent.heartbeat_at + HEARTBEAT_LEASE)


def _begin_idle(agent: Agent, now: datetime) -> None:
    agent.idle_since = _there_until(agent, now) - timedelta(milliseconds=agent.idle_kept_ms)
    agent.idle_kept_ms = 0


def _stop_idle(agent: Agent, now: datetime) -> None:
    if agent.idle_since is not None:
        until = agent.turn_kept_at or _there_until(agent, now)
        agent.idle_kept_ms = max(0, int((until - agent.idle_since).total_seconds() * 1000))
    agent.idle_since = agent.turn_kept_at = None


def took(agent: Agent, now: datetime, zone: str, *, costs_turn: bool) -> None:
    """The agent has accepted a task: it counts in his day, which is a day in `zone` (IANA), and costs him his turn, but
    for what was kept for him."""
    agent.misses = 0
    if agent.day_ends is None or agent.day_ends <= now:
        agent.taken = agent.busy_ms = agent.idle_ms = 0
        agent.day_ends = end_of_day(now, zone)
    agent.taken += 1
    if costs_turn:
        agent.turn_kept_at, agent.idle_kept_ms = None, 0
        agent.idle_since = now if agent.wish in WILLING else None


async def look_at(w: Writing, agent_id: int, task_id: int) -> None:
    """Which of the tasks he holds the agent's desk shows. Raises Conflict when he does not hold it."""
    task = await w.session.get(Task, task_id)
    if task is None or task.agent_id != agent_id or task.state not in HELD:
        raise Conflict("This task is not yours any more.")
    vouched(await w.session.locked(Agent, agent_id)).focus = task_id
    await w.session.flush()
    w.hint(f"agent:{agent_id}")


def _count(agent: Agent, kind: TaskKind, change: int) -> None:
    load = f"{occupies(kind).value}_load"
    setattr(agent, load, max(0, getattr(agent, load) + change))


async def occupy(w: Writing, agent: Agent, kind: TaskKind) -> None:
    """This agent, locked, is asked about a task that stays another's: he holds as much as if it were his, and it costs
    him no turn. `release` gives it back."""
    if agent.busy_since is None:
        if agent.idle_since is not None:
            agent.idle_ms += max(0, int((w.now - agent.idle_since).total_seconds() * 1000))
        agent.busy_since = w.now
    agent.turn_kept_at = agent.turn_kept_at or w.now
    _count(agent, kind, 1)
    await w.session.flush()


async def exchange(w: Writing, agent_id: int, ended: TaskKind, begun: TaskKind) -> None:
    """The agent goes on with the same person in another way. Raises Conflict when he cannot take that beside what he
    holds."""
    agent = vouched(await w.session.locked(Agent, agent_id))
    _count(agent, ended, -1)
    _count(agent, begun, 1)
    if agent.call_load > agent.call_capacity or agent.call_load + agent.video_load > 1:
        raise Conflict("You are in a call already. Finish it first.")
    await w.session.flush()


async def release(
    w: Writing, agent_id: int, kind: TaskKind, *, missed: bool = False, rejected: bool = False
) -> None:
    """Gives the agent his capacity for this kind of task back. A miss or a reject costs him a short back-off and his
    turn; repeated misses pause him. What was taken from him before he answered, or was kept for him, costs no turn.
    With the last thing he holds his call for help ends."""
    agent = vouched(await w.session.locked(Agent, agent_id))
    _count(agent, kind, -1)
    agent.misses = agent.misses + 1 if missed else 0
    if agent.load == 0 and agent.busy_since is not None:
        agent.busy_ms += int((w.now - agent.busy_since).total_seconds() * 1000)
        agent.busy_since = None
        _end_help(w, agent)
    if missed or rejected or agent.turn_kept_at is None:
        agent.idle_kept_ms, agent.turn_kept_at = 0, None
        agent.idle_since = w.now if agent.wish in WILLING else None
    elif agent.idle_since is not None:
        agent.idle_since += w.now - agent.turn_kept_at
        agent.turn_kept_at = None
    paused = missed and agent.misses >= MISSES_UNTIL_PAUSE
    once = agent.wish is Wish.ready_once and not missed and not rejected
    agent.back_off_until = w.now + BACK_OFF if missed or rejected else None
    if (paused or once) and agent.wish in WILLING:
        await set_wish(w, agent_id, Wish.paused, reason=PAUSED_BY_MISSES if paused else PAUSED_BY_ONCE)
    await w.session.flush()
    w.hint("free", "dispatch", f"agent:{agent_id}", "wallboard")


def _end_help(w: Writing, agent: Agent) -> None:
    if agent.help_at is not None:
        w.fact("agent.help_ended", agent_id=agent.id, subject_id=agent.id)
    agent.help_at = agent.help_by = None
