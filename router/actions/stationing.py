"""Stationing: an agent stays on the line between calls. His telephone is called once; the next customers join him.

A station moves under its agent's lock. Locks: call, task, agent, station.
"""

from datetime import datetime, timedelta

from router.actions import outgoing
from router.book import Writing
from router.model.agents import WILLING, Agent, Wish
from router.model.base import vouched
from router.model.calls import Call
from router.model.errors import Conflict
from router.model.hours import opening, spans_from
from router.model.stations import STANDS_AT_MOST, Station, StationState
from router.model.vault import new_token
from router.store import alarms, stations

RING_SECONDS = 20
ANSWER_WITHIN = timedelta(seconds=RING_SECONDS + 15)
"""As long as his telephone rings, and what it takes until it does and until we hear of it."""
STATION_ANSWER = "station.answer"
"""The alarm of an agent who has not picked up his telephone to stay on the line."""
STATION_ENDS = "station.ends"
"""The alarm of a station's time; its subject is the station."""
STATION_DIAL = "station.dial"
"""The alarm of a call whose customer is to be called into its agent's station; its subject is the call."""
DIAL_AGAIN = timedelta(seconds=1)
"""How soon it is looked again whether the room is free for the next customer."""
FREE_WITHIN = timedelta(seconds=15)
"""How long the next customer waits for a room that somebody should have left."""
ENDS_AGAIN = timedelta(seconds=30)
GONE_AFTER = timedelta(seconds=45)
"""Whose browser is silent for so long is not only reloading."""
PAUSED_AT_MOST = timedelta(minutes=15)
"""Who pauses longer does not stay on the line."""
MOST_AT_ONCE = 50


async def open_line(w: Writing, agent_id: int) -> Station:
    """The agent's telephone rings; when he picks it up he stays on the line. Asked again, nothing more rings. Raises
    Conflict when he is not ready, or is in a call already."""
    agent = vouched(await w.session.locked(Agent, agent_id))
    live = await stations.live_of(w.session, agent_id)
    if live is not None:
        return live
    if agent.wish not in WILLING:
        raise Conflict("Press Ready first. Who stays on the line is called.")
    if agent.call_load >= agent.call_capacity or agent.video_load:
        raise Conflict("You are in a call already. Finish it first.")
    line = await stations.caller_id_for(w.session, agent.pool)
    if line is None:
        raise Conflict("Your line has no telephone.")
    caller_id, zone = line
    station = Station(
        agent_id=agent_id, state=StationState.opening, room=f"station-{agent_id}-{new_token()[:8]}",
        room_ref=new_token(), ref=new_token(), address=agent.address, opened_at=w.now,
        ends_at=_ends_at(agent, zone, w.now),
    )
    w.session.add(station)
    await w.session.flush()
    w.fact("station.opening", subject_id=station.id, agent_id=agent_id)
    await outgoing.place_standing_leg(w, station, caller_id, ring_seconds=RING_SECONDS)
    await alarms.set_alarm(w.session, STATION_ANSWER, station.id, w.now + ANSWER_WITHIN)
    await alarms.set_alarm(w.session, STATION_ENDS, station.id, station.ends_at)
    w.hint("courier", f"agent:{agent_id}")
    return station


def _ends_at(agent: Agent, zone: str, now: datetime) -> datetime:
    """When his shift ends, if he has one now; at the latest when the carrier would soon hang up."""
    latest = now + STANDS_AT_MOST
    if not agent.shifts:
        return latest
    end = None
    for span in spans_from(opening(zone, agent.shifts), now, latest):
        if span.start > (end or now):
            break
        end = span.end
    return end or latest


async def close_line(w: Writing, agent_id: int) -> None:
    """The agent does not stay on the line any more. Raises Conflict when he does not, or is in a call there."""
    await w.session.locked(Agent, agent_id)
    station = await stations.live_of(w.session, agent_id)
    if station is None:
        raise Conflict("You do not stay on the line any more.")
    if await stations.busy(w.session, agent_id):
        raise Conflict("You are in a call already. Finish it first.")
    await end(w, station, "left")


async def end(w: Writing, station: Station, outcome: str, *, hang_up: bool = True) -> bool:
    """The station is over, its agent locked by the caller; everybody in its room is hung up unless the caller sees to
    it. False when it was over already."""
    ended = await w.move(
        Station, station.id, StationState.ended, ended_at=w.now, outcome=outcome, data={"outcome": outcome}
    )
    if ended is None:
        return False
    for kind in (STATION_ANSWER, STATION_ENDS):
        await alarms.cancel(w.session, kind, station.id, w.now)
    for unplaced in await stations.stop_unplaced(w.session, station.id, w.now):
        w.fact("delivery.abandoned", subject_id=unplaced.id, reason="station_ended")
    if hang_up:
        await outgoing.end_station(w, ended)
    w.hint(f"agent:{station.agent_id}", "dispatch", "wallboard")
    return True


async def handed_over(w: Writing, station_id: int | None) -> None:
    """Who has stayed on the line leaves his room to a colleague and the customer; both agents are locked."""
    station = await stations.live(w.session, station_id)
    if station is not None and await end(w, station, "handed_over", hang_up=False):
        await outgoing.end_standing_leg(w, station)


async def joined(w: Writing, station: Station, carrier_id: str) -> None:
    """The agent is in his room: by his own telephone's word or the room's. Too late he is hung up."""
    await w.session.locked(Agent, station.agent_id)
    await placed(w, station.id, carrier_id)
    if await w.move(Station, station.id, StationState.standing, standing_at=w.now) is None:
        return
    await alarms.cancel(w.session, STATION_ANSWER, station.id, w.now)
    w.hint(f"agent:{station.agent_id}", "dispatch", "alarms", "wallboard")


async def placed(w: Writing, station_id: int, carrier_id: str) -> None:
    """The carrier took the call to the agent's telephone. If it is not wanted any more it is hung up."""
    station = vouched(await w.session.locked(Station, station_id))
    station.carrier_id = station.carrier_id or carrier_id
    await w.session.flush()
    if station.ended_at is not None:
        await outgoing.end_standing_leg(w, station)


async def unanswered(w: Writing, station_id: int) -> None:
    """The agent has not picked up in time (an alarm's handler). A call that waits for it finds out by itself."""
    station = await _locked(w, station_id)
    if station is not None and station.state is StationState.opening:
        await end(w, station, "no_answer")


async def time_is_up(w: Writing, station_id: int) -> None:
    """The shift is over, or the carrier's limit nears (an alarm's handler). A call is finished first."""
    station = await _locked(w, station_id)
    if station is None:
        return
    if await stations.busy(w.session, station.agent_id):
        await alarms.set_alarm(w.session, STATION_ENDS, station.id, w.now + ENDS_AGAIN)
    else:
        await end(w, station, "time")


async def _locked(w: Writing, station_id: int) -> Station | None:
    """The live station, its agent locked."""
    station = await stations.live(w.session, station_id)
    if station is None:
        return None
    await w.session.locked(Agent, station.agent_id)
    return await stations.live(w.session, station_id)


async def close_unwanted(w: Writing) -> int:
    """Ends the stations of who is off, disabled, away or paused for long, as soon as no call is under way; how many."""
    ended = 0
    for seen, agent in await stations.unwanted(w.session, w.now, MOST_AT_ONCE):
        station = await _locked(w, seen.id)
        if station is None or await stations.busy(w.session, agent.id):
            continue
        why = await _unwanted(w, station)
        ended += bool(why) and await end(w, station, why)
    return ended


async def _unwanted(w: Writing, station: Station) -> str:
    """Why this agent is not to stay on the line, as a code; "" when he may."""
    agent = vouched(await w.session.locked(Agent, station.agent_id))
    if agent.wish is Wish.off or agent.disabled_at is not None:
        return "off"
    # Who has just pressed the button was there then, be his browser's first answer still on its way.
    if max(station.opened_at, agent.heartbeat_at or station.opened_at) <= w.now - GONE_AFTER:
        return "gone"
    if agent.wish in WILLING:
        station.paused_at = None
    elif station.paused_at is None:
        station.paused_at = w.now
    await w.session.flush()
    return "paused" if station.paused_at is not None and station.paused_at <= w.now - PAUSED_AT_MOST else ""


async def call_waits(w: Writing, call: Call) -> None:
    """The call's customer is called into the station as soon as nobody else is there."""
    await alarms.set_alarm(w.session, STATION_DIAL, call.id, w.now)
    w.hint("alarms")
