"""Supervising: what a supervisor does from the wallboard, and how an agent asks for him.

Each says in one fact who did it (`by`). What is so already is not done again, and is no fact.
"""

from collections.abc import Mapping

from router.actions import listing, presence
from router.actions.dispatch import RESERVATION_EXPIRE, back_to_queue, reserve
from router.book import Writing
from router.model.agents import Agent
from router.model.alarms import Alarm, AlarmState
from router.model.base import vouched
from router.model.campaigns import NURTURE, Campaign
from router.model.errors import Conflict, NotFound
from router.model.giving import hindrance
from router.model.levels import levels_of
from router.model.routing import Match, Reason
from router.model.tasks import Reservation, ReservationState, Task, TaskState
from router.store import agents, alarms, switches, tasks


async def set_paused(w: Writing, campaign_id: int, paused: bool, by: int) -> None:
    """Stops a campaign's calls that nobody waits for at the telephone, or lets them go on: what rests of its lists
    wakes up. Raises NotFound."""
    campaign = await switches.set_paused(w.session, campaign_id, paused)
    if campaign is not None:
        w.fact("campaign.paused" if paused else "campaign.resumed", campaign_id=campaign_id, subject_id=campaign_id,
               by=by)
        w.hint("dispatch", "free", "wallboard")
        if not paused:
            await alarms.set_alarm(w.session, listing.LISTS_WAKE, campaign_id, w.now)
            w.hint("alarms")
    elif await w.session.get(Campaign, campaign_id) is None:
        raise NotFound("There is no such campaign.")


async def set_nurture(w: Writing, on: bool, by: int) -> None:
    """Stops all nurture of the house, or lets it go on. What has been handed out already is finished."""
    changed = await (
        switches.turn_on(w.session, NURTURE) if on else switches.turn_off(w.session, NURTURE, by, w.now)
    )
    if changed:
        w.fact("nurture.resumed" if on else "nurture.paused", by=by)
        w.hint("dispatch", "free", "wallboard")


async def give(w: Writing, task_id: int, agent_id: int, by: int) -> None:
    """Holds a task that waits, or rings at somebody else, for the agent a supervisor has chosen: it rings at him.

    Whoever it rang at keeps his turn. Against a round, an accept or another supervisor one wins. Raises NotFound, and
    Conflict when the task waits no longer or the agent cannot take it, with the reason.
    """
    ringing = await _stop_ringing(w, task_id, by)
    task = await _waiting(w, task_id, ringing)
    if ringing is not None and ringing.agent_id == agent_id:
        raise Conflict("This task rings there already.")
    if stopped := await switches.stops(w.session, task, w.now):
        raise _paused(stopped)
    # By rising number, so that two who give crosswise wait for each other in one order.
    for one in sorted({agent_id, *([ringing.agent_id] if ringing else [])}):
        await w.session.locked(Agent, one)
    agent = await w.session.get(Agent, agent_id)
    if agent is None or agent.disabled_at is not None:
        raise NotFound("There is no such agent.")
    if (reason := hindrance(agent, task, w.now)) is not None:
        raise _cannot(agent.name, reason)
    # Asked before it is tried: the unique index would wait for whoever is just moving what rings there elsewhere.
    if await agents.rung(w.session, agent_id):
        raise _rings(agent.name)
    if ringing is not None:
        await w.move(Task, task_id, TaskState.queued, agent_id=None, held_until=None, data={"reason": "supervisor"})
        await presence.release(w, ringing.agent_id, task.kind)
    chosen = Match(task_id, agent_id, [
        {"code": "given", "supervisor": by}, {"code": "has_skills", "needs": levels_of(task.skills)},
    ])
    if not await reserve(w, [chosen], by=by):
        raise _rings(agent.name)


async def take_back(w: Writing, task_id: int, by: int) -> None:
    """Sends a task that rings back to its line, with its age; whoever it rang at keeps his turn, and is not offered it
    again for a while. Raises Conflict when it does not ring any more."""
    ringing = await _stop_ringing(w, task_id, by)
    if ringing is None:
        raise Conflict("This task does not ring any more.")
    task = await _waiting(w, task_id, ringing)
    await back_to_queue(w, task, ringing.agent_id, "supervisor")
    await presence.release(w, ringing.agent_id, task.kind)


async def _stop_ringing(w: Writing, task_id: int, by: int) -> Reservation | None:
    """The reservation that rang, ended; None when there was none. Of this and an accept one wins."""
    ringing = await tasks.pending_reservation(w.session, task_id)
    if ringing is None:
        return None
    ended = await w.move(
        Reservation, ringing.id, ReservationState.rescinded, ended_at=w.now, data={"reason": "supervisor", "by": by}
    )
    if ended is None:
        raise Conflict("This call was already answered, missed or taken back.")
    await alarms.cancel(w.session, RESERVATION_EXPIRE, ended.id, w.now)
    return ended


async def _waiting(w: Writing, task_id: int, ringing: Reservation | None) -> Task:
    task = await w.session.locked(Task, task_id)
    if task is None:
        raise NotFound("There is no such task.")
    if task.state is not (TaskState.reserved if ringing else TaskState.queued):
        raise Conflict("This task does not wait any more.")
    return task


def _paused(switch: str) -> Conflict:
    if switch == NURTURE:
        return Conflict("Nurture is paused. Let it go on first.")
    if switch == "trunk":
        return Conflict("Calls on this line fail at the carrier. Nobody is dialled until it works again.")
    return Conflict("This campaign is paused. Let it go on first.")


def _rings(name: str) -> Conflict:
    return Conflict("Something rings at %(name)s already.", name=name)


def _cannot(name: str, reason: Reason) -> Conflict:
    """Why he cannot take it, in words."""
    match reason["code"]:
        case "not_ready":
            return Conflict("%(name)s is not ready.", name=name)
        case "unreachable":
            return Conflict("The browser of %(name)s does not answer.", name=name)
        case "other_pool":
            return Conflict("%(name)s works in another line.", name=name)
        case "lacks":
            return Conflict("%(name)s lacks what this task needs: %(skills)s.", name=name,
                            skills=", ".join(reason["skills"]))
        case "level":
            return Conflict("%(name)s is below the level this task needs: %(skills)s.", name=name,
                            skills=_levels(reason["needs"]))
        case "day_full":
            return Conflict("%(name)s has had all %(most)s tasks of a day.", name=name, most=reason["most"])
        case _:
            return Conflict("%(name)s is busy with something else.", name=name)


def _levels(needs: Mapping[str, int]) -> str:
    return ", ".join(f"{skill} {level}" for skill, level in needs.items())


async def wake_alarm(w: Writing, alarm_id: int, by: int | None = None) -> bool:
    """Rings an alarm that failed five times once more, now; `by` is None at the command line. False when the same was
    set anew meanwhile: then this one is dropped. Raises NotFound, and Conflict when it is not parked (any more)."""
    alarm = await w.session.locked(Alarm, alarm_id)
    if alarm is None:
        raise NotFound("There is no such alarm.")
    if alarm.state is not AlarmState.parked:
        raise Conflict("This alarm does not wait for a person any more.")
    again = not await alarms.is_pending(w.session, alarm.kind, alarm.subject_id)
    if again:
        await w.move(Alarm, alarm.id, AlarmState.pending, due_at=w.now, failures=0, data={"by": by})
    else:
        await w.move(Alarm, alarm.id, AlarmState.canceled, ended_at=w.now, data={"by": by, "reason": "set_anew"})
    w.fact("alarm.woken", subject_id=alarm.id, agent_id=by, what=alarm.kind, of=alarm.subject_id, again=again)
    w.hint("alarms", "wallboard")
    return again


async def ask_for_help(w: Writing, agent_id: int) -> None:
    """The agent asks a supervisor to come. Raises Conflict when he holds nothing to be helped with."""
    agent = vouched(await w.session.locked(Agent, agent_id))
    if not agent.load:
        raise Conflict("You hold no task to be helped with.")
    if agent.help_at is None:
        agent.help_at, agent.help_by = w.now, None
        _told(w, agent, "agent.asked_for_help")


async def need_no_help(w: Writing, agent_id: int) -> None:
    """The agent takes his call for help back."""
    agent = vouched(await w.session.locked(Agent, agent_id))
    if agent.help_at is not None:
        agent.help_at = None
        _told(w, agent, "agent.help_taken_back")


async def answer_help(w: Writing, agent_id: int, by: int) -> None:
    """A supervisor has seen it and comes; the agent reads who. Raises NotFound, and Conflict when nobody asks (any
    more)."""
    agent = await w.session.locked(Agent, agent_id)
    if agent is None:
        raise NotFound("There is no such agent.")
    if agent.help_at is None:
        raise Conflict("%(name)s does not ask for help any more.", name=agent.name)
    agent.help_at, agent.help_by = None, by
    _told(w, agent, "agent.help_answered", by=by)


def _told(w: Writing, agent: Agent, kind: str, **said: int) -> None:
    w.fact(kind, agent_id=agent.id, subject_id=agent.id, **said)
    w.hint(f"agent:{agent.id}", "wallboard")
