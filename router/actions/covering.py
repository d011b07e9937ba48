"""Covering: who is away is known before. What he has promised is covered in time: by his team or, where only he may
call, by asking the person for another time; a supervisor sees it.
"""

from datetime import datetime, timedelta

from router.actions import keeping, telling
from router.book import Writing
from router.model.absences import LONGEST_REASON, Absence
from router.model.agents import Agent
from router.model.base import vouched
from router.model.campaigns import Campaign
from router.model.errors import Conflict, Invalid, NotFound
from router.model.hours import Opening, week_of
from router.model.promises import OPEN, OWNER_FIRST, PERSONAL, Promise, PromiseMode, PromiseState
from router.model.slots import Shift, away
from router.model.tasks import Task, TaskState
from router.store import alarms, promises, staffing

LONGEST_ABSENCE = timedelta(days=366)
A_MOMENT = timedelta(minutes=1)
"""Whoever begins to call is to be there for so long at least."""


async def why_away(w: Writing, agent: Agent, at: datetime, zone: str) -> str:
    """Why this agent will not be there at that moment (aware), as far as it is known: "absence", "shift", or "". His
    hours are those on the wall of `zone`."""
    known = await staffing.absences(w.session, [agent.id], w.now)
    shift = Shift(Opening(zone, week_of(agent.shifts)), tuple(known.get(agent.id, ())))
    return away(shift, at, at + A_MOMENT)


async def absent(
    w: Writing, agent_id: int, starts_at: datetime, ends_at: datetime, *, reason: str = "", by: int
) -> Absence:
    """Notes that the agent will be away between two moments (aware), and covers what he has promised for then.

    Raises Invalid for a span that is none, or over; NotFound.
    """
    agent = await w.session.locked(Agent, agent_id)
    if agent is None or agent.disabled_at is not None:
        raise NotFound("There is no such agent.")
    if ends_at <= starts_at or ends_at - starts_at > LONGEST_ABSENCE:
        raise Invalid("An absence ends after it begins, and within a year.", pointer="/ends_at")
    if ends_at <= w.now:
        raise Invalid("This absence is over already.", pointer="/ends_at")
    made = Absence(
        agent_id=agent_id, starts_at=starts_at, ends_at=ends_at, created_at=w.now, reason=reason[:LONGEST_REASON]
    )
    w.session.add(made)
    await w.session.flush()
    w.fact("agent.absence", agent_id=agent_id, subject_id=made.id, starts_at=starts_at.isoformat(),
           ends_at=ends_at.isoformat(), by=by)
    await review(w, agent_id)
    return made


async def not_absent(w: Writing, absence_id: int, by: int) -> None:
    """Takes an absence back: he will be there. Raises NotFound."""
    found = await w.session.locked(Absence, absence_id)
    if found is None:
        raise NotFound("There is no such absence.")
    await promises.forget_absence(w.session, absence_id)
    w.fact("agent.absence_taken_back", agent_id=found.agent_id, subject_id=absence_id, by=by)
    await review(w, found.agent_id)


async def review(w: Writing, agent_id: int) -> int:
    """Looks again at what this agent has promised: his hours or absences have changed. How many are at risk."""
    return sum([await look_at(w, promise) for promise in await promises.owed(w.session, agent_id)])


async def look_at(w: Writing, promise: Promise) -> bool:
    """Whether the owner of a promise yet to come will be away. Where only he may call its person is asked at once to
    choose another time; otherwise his team calls."""
    if promise.state is not PromiseState.scheduled or promise.agent_id is None or promise.mode not in PERSONAL:
        return False
    campaign = vouched(await w.session.get(Campaign, promise.campaign_id))
    agent = vouched(await w.session.get(Agent, promise.agent_id))
    await _risk(w, promise, await why_away(w, agent, promise.starts_at, campaign.timezone))
    return bool(promise.at_risk)


async def _risk(w: Writing, promise: Promise, reason: str) -> None:
    if promise.at_risk == reason:
        return
    promise.at_risk = reason
    await w.session.flush()
    w.fact(
        "promise.at_risk" if reason else "promise.safe", campaign_id=promise.campaign_id, lead_id=promise.lead_id,
        subject_id=promise.id, agent_id=promise.agent_id, **({"reason": reason} if reason else {}),
    )
    w.hint("wallboard", f"agent:{promise.agent_id}")
    if reason and promise.mode is PromiseMode.personal_strict:
        await telling.tell(w, promise, telling.ABSENT)


async def waits(w: Writing, promise_id: int) -> None:
    """The time has come for a call that only its owner may make (an alarm's handler). Who is not there keeps nobody in
    the dark: the person is asked for another time. While he is busy the person hears after OWNER_FIRST that it will be
    later."""
    promise = await w.session.locked(Promise, promise_id)
    if promise is None or promise.state is not PromiseState.offered or promise.mode is not PromiseMode.personal_strict:
        return
    task = vouched(await w.session.get(Task, vouched(promise.task_id)))
    if task.state is not TaskState.queued:
        return
    owner = vouched(await w.session.get(Agent, vouched(promise.agent_id)))
    if not owner.there(w.now):
        await _risk(w, promise, promise.at_risk or "not_there")
    elif w.now < promise.starts_at + OWNER_FIRST:
        await alarms.set_alarm(w.session, keeping.WAITS, promise.id, promise.starts_at + OWNER_FIRST)
    elif not promise.tries:
        w.fact("promise.delayed", campaign_id=promise.campaign_id, lead_id=promise.lead_id, subject_id=promise.id,
               agent_id=promise.agent_id)
        w.hint("wallboard")
        await telling.tell(w, promise, telling.DELAYED)


async def reown(w: Writing, promise_id: int, agent_id: int | None, by: int | None) -> Promise:
    """Gives a promise to another agent, or to the team (None); with it the call, if it waits already.

    Raises NotFound, and Conflict when the call is being made or the agent cannot keep it.
    """
    found = await w.session.get(Promise, promise_id)
    if found is None:
        raise NotFound("There is no such promise.")
    # In the order task, agent, promise, as everybody does who holds two of them.
    if found.task_id is not None:
        await w.session.locked(Task, found.task_id)
    if agent_id is not None:
        await w.session.locked(Agent, agent_id)
    promise = vouched(await w.session.locked(Promise, promise_id))
    if promise.state not in OPEN:
        raise Conflict("There is no call planned any more.")
    if agent_id is not None:
        await _can_own(w, promise, agent_id)
    was, promise.agent_id = promise.agent_id, agent_id
    if agent_id is None:
        promise.mode = PromiseMode.team
    elif promise.mode is PromiseMode.team:
        promise.mode = PromiseMode.personal_preferred
    promise.at_risk = ""
    await _rekeep(w, promise)
    w.fact("promise.reowned", campaign_id=promise.campaign_id, lead_id=promise.lead_id, subject_id=promise.id,
           agent_id=agent_id, was=was, mode=promise.mode.value, **({"by": by} if by else {}))
    w.hint("wallboard", "dispatch", *(f"agent:{one}" for one in (was, agent_id) if one is not None))
    await look_at(w, promise)
    return promise


async def _can_own(w: Writing, promise: Promise, agent_id: int) -> None:
    agent = await w.session.get(Agent, agent_id)
    if agent is None or agent.disabled_at is not None:
        raise NotFound("There is no such agent.")
    task = vouched(await w.session.get(Task, vouched(promise.task_id)))
    if agent.pool != task.pool or not set(task.skills) <= set(agent.skills):
        raise Conflict("%(name)s does not do this work.", name=agent.name)
    if await promises.owes_near(w.session, agent_id, promise.starts_at, without=promise.id):
        raise Conflict("%(name)s has promised another call at that time.", name=agent.name)


async def _rekeep(w: Writing, promise: Promise) -> None:
    """What waits already is kept for whom it now belongs to."""
    task = await w.session.locked(Task, vouched(promise.task_id))
    if task is not None and task.state is TaskState.queued:
        kept = keeping.kept_as(promise, w.now if promise.tries else promise.starts_at)
        task.prefers, task.prefers_until = kept["prefers"], kept["prefers_until"]
    elif task is not None and task.state not in (TaskState.scheduled, TaskState.queued):
        raise Conflict("We are calling this person now, or have called already.")
    await w.session.flush()
