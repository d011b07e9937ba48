"""Leaving: an agent who works here no more, and one who comes back."""

from router.actions import covering, presence
from router.book import Writing
from router.model.agents import Agent, Role, Wish
from router.model.errors import Conflict, NotFound
from router.model.promises import PromiseMode
from router.model.tasks import Task
from router.store import agents, promises, sessions


async def disable(w: Writing, agent_id: int, by: int | None = None) -> None:
    """He signs in no more and is given nothing; what he has promised for himself if he can goes to his team.

    Already so: nothing changes. `by` is who does it, None for a file. Raises NotFound, and Conflict when he holds work,
    owes a call that only he may make, or is the last who can administer the house.
    """
    # Before his own row: whoever moves a promise holds its task first.
    for task_id in sorted({one.task_id or 0 for one in await promises.owed(w.session, agent_id)}):
        await w.session.locked(Task, task_id)
    agent = await w.session.locked(Agent, agent_id)
    if agent is None:
        raise NotFound("There is no such agent.")
    if agent.disabled_at is not None:
        return
    if agent_id == by:
        raise Conflict("You cannot disable yourself.")
    if agent.load or await agents.rung(w.session, agent_id):
        raise Conflict("%(name)s holds work just now. End it, or wait until it is done.", name=agent.name)
    await _not_the_last(w, agent)
    owed = await promises.owed(w.session, agent_id)
    if strict := sum(one.mode is PromiseMode.personal_strict for one in owed):
        raise Conflict(
            "%(name)s has promised calls that only %(name)s may make: %(count)s. Give them to somebody else first.",
            name=agent.name, count=strict,
        )
    for promise in owed:
        await covering.reown(w, promise.id, None, by)
    if agent.wish is not Wish.off:
        await presence.set_wish(w, agent_id, Wish.off, reason="disabled", by=by)
    agent.disabled_at = w.now
    agent.help_at = agent.help_by = None
    await w.session.flush()
    await sessions.close_all(w.session, agent_id)
    w.fact("agent.disabled", agent_id=agent_id, subject_id=agent_id, **({"by": by} if by else {}))
    w.hint(f"agent:{agent_id}", "wallboard")


async def enable(w: Writing, agent_id: int, by: int | None = None) -> None:
    """He may sign in again; he is off until he says otherwise. Raises NotFound."""
    agent = await w.session.locked(Agent, agent_id)
    if agent is None:
        raise NotFound("There is no such agent.")
    if agent.disabled_at is None:
        return
    agent.disabled_at = None
    await w.session.flush()
    w.fact("agent.enabled", agent_id=agent_id, subject_id=agent_id, **({"by": by} if by else {}))
    w.hint("wallboard")


async def _not_the_last(w: Writing, agent: Agent) -> None:
    if agent.role is Role.admin:
        await w.session.lock_word("administrators")
        if await agents.administrators(w.session) < 2:
            raise Conflict("Somebody has to administer the house: this is the last who can.")
