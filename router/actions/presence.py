"""Presence: what agents want, whether they are there, and their capacity."""

from collections.abc import Sequence
from datetime import timedelta

from router.book import Writing
from router.model.agents import Agent, Wish
from router.model.base import vouched
from router.model.errors import NotFound
from router.store import agents

BACK_OFF = timedelta(seconds=5)
MISSES_UNTIL_PAUSE = 2
"""After so many misses in a row the agent is paused, visibly, one click from being back."""


async def set_wish(w: Writing, agent_id: int, wish: Wish) -> Agent:
    """What the agent wants from now on. Asking for what is already so changes nothing. Raises NotFound."""
    agent = await w.session.locked(Agent, agent_id)
    if agent is None or agent.disabled_at is not None:
        raise NotFound("There is no such agent.")
    if agent.wish is wish:
        return agent
    agent.wish = wish
    if wish in (Wish.ready, Wish.ready_once):
        agent.misses, agent.back_off_until, agent.idle_since = 0, None, w.now
    else:
        agent.idle_since = None
    await w.session.flush()
    w.fact(f"agent.{wish.value}", agent_id=agent_id, subject_id=agent_id)
    w.hint("free", "dispatch", f"agent:{agent_id}", "wallboard")
    return agent


async def beat(w: Writing, agent_ids: Sequence[int]) -> None:
    """These agents' browsers have just answered. Not facts: one UPDATE for all, in a transaction of its own."""
    was_away = await agents.beat(w.session, agent_ids, w.now)
    if was_away:
        w.hint("free", "dispatch", "wallboard", *(f"agent:{agent_id}" for agent_id in was_away))


async def release(w: Writing, agent_id: int, *, missed: bool = False, rejected: bool = False) -> None:
    """Gives the agent his capacity back. A miss or a reject costs him a short back-off; repeated misses pause him."""
    agent = vouched(await w.session.locked(Agent, agent_id))
    agent.load = max(0, agent.load - 1)
    agent.misses = agent.misses + 1 if missed else 0
    paused = missed and agent.misses >= MISSES_UNTIL_PAUSE
    once = agent.wish is Wish.ready_once and not missed and not rejected
    if (paused or once) and agent.wish in (Wish.ready, Wish.ready_once):
        agent.wish = Wish.paused
        w.fact("agent.paused", agent_id=agent_id, subject_id=agent_id, reason="missed" if paused else "once")
    agent.back_off_until = w.now + BACK_OFF if missed or rejected else None
    agent.idle_since = w.now if agent.wish in (Wish.ready, Wish.ready_once) else None
    await w.session.flush()
    w.hint("free", "dispatch", f"agent:{agent_id}", "wallboard")
