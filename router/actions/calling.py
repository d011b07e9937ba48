"""Calling: what the carrier tells of legs and rooms, and how a call ends.

Callbacks come late, twice and out of order: a leg's stage only rises, and every step is a conditional move that
happens once, whichever message brings it first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from router.actions import (
    consulting,
    deferring,
    keeping,
    listing,
    outgoing,
    presence,
    promising,
    stationing,
    suppressing,
    trunking,
    wrapping,
)
from router.actions.dispatch import CALL_CONNECT, back_to_queue
from router.actions.guarding import permit, refund
from router.book import Writing
from router.model.agents import Agent
from router.model.arrivals import Arrival, ArrivalState
from router.model.base import vouched
from router.model.budgets import LEG_COST
from router.model.calls import Call, CallState, Leg
from router.model.campaigns import Campaign
from router.model.consultations import ConsultationState
from router.model.contacts import Contact
from router.model.deliveries import Delivery, DeliveryState
from router.model.errors import Conflict
from router.model.guard import Purpose
from router.model.stations import Station, StationState
from router.model.tasks import TIER_NOW, Disposition, Task, TaskKind, TaskState
from router.ports import LegMoved, LegOutcome, LegRole, LegStage, RoomChange, RoomMoved
from router.store import alarms, arrivals, budgets, cadences, calls, consultations, stations, trunks

CUSTOMER_RING_SECONDS = 25
HANG_UP_SECONDS = 10
"""How long the carrier may take to tell that a leg we hung up has ended."""

NOT_FOUND = "not_found"
"""The error of a leg of which the carrier did not say what became of it."""

_STAGES = list(LegStage)

_DISPOSITION_OF = {
    LegOutcome.busy.value: Disposition.busy,
    LegOutcome.no_answer.value: Disposition.no_answer,
    LegOutcome.canceled.value: Disposition.no_answer,
    LegOutcome.completed.value: Disposition.no_answer,
    "timeout": Disposition.no_answer,
}


@dataclass(frozen=True)
class Ended:
    """How a call ended: for the journal, and for the task if the two never talked: closed with a disposition, queued
    again (`again`; `requeue_without`: for another agent), put off until then (aware), or `abandoned` by its person."""

    outcome: str
    disposition: Disposition | None = None
    requeue_without: int | None = None
    postpone_until: datetime | None = None
    again: bool = False
    abandoned: bool = False


async def on_event(w: Writing, event: LegMoved | RoomMoved) -> None:
    """Applies one event of the carrier. Unknown legs and rooms, and what has passed already, change nothing."""
    if isinstance(event, LegMoved):
        leg = await calls.leg_by_ref(w.session, event.ref)
        if leg is not None:
            await _leg_moved(w, leg, event)
        elif (station := await stations.by_ref(w.session, event.ref)) is not None:
            await _station_moved(w, station, event)
    else:
        call = await calls.call_by_room(w.session, event.room_ref)
        if call is not None:
            await _room_moved(w, call, event)
        elif (station := await stations.by_room(w.session, event.room_ref)) is not None:
            await _station_room_moved(w, station, event)


async def _leg_moved(w: Writing, leg: Leg, event: LegMoved) -> None:
    stage = _STAGES.index(event.stage)
    leg.carrier_id = leg.carrier_id or event.carrier_id
    if leg.ended_at is not None and event.stage is not LegStage.ended:
        await _late(w, leg)
    if stage <= leg.stage and not (stage == 0 == leg.stage):
        return
    leg.stage = stage
    w.hint(f"call:{leg.call_id}")
    if event.stage is LegStage.answered and not leg.came_in:
        await _joined(w, leg)
    elif event.stage is LegStage.ended:
        leg.ended_at, leg.outcome = w.now, event.outcome.value
        await w.session.flush()
        await _leg_ended(w, leg, event.outcome)
        failed = leg.role == "customer" and event.outcome is LegOutcome.failed
        # Where the line fails, it says nothing of the number.
        if failed and not await trunks.failing_under(w.session, leg.call_id):
            await suppressing.not_reached(w, leg)
    else:
        await w.session.flush()
        w.hint(*await _watchers(w, leg.call_id))


async def _watchers(w: Writing, call_id: int) -> tuple[str, str]:
    call = vouched(await w.session.get(Call, call_id))
    return f"agent:{call.agent_id}", f"lead:{call.lead_id}"


async def _room_moved(w: Writing, call: Call, event: RoomMoved) -> None:
    if event.change is RoomChange.ended:
        # Before they talked it does not say who left: the legs will, whose messages may be on their way still.
        if call.state is CallState.talking:
            await end_call(w, call.id, Ended("completed"), end_room=False)
        return
    if event.change not in (RoomChange.joined, RoomChange.left):
        return
    for leg in await calls.legs_of(w.session, call.id):
        unnamed = (not event.carrier_id or not leg.carrier_id) and leg.ended_at is None
        if (event.carrier_id and leg.carrier_id == event.carrier_id) or (unnamed and event.role == leg.role):
            leg.carrier_id = leg.carrier_id or event.carrier_id
            if event.change is RoomChange.joined:
                await _joined(w, leg)
            elif leg.ended_at is None:
                leg.ended_at, leg.stage = w.now, _STAGES.index(LegStage.ended)
                leg.outcome = LegOutcome.completed.value
                await w.session.flush()
                await _leg_ended(w, leg, LegOutcome.completed)
            return


async def _station_moved(w: Writing, station: Station, event: LegMoved) -> None:
    """The telephone of an agent who stays on the line."""
    if event.stage is LegStage.ended:
        await _station_gone(w, station, event.outcome.value)
    elif event.stage is LegStage.answered:
        await stationing.joined(w, station, event.carrier_id)
    else:
        await stationing.placed(w, station.id, event.carrier_id)


async def _station_room_moved(w: Writing, station: Station, event: RoomMoved) -> None:
    """The room outlives its calls: what happens in it is about the agent's own telephone, or about the call whose
    telephone it is, or else the one under way."""
    if event.change is RoomChange.ended:
        await _station_gone(w, station, "room_ended", room_over=True)
    elif event.role is LegRole.agent:
        if event.change is RoomChange.joined:
            await stationing.joined(w, station, event.carrier_id)
        elif event.change is RoomChange.left:
            await _station_gone(w, station, LegOutcome.completed.value)
    elif event.change in (RoomChange.joined, RoomChange.left):
        call = await stations.call_of(w.session, station.id, event.carrier_id)
        if call is not None:
            await _room_moved(w, call, event)


async def _station_gone(w: Writing, station: Station, outcome: str, *, room_over: bool = False) -> None:
    """The agent is not in his room any more, or nobody is. A call under way there ends as if his own telephone had."""
    call = await stations.call_in(w.session, station.id)
    asked = await consultations.live_of_call(w.session, call.id) if call is not None else None
    if call is not None:
        await w.session.locked(Task, call.task_id)
    for agent_id in sorted({station.agent_id, *([asked.agent_id] if asked is not None else [])}):
        await w.session.locked(Agent, agent_id)
    over = await stationing.end(w, station, outcome, hang_up=False)
    if call is not None and room_over and call.state is CallState.talking:
        await end_call(w, call.id, Ended("completed"), end_room=False)
    elif call is not None and over:
        await _agent_dropped(w, call, outcome)


async def _agent_dropped(w: Writing, call: Call, outcome: str) -> None:
    legs = await calls.legs_of(w.session, call.id)
    customer = next((one for one in legs if one.role == "customer"), None)
    if call.state is CallState.talking:
        if not await consulting.asker_left(w, call):
            await end_call(w, call.id, Ended("completed"))
        return
    if customer is not None and not customer.came_in and await calls.out_of_house(w.session, customer):
        await _agent_left(w, call)
        return
    if customer is not None and customer.came_in:
        customer.ended_at = customer.ended_at or w.now
        await w.session.flush()
    await end_call(w, call.id, Ended(f"agent_{outcome}", requeue_without=call.agent_id))


async def station_dials(w: Writing, call_id: int) -> None:
    """Calls the customer into the room of the agent who stays on the line (an alarm's handler), as soon as he is there
    and nobody of an earlier call can be any more."""
    call = await w.session.locked(Call, call_id)
    if call is None or call.state is not CallState.agent_leg or call.station_id is None:
        return
    station = await stations.live(w.session, call.station_id)
    if station is None:
        await end_call(w, call.id, Ended("station_ended", again=True))
    elif station.state is not StationState.standing:
        await alarms.set_alarm(w.session, stationing.STATION_DIAL, call.id, w.now + stationing.DIAL_AGAIN)
    elif await stations.occupied(w.session, station.id, call.id):
        if w.now - call.created_at >= stationing.FREE_WITHIN:
            await _stuck(w, call, station.id)
            return
        await alarms.set_alarm(w.session, stationing.STATION_DIAL, call.id, w.now + stationing.DIAL_AGAIN)
    else:
        await _agent_joined(w, call.id)


async def _joined(w: Writing, leg: Leg) -> None:
    """The leg is in the room: by its own callback or by the room's, whichever comes first."""
    if leg.ended_at is not None:
        await _late(w, leg)
        return
    leg.stage = max(leg.stage, _STAGES.index(LegStage.answered))
    if leg.joined_at is not None:
        return
    leg.joined_at = w.now
    await w.session.flush()
    if leg.role == LegRole.colleague:
        await consulting.joined(w, leg)
    elif leg.role == "agent":
        await _agent_joined(w, leg.call_id)
    else:
        await _customer_joined(w, leg.call_id)


async def _late(w: Writing, leg: Leg) -> None:
    """A colleague answers who is not asked any more: nobody may listen in whom the house does not know of."""
    if leg.role == LegRole.colleague and leg.outcome in (LegOutcome.canceled, LegOutcome.failed):
        await w.session.flush()
        await consulting.hang_up_late(w, vouched(await w.session.get(Call, leg.call_id)), leg)


async def _agent_joined(w: Writing, call_id: int) -> None:
    """The agent is there: a caller who waits on the line is put through to him; otherwise ask the guard, at the moment
    of dialling, and call the customer."""
    call = await w.move(Call, call_id, CallState.customer_leg)
    if call is None:
        return
    task = vouched(await w.session.locked(Task, call.task_id))
    caller = await arrivals.waiting_for(w.session, task.id)
    if caller is not None:
        # He called us: nobody's telephone is rung, so neither guard nor budget is asked.
        await outgoing.fetch_caller(w, call, caller.carrier_id, caller.ref, caller.caller)
        w.hint(f"agent:{call.agent_id}")
        return
    campaign = vouched(await w.session.get(Campaign, task.campaign_id))
    contact = vouched(await w.session.get(Contact, task.contact_id))
    if not contact.phone:
        await end_call(w, call.id, Ended("no_number", Disposition.failed))
        return
    closed = await trunking.closed_until(w, campaign)
    if closed is not None:
        await end_call(w, call.id, _waits("trunk", task, closed))
        return
    scopes = await budgets.scopes_of(w.session, campaign, contact.phone, lead_id=task.lead_id, at=w.now)
    if not await budgets.room_for(w.session, w.now.date(), LEG_COST, scopes):
        await end_call(w, call.id, Ended("no_budget", Disposition.not_permitted))
        return
    purpose = await listing.purpose_of(w, task)
    promised = await keeping.is_promised(w, task.id)
    attempt, verdict = await permit(
        w, campaign, contact, channel="call", purpose=purpose, lead_id=task.lead_id, promised=promised,
        announced=await cadences.announcement_of(w.session, task),
    )
    if not verdict.allowed:
        # Nobody waits for a call we start ourselves: it is made when it may be. Who was promised this one is promised
        # another time, and told.
        later = verdict.until if purpose is Purpose.commercial or promised else None
        await end_call(w, call.id, Ended("not_permitted", Disposition.not_permitted, postpone_until=later))
        return
    await outgoing.place_leg(
        w, call, campaign.caller_id, "customer", contact.phone, ring_seconds=CUSTOMER_RING_SECONDS,
        attempt_id=attempt.id,
    )
    w.spend(LEG_COST, scopes)
    w.hint(f"agent:{call.agent_id}")


async def _customer_joined(w: Writing, call_id: int) -> None:
    call = await w.move(Call, call_id, CallState.talking, talking_at=w.now)
    if call is None:
        return
    task = await w.move(Task, call.task_id, TaskState.engaged, held_until=None)
    if task is not None:
        await keeping.talked(w, task)
    await _somebody_there(w, call)
    caller = await arrivals.waiting_for(w.session, call.task_id)
    if caller is not None:
        await w.move(Arrival, caller.id, ArrivalState.talking)
    elif task is not None:
        await trunking.works(w, vouched(await w.session.get(Campaign, task.campaign_id)))
    await alarms.cancel(w.session, CALL_CONNECT, call.id, w.now)
    w.hint(f"agent:{call.agent_id}", "wallboard")


async def _somebody_there(w: Writing, call: Call) -> None:
    """Who answers a telephone that we rang, and finds nobody, is left alone for a while."""
    legs = await calls.legs_of(w.session, call.id)
    customer = next((one for one in legs if one.role == "customer"), None)
    ours = [one for one in legs if one.role != "customer"]
    stays = await stations.live(w.session, call.station_id) is not None
    rung = bool(ours) or call.station_id is not None
    if customer is None or customer.came_in or stays:
        return
    if rung and all(one.ended_at is not None for one in ours):
        await suppressing.dropped(w, call, customer)


async def _leg_ended(w: Writing, leg: Leg, outcome: LegOutcome) -> None:
    call = vouched(await w.session.locked(Call, leg.call_id))
    if leg.role == LegRole.colleague:
        await consulting.colleague_left(w, call, leg, outcome)
        return
    if leg.role == "customer" and outcome is LegOutcome.completed and not leg.came_in:
        leg.joined_at = leg.joined_at or w.now
        await _customer_joined(w, call.id)  # only what was answered completes: the word of it is late, or lost
    if call.state is CallState.talking:
        if leg.role != "agent" or not await consulting.asker_hung_up(w, call):
            await end_call(w, call.id, Ended("completed"))
        return
    legs = await calls.legs_of(w.session, call.id)
    customer = next((one for one in legs if one.role == "customer"), None)
    if customer is not None and customer.came_in:
        await _caller_not_reached(w, call, leg, customer)
    elif leg.role == "agent" and customer is not None and await calls.out_of_house(w.session, customer):
        await _agent_left(w, call)
    else:
        await end_call(w, call.id, await _on_the_line(w, call, await _not_reached(w, call, legs)))


async def _on_the_line(w: Writing, call: Call, ended: Ended) -> Ended:
    """What the call's end says of the line it was dialled on. Where dialling pauses, what failed waits for its end."""
    task = vouched(await w.session.get(Task, call.task_id))
    campaign = vouched(await w.session.get(Campaign, task.campaign_id))
    if ended.outcome in (LegOutcome.busy, LegOutcome.no_answer, LegOutcome.completed):
        await trunking.works(w, campaign)
    elif ended.outcome == LegOutcome.failed:
        closed = await trunking.failed(w, campaign)
        if closed is not None:
            for attempt_id in await trunks.attempts_of(w.session, call.id):
                await refund(w, attempt_id)
            return _waits(ended.outcome, task, closed)
    return ended


def _waits(outcome: str, task: Task, until: datetime) -> Ended:
    """The task waits for the line: in its queue, which hands nothing out meanwhile; who asked to be called now, whose
    lane is also that of those on the telephone, outside of it."""
    return Ended(outcome, postpone_until=until) if task.tier == TIER_NOW else Ended(outcome, again=True)


async def _caller_not_reached(w: Writing, call: Call, leg: Leg, customer: Leg) -> None:
    """The two never met. Without his agent the caller waits on, for another; if it was he who left, nobody rings."""
    if leg.role == "agent":
        customer.ended_at = w.now
        await w.session.flush()
        await end_call(w, call.id, Ended(f"agent_{leg.outcome}", requeue_without=call.agent_id))
    elif leg.outcome == LegOutcome.failed.value:
        await end_call(w, call.id, Ended("not_joined", again=True))
    else:
        await end_call(w, call.id, Ended("caller_left", abandoned=True))


async def _agent_left(w: Writing, call: Call) -> None:
    """The agent is gone while the customer's telephone rings, or was answered without our knowing yet: it is hung up,
    and how it ended decides. Nobody else calls him as long as it may ring."""
    if call.state is not CallState.customer_leg:
        return
    await outgoing.end_room(w, call, "agent_left")
    await alarms.set_alarm(w.session, CALL_CONNECT, call.id, w.now + timedelta(seconds=HANG_UP_SECONDS))


async def _not_reached(
    w: Writing, call: Call, legs: Sequence[Leg], otherwise: str = LegOutcome.failed.value
) -> Ended:
    """Why a call came to nothing. An agent's leg that ended is the agent's matter: the task waits for somebody else."""
    if call.station_id is not None and await stations.live(w.session, call.station_id) is None:
        return Ended("agent_left", requeue_without=call.agent_id)
    for leg in legs:
        if leg.role == "agent" and leg.ended_at is not None:
            return Ended(f"agent_{leg.outcome or otherwise}", requeue_without=call.agent_id)
    outcomes = [leg.outcome for leg in legs if leg.role == "customer" and leg.ended_at is not None]
    outcome = outcomes[0] if outcomes else otherwise
    return Ended(outcome, _DISPOSITION_OF.get(outcome, Disposition.failed))


async def end_call(w: Writing, call_id: int, ended: Ended, *, end_room: bool = True) -> Call | None:
    """Ends a call, once: the room is ended, legs not yet placed are stopped, and the task goes where it belongs."""
    was = await w.session.locked(Call, call_id)
    talked = was is not None and was.state is CallState.talking
    call = await w.move(Call, call_id, CallState.ended, ended_at=w.now, outcome=ended.outcome,
                        data={"outcome": ended.outcome})
    if call is None:
        return None
    await alarms.cancel(w.session, CALL_CONNECT, call.id, w.now)
    await alarms.cancel(w.session, stationing.STATION_DIAL, call.id, w.now)
    await consulting.call_over(w, call)
    for unplaced in await calls.stop_unplaced_legs(w.session, call.id, w.now):
        w.fact("delivery.abandoned", lead_id=call.lead_id, subject_id=unplaced.id, reason="call_ended")
        if unplaced.attempt_id is not None:
            await refund(w, unplaced.attempt_id)
    if end_room:
        await _empty_room(w, call, talked=talked)
    if talked:
        await wrapping.begin(w, call)
    else:
        await _never_talked(w, call, ended)
    w.hint(f"agent:{call.agent_id}", "wallboard")
    return call


async def _empty_room(w: Writing, call: Call, *, talked: bool) -> None:
    """Everybody is hung up, but an agent who stays on the line. A caller who may still be put through to him waits on:
    then the room is given up, so that nobody else is called into it."""
    station = await stations.live(w.session, call.station_id)
    if station is None:
        await outgoing.end_room(w, call)
        return
    for leg in await calls.legs_of(w.session, call.id):
        if leg.ended_at is not None or leg.role != LegRole.customer:
            continue
        if leg.came_in and not talked:
            await w.session.locked(Task, call.task_id)
            await w.session.locked(Agent, call.agent_id)
            await stationing.end(w, station, "stuck")
        elif leg.carrier_id:
            await outgoing.end_leg(w, call, leg)


async def _never_talked(w: Writing, call: Call, ended: Ended) -> None:
    task = vouched(await w.session.locked(Task, call.task_id))
    if task.state is not TaskState.connecting:
        return
    if ended.abandoned:
        await w.move(Task, task.id, TaskState.abandoned, ended_at=w.now, held_until=None, data={"reason": "left"})
        await presence.release(w, call.agent_id, task.kind)
        return
    if ended.requeue_without is not None or ended.again:
        await back_to_queue(w, task, ended.requeue_without, ended.outcome)
        await presence.release(w, call.agent_id, task.kind, rejected=not ended.again)
        return
    if ended.postpone_until is not None and await _postponed(w, task, ended.postpone_until, ended.outcome):
        await presence.release(w, call.agent_id, task.kind)
        return
    disposition = ended.disposition or Disposition.failed
    await wrapping.close_task(w, task.id, disposition)
    await presence.release(w, call.agent_id, task.kind)


async def _postponed(w: Writing, task: Task, until: datetime, outcome: str) -> bool:
    """Whether the call is made another time. That of a cadence which is over by now is not."""
    if task.kind is TaskKind.nurture:
        return await deferring.at_dialling(w, task, until)
    await back_to_queue(w, task, None, outcome)
    if not await promising.put_off(w, task.id, until):
        await listing.postpone(w, task.id, until)
    return True


async def connect_timeout(w: Writing, call_id: int) -> None:
    """The call did not come about in time (an alarm's handler)."""
    call = await w.session.locked(Call, call_id)
    if call is None or call.state is CallState.talking:
        return
    if call.state is CallState.agent_leg and call.station_id is not None:
        await _stuck(w, call, call.station_id)
    elif call.state is CallState.agent_leg:
        await end_call(w, call_id, Ended("agent_timeout", requeue_without=call.agent_id))
    else:
        legs = await calls.legs_of(w.session, call_id)
        await end_call(w, call_id, await _not_reached(w, call, legs, "timeout"))


async def _stuck(w: Writing, call: Call, station_id: int) -> None:
    """The room did not become free for this customer: it is given up, and he waits for whoever is free."""
    await end_call(w, call.id, Ended("station_stuck", again=True))
    station = await stations.live(w.session, station_id)
    if station is not None:
        await stationing.end(w, station, "stuck")


async def asker_gone(w: Writing, call_id: int) -> None:
    """The agent hung up while he asked a colleague, and it was not because of the customer (an alarm's handler). Has
    the colleague gone too in this moment, the customer is with nobody, and the call is over."""
    call = await w.session.locked(Call, call_id)
    if call is None or call.state is not CallState.talking:
        return
    mine = [leg for leg in await calls.legs_of(w.session, call_id) if leg.role == "agent"]
    if mine and mine[-1].ended_at is not None and not await consulting.asker_left(w, call):
        await end_call(w, call_id, Ended("completed"))


async def _own_call(w: Writing, call_id: int, agent_id: int) -> Call:
    call = await w.session.locked(Call, call_id)
    if call is None or call.agent_id != agent_id or call.state is CallState.ended:
        raise Conflict("This call has ended.")
    return call


async def hang_up(w: Writing, call_id: int, agent_id: int) -> None:
    """The agent ends the call; while he asks a colleague he only leaves it. Raises Conflict when it has ended, or is
    another's."""
    call = await _own_call(w, call_id, agent_id)
    if call.state is CallState.talking and await consulting.asker_left(w, call):
        return
    await end_call(w, call_id, Ended("agent_hung_up", Disposition.no_answer))


async def leg_placed(w: Writing, delivery: Delivery, carrier_id: str) -> None:
    """The carrier took the leg. If the call has ended meanwhile the leg is ended too."""
    if delivery.call_id is None:
        await stationing.placed(w, vouched(delivery.station_id), carrier_id)
        return
    call = vouched(await w.session.locked(Call, vouched(delivery.call_id)))
    leg = vouched(await w.session.locked(Leg, vouched(delivery.leg_id)))
    leg.carrier_id = leg.carrier_id or carrier_id
    if leg.role == LegRole.colleague:
        if leg.ended_at is not None:
            await _late(w, leg)
        return
    agent_left = any(one.role == "agent" and one.ended_at for one in await calls.legs_of(w.session, call.id)) or (
        call.station_id is not None and await stations.live(w.session, call.station_id) is None)
    if leg.came_in:
        # Too late he comes into a room that is over, where nobody is: he is fetched out of it and waits on.
        if leg.ended_at is not None or call.state is CallState.ended:
            await outgoing.end_room(w, call, "caller_late")
    elif leg.ended_at is None and (call.state is CallState.ended or agent_left):
        await outgoing.end_leg(w, call, leg)


async def leg_failed(w: Writing, delivery: Delivery, reason: str) -> None:
    """The carrier did not take the leg, or it is not there: the try never reached a telephone, so it is refunded. An
    abandoned one may have rung, and keeps its place in the caps."""
    if delivery.call_id is None:
        await _standing_leg_failed(w, vouched(delivery.station_id))
        return
    call = vouched(await w.session.locked(Call, delivery.call_id))
    await _not_placed(w, delivery)
    if delivery.error == NOT_FOUND and call.station_id is not None:
        await _room_unsure(w, call, call.station_id)


async def _not_placed(w: Writing, delivery: Delivery) -> None:
    if delivery.attempt_id is not None and delivery.state is not DeliveryState.abandoned:
        await refund(w, delivery.attempt_id)
    leg = await w.session.locked(Leg, vouched(delivery.leg_id))
    if leg is None or leg.ended_at is not None:
        return
    leg.ended_at, leg.stage, leg.outcome = w.now, _STAGES.index(LegStage.ended), LegOutcome.failed.value
    await w.session.flush()
    await _leg_ended(w, leg, LegOutcome.failed)


async def _standing_leg_failed(w: Writing, station_id: int) -> None:
    station = await stations.live(w.session, station_id)
    if station is not None:
        await _station_gone(w, station, LegOutcome.failed.value)


async def _room_unsure(w: Writing, call: Call, station_id: int) -> None:
    """A telephone of which nobody knows may still come into the room, and whoever came next would hear it: the room is
    given up."""
    await w.session.locked(Task, call.task_id)
    await w.session.locked(Agent, call.agent_id)
    station = await stations.live(w.session, station_id)
    if station is not None:
        await stationing.end(w, station, "unsure")


async def hold(w: Writing, call_id: int, agent_id: int, on: bool) -> None:
    """Puts the customer on hold, or takes him back. Raises Conflict when there is nobody to hold, or a colleague's
    telephone rings: he comes in when only who has asked him is there."""
    call = await _own_call(w, call_id, agent_id)
    if call.state is not CallState.talking:
        raise Conflict("There is nobody on the line yet.")
    asked = await consultations.live_of_call(w.session, call.id)
    if asked is not None and asked.state is ConsultationState.ringing:
        raise Conflict("Your colleague's telephone still rings. Wait for the answer, or go on alone.")
    await consulting.set_hold(w, call, on)
    if asked is not None:
        w.hint(f"agent:{asked.agent_id}")


async def held(w: Writing, delivery: Delivery) -> None:
    """The carrier has put the customer on hold, or taken him back. Two such orders may pass each other on the way: what
    is wanted now is said again when this was something else."""
    call = vouched(await w.session.locked(Call, vouched(delivery.call_id)))
    if call.state is not CallState.talking or call.on_hold is bool(delivery.order["on"]):
        return
    legs = {leg.role: leg for leg in await calls.legs_of(w.session, call.id)}
    await outgoing.hold(w, call, legs["customer"], call.on_hold)
