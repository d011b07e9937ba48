"""Consulting: an agent in a call asks a colleague before he hands the customer over. Meanwhile the customer is on hold.

A consultation moves under its call's lock, so of two buttons, a button and a message of the carrier, or a message and
the timer one wins; at each of its ends the colleague's capacity is given back, once. Locks: call, leg, task, then the
agents by rising number.
"""

from datetime import timedelta

from router.actions import outgoing, presence, stationing, transferring
from router.actions.dispatch import AGENT_RING_SECONDS
from router.book import Writing
from router.model.agents import Agent
from router.model.base import vouched
from router.model.calls import Call, CallState, Leg
from router.model.campaigns import Campaign
from router.model.consultations import Consultation, ConsultationState
from router.model.contacts import Contact
from router.model.errors import Conflict
from router.model.tasks import Task, TaskState
from router.ports import LegOutcome, LegRole, LegStage
from router.store import agents, alarms, calls, consultations, stations

CONSULTATION_ANSWER = "consultation.answer"
"""The alarm of a colleague who has not come in time."""
ANSWER_WITHIN = timedelta(seconds=AGENT_RING_SECONDS + 15)
"""As long as his telephone rings, and what it takes until it does and until we hear of it."""
ASKER_GONE = "consultation.asker_gone"
"""The alarm of a call whose agent has hung up while he asked a colleague."""
SURELY_GONE = timedelta(seconds=2)
"""When the customer hangs up the carrier ends the agent's line too, and may tell of that first: so long we listen
whether it was the customer."""
OVER = "This call is over, or somebody else has it."
LEFT = "left"
DECLINED = "declined"
TAKEN_BACK = "taken_back"
ASKER_LEFT = "asker_left"
CALL_ENDED = "call_ended"
_HIS_TELEPHONE = frozenset(one.value for one in LegOutcome if one is not LegOutcome.none)
"""He was not reached: a short rest, as when the telephone of somebody who has accepted a task is not answered."""
_ENDED = list(LegStage).index(LegStage.ended)


async def ask(w: Writing, call_id: int, agent_id: int, colleague_id: int) -> Consultation:
    """The customer goes on hold, and the telephone of this colleague of the line rings. Raises Conflict when nobody is
    on the line, somebody is asked already, or the colleague is not free."""
    call = await _own(w, call_id, agent_id)
    if await consultations.live_of_call(w.session, call.id) is not None:
        raise Conflict("You are asking a colleague already.")
    task = vouched(await w.session.locked(Task, call.task_id))
    if task.state is not TaskState.engaged:
        raise Conflict(OVER)
    colleague = await transferring.free_colleague(w, task, agent_id, colleague_id)
    if await agents.rung(w.session, colleague.id):
        raise Conflict("This colleague is not free at the moment.")
    if await stations.live_of(w.session, colleague.id) is not None:
        raise Conflict("This colleague stays on the line and has no telephone free. Hand on without asking.")
    await presence.occupy(w, colleague, task.kind)
    campaign = vouched(await w.session.get(Campaign, task.campaign_id))
    leg = await outgoing.place_leg(
        w, call, campaign.caller_id, LegRole.colleague.value, colleague.address, ring_seconds=AGENT_RING_SECONDS
    )
    asked = Consultation(
        call_id=call.id, task_id=task.id, lead_id=call.lead_id, agent_id=colleague.id, asked_by=agent_id,
        leg_id=leg.id, state=ConsultationState.ringing, created_at=w.now,
    )
    w.session.add(asked)
    await w.session.flush()
    w.fact("consultation.ringing", campaign_id=task.campaign_id, lead_id=task.lead_id, subject_id=asked.id,
           agent_id=colleague.id, **_about(asked))
    await alarms.set_alarm(w.session, CONSULTATION_ANSWER, asked.id, w.now + ANSWER_WITHIN)
    await set_hold(w, call, True)
    _tell(w, asked)
    return asked


async def _own(w: Writing, call_id: int, agent_id: int) -> Call:
    call = await w.session.locked(Call, call_id)
    if call is None or call.agent_id != agent_id or call.state is not CallState.talking:
        raise Conflict(OVER)
    return call


def _about(asked: Consultation) -> dict[str, int]:
    return {"by": asked.asked_by, "task": asked.task_id, "call": asked.call_id}


def _tell(w: Writing, asked: Consultation) -> None:
    w.hint(f"agent:{asked.agent_id}", f"agent:{asked.asked_by}", "wallboard")


async def set_hold(w: Writing, call: Call, on: bool) -> None:
    """Puts the customer on hold, or takes him back; nothing happens when it is so already. Raises Conflict when there
    is nobody to hold."""
    if call.on_hold is on:
        return
    legs = {leg.role: leg for leg in await calls.legs_of(w.session, call.id)}
    if call.state is not CallState.talking or "customer" not in legs:
        raise Conflict("There is nobody on the line yet.")
    await outgoing.hold(w, call, legs["customer"], on)
    w.fact("call.held" if on else "call.unheld", lead_id=call.lead_id, subject_id=call.id, agent_id=call.agent_id)
    call.on_hold = on
    await w.session.flush()
    w.hint(f"agent:{call.agent_id}")


async def joined(w: Writing, leg: Leg) -> None:
    """The colleague is in the room."""
    asked = await consultations.live_of_leg(w.session, leg.id)
    if asked is not None and await w.move(
        Consultation, asked.id, ConsultationState.joined, joined_at=w.now, data=_about(asked)
    ):
        await alarms.cancel(w.session, CONSULTATION_ANSWER, asked.id, w.now)
        _tell(w, asked)


async def complete(w: Writing, call_id: int, agent_id: int) -> None:
    """The customer goes on with the colleague; who asked him leaves, and is free. Raises Conflict when the colleague is
    not there."""
    call = await _own(w, call_id, agent_id)
    asked = await consultations.live_of_call(w.session, call.id)
    if asked is None or asked.state is not ConsultationState.joined:
        raise Conflict("Your colleague is not on the line.")
    await _hand_over(w, call, asked)


async def take_back(w: Writing, call_id: int, agent_id: int) -> None:
    """The colleague is hung up, and the customer goes on with who has him. Raises Conflict when nobody is asked."""
    call = await _own(w, call_id, agent_id)
    asked = await consultations.live_of_call(w.session, call.id)
    if asked is None:
        raise Conflict("Nobody is being asked any more. The person is with you.")
    await _end(w, call, asked, TAKEN_BACK)


async def leave(w: Writing, consultation_id: int, agent_id: int) -> None:
    """The colleague does not want to be asked, or has said what he knows. Raises Conflict when it is over."""
    asked = await w.session.get(Consultation, consultation_id)
    call = await w.session.locked(Call, asked.call_id) if asked is not None else None
    live = await consultations.live_of_call(w.session, call.id) if call is not None else None
    if call is None or live is None or live.id != consultation_id or live.agent_id != agent_id:
        raise Conflict("This consultation is over.")
    await _end(w, call, live, DECLINED if live.state is ConsultationState.ringing else LEFT)


async def unanswered(w: Writing, consultation_id: int) -> None:
    """The colleague has not come in time (an alarm's handler)."""
    asked = vouched(await w.session.get(Consultation, consultation_id))
    call = vouched(await w.session.locked(Call, asked.call_id))
    live = await consultations.live_of_call(w.session, call.id)
    if live is not None and live.id == consultation_id and live.state is ConsultationState.ringing:
        await _end(w, call, live, LegOutcome.no_answer.value)


async def colleague_left(w: Writing, call: Call, leg: Leg, outcome: LegOutcome) -> None:
    """His telephone was not answered, or he has hung up. One that was canceled while it rang, by nobody here, was so
    because the room is over: that says nothing of him, and may come before the word that the customer has left."""
    asked = await consultations.live_of_leg(w.session, leg.id)
    if asked is None:
        return
    was_there = asked.state is ConsultationState.joined or outcome is LegOutcome.completed
    if was_there:
        await _end(w, call, asked, LEFT)
    else:
        await _end(w, call, asked, CALL_ENDED if outcome is LegOutcome.canceled else outcome.value)


async def asker_left(w: Writing, call: Call) -> bool:
    """Who asked is gone, or wants to be, though the customer is still there: with the colleague in the room that hands
    over; while his telephone rings the customer waits for him as one who was handed on. False when nobody is asked."""
    asked = await consultations.live_of_call(w.session, call.id)
    if asked is None:
        return False
    if asked.state is ConsultationState.joined:
        await _hand_over(w, call, asked)
        return True
    try:
        async with w.attempt():
            await _end(w, call, asked, ASKER_LEFT, unhold=False)
            await transferring.hand_over_to(w, call.task_id, call.agent_id, asked.agent_id)
    except Conflict:  # the customer's line is over too
        return False
    return True


async def asker_hung_up(w: Writing, call: Call) -> bool:
    """The line of who asks is over: who is left with whom is decided when it is sure that the customer is still there.
    False when nobody is asked."""
    if await consultations.live_of_call(w.session, call.id) is None:
        return False
    await alarms.set_alarm(w.session, ASKER_GONE, call.id, w.now + SURELY_GONE)
    return True


async def call_over(w: Writing, call: Call) -> None:
    """The call has ended, whyever: nobody is asked about it any more."""
    await alarms.cancel(w.session, ASKER_GONE, call.id, w.now)
    asked = await consultations.live_of_call(w.session, call.id)
    if asked is not None:
        await _end(w, call, asked, CALL_ENDED, unhold=False)


async def _locked(w: Writing, asked: Consultation) -> Task:
    task = vouched(await w.session.locked(Task, asked.task_id))
    for one in sorted({asked.agent_id, asked.asked_by}):
        await w.session.locked(Agent, one)
    return task


async def _end(w: Writing, call: Call, asked: Consultation, outcome: str, *, unhold: bool = True) -> None:
    task = await _locked(w, asked)
    ended = await w.move(
        Consultation, asked.id, ConsultationState.ended, ended_at=w.now, outcome=outcome,
        data={**_about(asked), "outcome": outcome},
    )
    if ended is None:
        return
    await alarms.cancel(w.session, CONSULTATION_ANSWER, asked.id, w.now)
    await _dismiss(w, call, vouched(await w.session.locked(Leg, asked.leg_id)))
    await presence.release(w, asked.agent_id, task.kind, rejected=outcome in _HIS_TELEPHONE)
    if unhold and call.state is CallState.talking:
        await set_hold(w, call, False)
    _tell(w, asked)


async def _hand_over(w: Writing, call: Call, asked: Consultation) -> None:
    """The task, its call and its person are the colleague's from now on; the task keeps its age."""
    task = await _locked(w, asked)
    before, colleague = asked.asked_by, vouched(await w.session.get(Agent, asked.agent_id))
    moved = await w.move(Consultation, asked.id, ConsultationState.completed, ended_at=w.now, data=_about(asked))
    if moved is None or task.state is not TaskState.engaged:
        raise Conflict(OVER)
    for leg in await calls.legs_of(w.session, call.id):
        if leg.id == asked.leg_id:
            leg.role = LegRole.agent.value
        elif leg.role == LegRole.agent.value:
            await _dismiss(w, call, leg)
    await stationing.handed_over(w, call.station_id)
    call.agent_id = task.agent_id = colleague.id
    vouched(await w.session.get(Contact, task.contact_id)).agent_id = colleague.id
    campaign = vouched(await w.session.get(Campaign, task.campaign_id))
    presence.took(colleague, w.now, campaign.timezone, costs_turn=False)
    colleague.focus = task.id
    await w.session.flush()
    await presence.release(w, before, task.kind)
    await set_hold(w, call, False)
    _tell(w, asked)
    w.hint(f"lead:{task.lead_id}")


async def _dismiss(w: Writing, call: Call, leg: Leg) -> None:
    """This telephone has no more business in the call, wherever its placing stands."""
    if leg.ended_at is not None:
        return
    leg.ended_at, leg.stage, leg.outcome = w.now, _ENDED, LegOutcome.canceled.value
    await w.session.flush()
    for unplaced in await calls.stop_unplaced_legs(w.session, call.id, w.now, leg_id=leg.id):
        w.fact("delivery.abandoned", lead_id=call.lead_id, subject_id=unplaced.id, reason="dismissed")
    await hang_up_late(w, call, leg)


async def hang_up_late(w: Writing, call: Call, leg: Leg) -> None:
    """Whatever the carrier still tells of a telephone that has no more business here, it is hung up, once."""
    if leg.carrier_id:
        await outgoing.end_leg(w, call, leg)
