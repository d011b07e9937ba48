"""Transferring: an agent hands the person he is with on, to a colleague or to another line. The person keeps his age in
the queue and stays on the line, or in the chat, while he waits.
"""

from datetime import timedelta

from msgspec.structs import replace

from router.actions import conversing, outgoing, presence
from router.book import Writing
from router.model.agents import WILLING, Agent
from router.model.arrivals import ASK_AGAIN, Arrival, ArrivalState
from router.model.base import vouched
from router.model.calls import Call, CallState, Leg
from router.model.campaigns import Campaign, Queue
from router.model.contacts import Contact
from router.model.deliveries import DeliveryKind
from router.model.errors import Conflict
from router.model.levels import levels_of
from router.model.routing import skilled, takes
from router.model.tasks import TIER_NOW, TRANSFERRED, Exclusion, Task, TaskState, occupies, placed
from router.model.vault import new_token
from router.store import arrivals, calls, consultations, tasks
from router.wording import known, wording

KEPT_FOR = timedelta(seconds=45)
"""So long the one he was handed to has; then whoever is free takes him."""
OVER = "This conversation is over. There is nobody to hand on."
CONNECTING = "One moment, please. We are connecting you."


async def to_agent(w: Writing, task_id: int, agent_id: int, to_agent_id: int) -> None:
    """To this colleague, who must be there and free for it. Raises Conflict."""
    task = await _own(w, task_id, agent_id)
    await _keep_for(w, task, agent_id, await free_colleague(w, task, agent_id, to_agent_id))


async def free_colleague(w: Writing, task: Task, agent_id: int, to_agent_id: int) -> Agent:
    """The colleague the task could go to, both agents locked. Raises Conflict when he is none, or is not free for
    it."""
    for one in sorted({agent_id, to_agent_id}):  # so that two who hand on crosswise wait for each other in one order
        await w.session.locked(Agent, one)
    other = await w.session.get(Agent, to_agent_id)
    if other is None or other.id == agent_id or other.pool != task.pool or other.disabled_at is not None:
        raise Conflict("This colleague is not in your line.")
    free = other.wish in WILLING and other.present(w.now) and occupies(task.kind) in takes(
        other.candidate(w.now))
    if not free:
        raise Conflict("This colleague is not free at the moment.")
    return other


async def hand_over_to(w: Writing, task_id: int, agent_id: int, to_agent_id: int) -> None:
    """The agent has gone while this colleague's telephone rang: the person waits for the colleague, or whoever is free
    when he does not come. Raises Conflict when the person is gone too."""
    task = await _own(w, task_id, agent_id)
    await _keep_for(w, task, agent_id, vouched(await w.session.get(Agent, to_agent_id)))


async def _keep_for(w: Writing, task: Task, agent_id: int, other: Agent) -> None:
    queue = await tasks.queue_of(w.session, task)
    able = skilled(levels_of(other.skills), levels_of(task.skills))
    await _hand_on(w, task, agent_id, queue, skills=list(task.skills) if able else [], prefers=other.id)


async def to_queue(w: Writing, task_id: int, agent_id: int, queue_id: int) -> None:
    """To another line of the same campaign, or back to its own. Raises Conflict."""
    task = await _own(w, task_id, agent_id)
    queue = await w.session.get(Queue, queue_id)
    if queue is None or queue.campaign_id != task.campaign_id:
        raise Conflict("This line belongs to another campaign.")
    await _hand_on(w, task, agent_id, queue, skills=list(queue.skills))


async def _own(w: Writing, task_id: int, agent_id: int) -> Task:
    await calls.live_of_task(w.session, task_id)  # locked before its task, as by the carrier's messages
    task = await w.session.locked(Task, task_id)
    if task is None or task.agent_id != agent_id or task.state is not TaskState.engaged:
        raise Conflict(OVER)
    return task


async def _hand_on(
    w: Writing, task: Task, agent_id: int, queue: Queue, *, skills: list[str], prefers: int | None = None
) -> None:
    call = await calls.live_of_task(w.session, task.id)
    if call is not None:
        if await consultations.live_of_call(w.session, call.id) is not None:
            raise Conflict("You are asking a colleague. End that first.")
        await _back_to_the_line(w, task, call, queue)
    where = placed(replace(queue.line, skills=tuple(skills)), task.kind, TIER_NOW, task.since_ms)
    moved = await w.move(
        Task, task.id, TaskState.queued, frm=(TaskState.engaged,), **where, agent_id=None, held_until=None,
        engaged_at=None, prefers=prefers, prefers_until=w.now + KEPT_FOR if prefers else None,
        data={"reason": TRANSFERRED, "by": agent_id, "queue": queue.id, "before": task.queue_id},
    )
    if moved is None:
        raise Conflict(OVER)
    until = w.now + timedelta(seconds=queue.exclude_seconds)
    w.session.add(Exclusion(task_id=task.id, agent_id=agent_id, until=until))
    vouched(await w.session.get(Contact, task.contact_id)).agent_id = agent_id
    if call is None:
        await conversing.taken(w, task, None)
    await presence.release(w, agent_id, task.kind)
    w.hint("dispatch", "wallboard", f"lead:{task.lead_id}")


async def _back_to_the_line(w: Writing, task: Task, call: Call, queue: Queue) -> None:
    """The call of these two ends; its customer does not hear that, but waits as somebody who has called us."""
    customer = await _talking(w, call)
    arrival = await arrivals.by_call(w.session, customer.carrier_id)
    if arrival is None:
        campaign = vouched(await w.session.get(Campaign, task.campaign_id))
        contact = vouched(await w.session.get(Contact, task.contact_id))
        arrival = Arrival(
            carrier_id=customer.carrier_id, ref=new_token(), state=ArrivalState.waiting, caller=customer.address,
            dialled=campaign.caller_id, locale=known(contact.locale), created_at=w.now, heard_at=w.now,
            campaign_id=campaign.id, queue_id=queue.id, lead_id=task.lead_id, task_id=task.id,
        )
        w.session.add(arrival)
        await w.session.flush()
        w.fact("arrival.waiting", campaign_id=campaign.id, lead_id=task.lead_id, subject_id=arrival.id, task=task.id)
    elif await w.move(Arrival, arrival.id, ArrivalState.waiting, heard_at=w.now, queue_id=queue.id, task_id=task.id,
                      ended_at=None) is None:
        raise Conflict(OVER)
    if await w.move(Call, call.id, CallState.ended, ended_at=w.now, outcome="transferred",
                    data={"outcome": "transferred"}) is None:
        raise Conflict(OVER)
    customer.ended_at = w.now  # his line goes on; in this room he is no more
    await w.session.flush()
    order = {
        "carrier_id": customer.carrier_id, "ref": arrival.ref, "seconds": ASK_AGAIN, "locale": arrival.locale,
        "say": [wording().say(CONNECTING, arrival.locale)],
    }
    await outgoing.post(w, DeliveryKind.line, f"line:{call.id}", order, lead_id=call.lead_id, call_id=call.id,
                        station_id=call.station_id)


async def _talking(w: Writing, call: Call) -> Leg:
    if call.state is not CallState.talking:
        raise Conflict(OVER)
    for leg in await calls.legs_of(w.session, call.id):
        if leg.role == "customer" and leg.ended_at is None and leg.carrier_id:
            return leg
    raise Conflict(OVER)
