"""Dispatch: one round gives waiting tasks to free agents; then each reservation is accepted, rejected or missed."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from router.actions import conversing, listing, meeting, outgoing, presence, stationing, wrapping
from router.book import Writing
from router.model.agents import HEARTBEAT_LEASE, Agent
from router.model.base import vouched
from router.model.calls import Call, CallState
from router.model.campaigns import Campaign
from router.model.conversations import Side
from router.model.errors import Conflict
from router.model.giving import hindrance
from router.model.routing import (
    MOST_HEADS,
    ORDINARY,
    Candidate,
    Head,
    Match,
    Policy,
    also_passed_over,
    match,
    takes,
)
from router.model.stations import Station
from router.model.tasks import (
    NOBODY_ELSE,
    TIER_HOT,
    WITHOUT_TELEPHONE,
    Exclusion,
    Reservation,
    ReservationState,
    Task,
    TaskKind,
    TaskState,
    kinds_in,
)
from router.model.vault import new_token
from router.store import agents, alarms, conversations, rooms, rounds, stations, switches, tasks

AGENT_RING_SECONDS = 20
MOST_BARRED = 40
"""So many tasks a round takes out of the queue because their persons may not be called now; the next one goes on."""
PICKED = [{"code": "picked"}]
"""Why the task went to this agent: he chose it himself."""
CALL_CONNECT = "call.connect"
RESERVATION_EXPIRE = "reservation.expire"
GONE_AFTER = timedelta(seconds=45)
"""A browser that is silent for so long is not only being reloaded: whoever waits for its agent waits for another."""
FORGOTTEN_AFTER = timedelta(minutes=10)
SKIPPED = "skipped"
"""Why a task goes back whose preview the agent has let pass."""


async def run_round(w: Writing, pool: int, policy: Policy = ORDINARY) -> int:
    """One round of a pool; how many reservations it made. 0 also when another replica is at it.

    Agents and heads of lanes are only looked at; what is reserved must still be as it was seen. It looks again until
    nothing more can be matched: heads that only one agent may take can hide what another could.
    """
    if not await w.session.try_lock_word(f"pool:{pool}"):
        return 0
    return await match_all(w, pool, policy)


async def match_all(w: Writing, pool: int, policy: Policy = ORDINARY) -> int:
    """The round itself, for who holds the pool's lock.

    When others have changed or are changing something it was about to reserve, it reserves nothing and looks once more
    under row locks, past what they hold. When nothing is found for a full look's agents, it looks at what only others
    may take.
    """
    total = barred = 0
    look: rounds.Look | None = rounds.Look(pool, w.now, HEARTBEAT_LEASE, policy.beside, {})
    while look is not None and total < MOST_HEADS and barred < MOST_BARRED:
        made, rested, look = await _match_heads(w, look, policy)
        total, barred = total + made, barred + rested
    return total


async def _lawful(w: Writing, matches: list[Match], heads: Sequence[Head]) -> list[Match]:
    """The pairs for which an agent may be rung now: what nobody asked for may be forbidden meanwhile, and leaves the
    queue."""
    ours = {head.id for head in heads if head.tier >= TIER_HOT}
    return [
        one for one in matches
        if one.task not in ours or await listing.may_ring(w, vouched(await w.session.get(Task, one.task)))
    ]


async def _match_heads(w: Writing, look: rounds.Look, policy: Policy) -> tuple[int, int, rounds.Look | None]:
    """How many pairs were made of what was looked at, how many tasks may not be done now, and the next look if there
    may be more beyond it."""
    free = await rounds.free_agents(w.session, look)
    able = {agent.id: kinds for agent in free if (kinds := kinds_in(takes(agent, policy)))}
    if not able:
        return 0, 0, None
    heads, excluded, more_heads = await rounds.heads(w.session, look, able)
    now = w.now.timestamp() * 1000
    matches = match(heads, free, now, policy, excluded) if heads else []
    if matches and len(free) < MOST_HEADS:
        bystanders = await rounds.bystanders(w.session, look.pool, able, w.now, HEARTBEAT_LEASE)
        tasks_of = {head.id: head for head in heads}
        matches = [also_passed_over(one, tasks_of[one.task], bystanders, now, policy, excluded) for one in matches]
    lawful = await _lawful(w, matches, heads)
    rested = len(matches) - len(lawful)
    made = await reserve(w, lawful, free) if lawful else []
    if len(made) < len(lawful) and not look.locking:
        return len(made), rested, look._replace(locking=True)
    if rested:
        return len(made), rested, look
    if not made:
        others = len(free) >= MOST_HEADS and not able.keys() <= look.in_vain.keys()
        return 0, 0, look._replace(in_vain={**look.in_vain, **able}) if others else None
    agents_unseen = len(free) >= MOST_HEADS and len(made) < len(heads)
    heads_unseen = more_heads and len(made) < len(able)
    return len(made), 0, look if agents_unseen or heads_unseen else None


async def reserve(
    w: Writing, matches: Sequence[Match], agents: Sequence[Candidate] = (), *, by: int | None = None
) -> Sequence[rounds.Held]:
    """Holds each task for its agent until it has rung long enough; a pair that is held already is left out. None
    is held when one task waits no longer or one of the `agents` is not free any more as he was seen: who comes first
    must not be left out while others go on. Agents not among them must be locked. `by` is the supervisor who has chosen
    the pair."""
    said = {"by": by} if by else {}
    made = await rounds.reserve(w.session, matches, w.now, HEARTBEAT_LEASE, agents)
    for held in made:
        common = {"campaign_id": held.campaign_id, "lead_id": held.lead_id, "agent_id": held.agent_id}
        w.fact("task.reserved", **common, subject_id=held.task_id, **said)
        w.fact("reservation.pending", **common, subject_id=held.id, task=held.task_id)
        w.hint(f"agent:{held.agent_id}", "wallboard")
    return made


async def _answered(
    w: Writing, reservation_id: int, to: ReservationState, agent_id: int | None = None, *, late: bool = False
) -> tuple[Reservation, Task]:
    """Moves a pending reservation, once. Raises Conflict when it is no longer pending, or is another agent's."""
    where = [] if agent_id is None else [Reservation.agent_id == agent_id]
    if to is ReservationState.accepted and not late:
        where.append(Reservation.expires_at > w.now)
    held = await w.move(Reservation, reservation_id, to, where=where, ended_at=w.now)
    if held is None:
        raise Conflict("This call was already answered, missed or taken back.")
    await alarms.cancel(w.session, RESERVATION_EXPIRE, reservation_id, w.now)
    task = vouched(await w.session.locked(Task, held.task_id))
    return held, task


async def accept(w: Writing, reservation_id: int, agent_id: int) -> Call | None:
    """The agent takes the task. A call: his leg is placed first, the customer's when he is in the room. What is written
    or seen in the browser begins at once, without a call. Who has left the room of his video call meanwhile waits no
    longer: then the reservation is canceled and the task abandoned.

    A compare-and-set: of two clicks, or a click and the end of the ringing, one wins. Raises Conflict for the other.
    """
    if await _left_the_room(w, reservation_id, agent_id):
        return None
    held, task = await _answered(w, reservation_id, ReservationState.accepted, agent_id)
    return await _taken(w, held, task)


async def _taken(w: Writing, held: Reservation, task: Task) -> Call | None:
    agent_id = held.agent_id
    agent = vouched(await w.session.locked(Agent, agent_id))
    campaign = vouched(await w.session.get(Campaign, task.campaign_id))
    presence.took(agent, w.now, campaign.timezone, costs_turn=held.costs_turn)
    if task.kind in WITHOUT_TELEPHONE:
        await _engage(w, task, agent_id)
        return None
    return await connect(w, task, agent_id)


async def _left_the_room(w: Writing, reservation_id: int, agent_id: int) -> bool:
    """Whether this rang for a visitor who was in his room and is not any more; his task is abandoned then."""
    held = await w.session.get(Reservation, reservation_id)
    if held is None or held.agent_id != agent_id or held.state is not ReservationState.pending:
        return False
    room = await rooms.find(w.session, held.task_id)
    if room is None or room.claimed_hash is None or room.has(Side.visitor, w.now):
        return False

    async def over(gone: Task) -> None:
        await conversing.close(w, gone)
        await meeting.end(w, gone)

    return await abandon(w, held.task_id, and_then=over)


async def pick(w: Writing, task_id: int, agent_id: int) -> bool:
    """The agent takes a task out of the list of a line where agents pick: reserved and accepted in one. Of two who pick
    it one wins. False when its person may not be called now: the task has left the list, to come back when he may.
    Raises Conflict for the other, and when he may not take it."""
    task = await w.session.locked(Task, task_id)
    agent = vouched(await w.session.locked(Agent, agent_id))
    if task is None or task.state is not TaskState.queued or task.pool != agent.pool:
        raise Conflict("This task does not wait any more.")
    if not (await tasks.queue_of(w.session, task)).pull:
        raise Conflict("In this line tasks ring; nobody picks them.")
    if hindrance(agent, task, w.now) is not None or await switches.stops(w.session, task, w.now):
        raise Conflict("You cannot take this task at the moment.")
    if task.tier >= TIER_HOT and not await listing.may_ring(w, task):
        return False
    held = await reserve(w, [Match(task_id, agent_id, PICKED)])
    if not held:
        raise Conflict("Something rings at you. Answer that first.")
    await accept(w, held[0].id, agent_id)
    return True


async def connect(w: Writing, task: Task, agent_id: int) -> Call:
    """The call for a task this agent has taken. Raises Conflict when the customer waits no longer."""
    queue = await tasks.queue_of(w.session, task)
    until = w.now + timedelta(seconds=queue.connect_seconds)
    if await w.move(Task, task.id, TaskState.connecting, held_until=until) is None:
        raise Conflict("The customer is no longer waiting.")
    agent = vouched(await w.session.locked(Agent, agent_id))
    station = await stations.live_of(w.session, agent_id)
    call = await _place_agent_leg(w, task, agent) if station is None else await _join(w, task, station)
    await alarms.set_alarm(w.session, CALL_CONNECT, call.id, until)
    w.hint("courier", f"agent:{agent_id}", "wallboard")
    return call


async def _engage(w: Writing, task: Task, agent_id: int) -> None:
    if await w.move(Task, task.id, TaskState.connecting, held_until=None) is None:
        raise Conflict("The customer is no longer waiting.")
    vouched(await w.move(Task, task.id, TaskState.engaged, engaged_at=w.now))
    await conversing.taken(w, task, agent_id)
    if task.kind is TaskKind.video:
        w.hint(f"room:{(await rooms.of_task(w.session, task, w.now)).id}")
    w.hint(f"agent:{agent_id}", "wallboard")


async def _join(w: Writing, task: Task, station: Station) -> Call:
    """The call in the room of an agent who stays on the line: only the customer's telephone is called."""
    call = Call(
        task_id=task.id, lead_id=task.lead_id, agent_id=station.agent_id, state=CallState.agent_leg,
        room=station.room, room_ref=station.room_ref, created_at=w.now, station_id=station.id,
    )
    w.session.add(call)
    await w.session.flush()
    w.fact("call.agent_leg", campaign_id=task.campaign_id, lead_id=task.lead_id, subject_id=call.id,
           agent_id=station.agent_id, station=station.id)
    await stationing.call_waits(w, call)
    return call


async def _place_agent_leg(w: Writing, task: Task, agent: Agent) -> Call:
    campaign = vouched(await w.session.get(Campaign, task.campaign_id))
    call = Call(
        task_id=task.id, lead_id=task.lead_id, agent_id=agent.id, state=CallState.agent_leg,
        room=f"task-{task.id}-{new_token()[:8]}", room_ref=new_token(), created_at=w.now,
    )
    w.session.add(call)
    await w.session.flush()
    w.fact("call.agent_leg", campaign_id=task.campaign_id, lead_id=task.lead_id, subject_id=call.id, agent_id=agent.id)
    await outgoing.place_leg(w, call, campaign.caller_id, "agent", agent.address, ring_seconds=AGENT_RING_SECONDS)
    return call


async def back_to_queue(w: Writing, task: Task, agent_id: int | None, reason: str) -> None:
    """The task keeps its rank, so its age; this agent is not offered it again for a while."""
    queue = await tasks.queue_of(w.session, task)
    moved = await w.move(
        Task, task.id, TaskState.queued, agent_id=None, held_until=None, engaged_at=None, data={"reason": reason}
    )
    if moved is None:
        return
    if agent_id is not None:
        w.session.add(
            Exclusion(task_id=task.id, agent_id=agent_id, until=w.now + timedelta(seconds=queue.exclude_seconds))
        )
    w.hint("dispatch", "wallboard")


async def abandon(
    w: Writing, task_id: int, reason: str = "left", *, and_then: Callable[[Task], Awaitable[None]] | None = None
) -> bool:
    """The person leaves before anybody was with him: nothing rings any more. False when he is not waiting.

    `and_then` ends what else belongs to the task, before it is asked whether somebody else must answer him.
    """
    for _ in range(3):  # between the look and the move a round may hold the task, or a ring may end
        ringing = await tasks.pending_reservation(w.session, task_id)
        if ringing is not None and await _cancel(w, ringing) is None:
            continue
        gone = await w.move(
            Task, task_id, TaskState.abandoned, frm=(TaskState.reserved,) if ringing else (TaskState.queued,),
            agent_id=None, held_until=None, ended_at=w.now, data={"reason": reason},
        )
        if gone is not None:
            if ringing is not None:
                await presence.release(w, ringing.agent_id, gone.kind)
            if and_then is not None:
                await and_then(gone)
            await conversing.resume(w, gone)
            w.hint("wallboard")
            return True
        task = await w.session.locked(Task, task_id)
        if task is None or task.state not in (TaskState.queued, TaskState.reserved):
            return False
    return False


async def _cancel(w: Writing, ringing: Reservation) -> Reservation | None:
    held = await w.move(Reservation, ringing.id, ReservationState.canceled, ended_at=w.now)
    if held is not None:
        await alarms.cancel(w.session, RESERVATION_EXPIRE, held.id, w.now)
    return held


async def reject(w: Writing, reservation_id: int, agent_id: int) -> None:
    """The agent declines; the task goes back with its age. Raises Conflict."""
    held, task = await _answered(w, reservation_id, ReservationState.rejected, agent_id)
    reason = SKIPPED if held.preview else "rejected"
    if task.prefers == agent_id and task.prefers_until != NOBODY_ELSE:  # who was his agent does not want to be
        task.prefers = task.prefers_until = None
        await w.session.flush()
        w.fact("owner.released", campaign_id=task.campaign_id, lead_id=task.lead_id, subject_id=task.id,
               agent_id=agent_id)
    await back_to_queue(w, task, held.agent_id, reason)
    await presence.release(w, held.agent_id, task.kind, rejected=True)


async def expire(w: Writing, reservation_id: int) -> None:
    """The ringing is over (an alarm's handler): missed, or after a preview the call is made. Answered meanwhile:
    nothing happens."""
    ringing = await w.session.get(Reservation, reservation_id)
    if ringing is not None and ringing.preview:
        await _preview_over(w, ringing)
        return
    try:
        held, task = await _answered(w, reservation_id, ReservationState.missed)
    except Conflict:
        return
    await back_to_queue(w, task, held.agent_id, "missed")
    await presence.release(w, held.agent_id, task.kind, missed=True)


async def _preview_over(w: Writing, ringing: Reservation) -> None:
    """The agent has seen whom he will speak with: that person is called now. If he does not stay on the line any more,
    or wants a pause, the task goes back with its age, and it costs him nothing."""
    agent = vouched(await w.session.get(Agent, ringing.agent_id))
    goes = agent.there(w.now) and await stations.standing_of(w.session, agent.id) is not None
    to = ReservationState.accepted if goes else ReservationState.rescinded
    try:
        held, task = await _answered(w, ringing.id, to, late=True)
    except Conflict:
        return
    if goes:
        await _taken(w, held, task)
        return
    await back_to_queue(w, task, None, "off_the_line")
    await presence.release(w, held.agent_id, task.kind)


async def take_back_absent(w: Writing) -> int:
    """Takes back what rings at agents whose browsers no longer answer; how many."""
    absent = await agents.absent_reservations(w.session, w.now)
    for one in absent:
        held, task = await _answered(w, one.id, ReservationState.rescinded)
        await back_to_queue(w, task, None, "agent_gone")
        await presence.release(w, held.agent_id, task.kind)
    return len(absent) + await _take_back_unanswered(w)


async def _take_back_unanswered(w: Writing) -> int:
    """A chat whose agent is gone and whose person waits for an answer goes back with its messages; so does a video talk
    whose visitor is still there. What nobody misses is wrapped up after a while."""
    taken = 0
    for task in await tasks.left_alone(w.session, w.now - GONE_AFTER):
        agent_id = vouched(task.agent_id)
        if await _waits_for_another(w, task):
            await conversing.taken(w, task, None)
            await back_to_queue(w, task, None, "agent_gone")
            await presence.release(w, agent_id, task.kind)
            taken += 1
        elif await _forgotten(w, agent_id):
            await conversing.close(w, task)
            await wrapping.begin_task(w, task)
    return taken


async def _forgotten(w: Writing, agent_id: int) -> bool:
    seen = vouched(await w.session.get(Agent, agent_id)).heartbeat_at
    return seen is None or seen < w.now - FORGOTTEN_AFTER


async def _waits_for_another(w: Writing, task: Task) -> bool:
    if task.kind is TaskKind.video:
        room = await rooms.of_task(w.session, task, w.now)
        return room.has(Side.visitor, w.now)
    return any(not thread.answered for thread in await conversations.of_task(w.session, task))
