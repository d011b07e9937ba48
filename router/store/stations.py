"""Stations as queries."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import exists, or_, select, text, update

from router.model.agents import HEARTBEAT_LEASE, WILLING, Agent
from router.model.calls import Call, Leg
from router.model.campaigns import Campaign, Queue
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.model.stations import Station, StationState
from router.store.db import ReadSession, WriteSession


def _fresh(*where: Any) -> Any:
    return select(Station).where(*where).execution_options(populate_existing=True)


async def live_of(session: ReadSession, agent_id: int) -> Station | None:
    """The one this agent has, be it that his telephone still rings."""
    found: Station | None = await session.scalar(_fresh(Station.agent_id == agent_id, Station.ended_at.is_(None)))
    return found


async def standing_of(session: ReadSession, agent_id: int) -> Station | None:
    """The one in whose room this agent is."""
    found = await live_of(session, agent_id)
    return found if found is not None and found.state is StationState.standing else None


async def live(session: ReadSession, station_id: int | None) -> Station | None:
    """The one of this number, as long as it has not ended."""
    if station_id is None:
        return None
    found: Station | None = await session.scalar(_fresh(Station.id == station_id, Station.ended_at.is_(None)))
    return found


async def latest_of(session: ReadSession, agent_id: int) -> Station | None:
    """The one this agent has, or had last."""
    return await session.scalar(
        select(Station).where(Station.agent_id == agent_id).order_by(Station.id.desc()).limit(1)
    )


async def standing_among(session: ReadSession, agent_ids: Sequence[int]) -> frozenset[int]:
    """Which of these agents have one, be it that their telephones still ring."""
    rows = await session.scalars(
        select(Station.agent_id).where(Station.agent_id.in_(agent_ids), Station.ended_at.is_(None))
    )
    return frozenset(rows)


async def by_ref(session: ReadSession, ref: str) -> Station | None:
    found: Station | None = await session.scalar(_fresh(Station.ref == ref))
    return found


async def by_room(session: ReadSession, room_ref: str) -> Station | None:
    found: Station | None = await session.scalar(_fresh(Station.room_ref == room_ref))
    return found


async def caller_id_for(session: ReadSession, pool: int) -> tuple[str, str] | None:
    """The number by which the house calls an agent of this pool, and the zone (IANA) of its campaign."""
    rows = await session.rows(
        select(Campaign.caller_id, Campaign.timezone).join(Queue, Queue.campaign_id == Campaign.id)
        .where(Queue.pool == pool).order_by(Campaign.id).limit(1)
    )
    return (rows[0][0], rows[0][1]) if rows else None


_LIVE_CALL = select(Call).where(Call.ended_at.is_(None)).execution_options(populate_existing=True)


async def call_in(session: WriteSession, station_id: int) -> Call | None:
    """The call under way in this station's room, locked."""
    return await session.scalar(_LIVE_CALL.where(Call.station_id == station_id).with_for_update(key_share=True))


async def call_of(session: WriteSession, station_id: int, carrier_id: str) -> Call | None:
    """The call, locked, of which the telephone that the carrier calls so is one in this room. A call that is over still
    hears of its own telephones."""
    found = await session.scalar(
        select(Leg.call_id).join(Call, Call.id == Leg.call_id)
        .where(Call.station_id == station_id, Leg.carrier_id == carrier_id).order_by(Leg.id.desc()).limit(1)
    )
    return await call_in(session, station_id) if found is None else await session.locked(Call, found)


async def busy(session: ReadSession, agent_id: int) -> bool:
    """Whether this agent has a call under way."""
    return await session.scalar(select(Call.id).where(Call.agent_id == agent_id, Call.ended_at.is_(None))) is not None


_OCCUPIED = text(
    """
    select exists (
      select from deliveries d where d.station_id = :station and d.call_id <> :call
        and (d.kind in ('leg', 'put_through') and d.state in ('started', 'unknown')
          or d.kind in ('line', 'end_leg') and d.state <> 'done')
    ) or exists (
      select from legs l join calls c on c.id = l.call_id
      where c.station_id = :station and c.id <> :call and l.ended_at is null and (l.carrier_id <> '' or exists (
          select from deliveries d where d.station_id = :station and d.leg_id = l.id and d.state = 'done'))
        and not exists (select from deliveries d where d.dedupe_key = 'end_leg:' || l.id and d.state = 'done')
    )
    """
)


async def occupied(session: ReadSession, station_id: int, call_id: int) -> bool:
    """Whether somebody of an earlier call may still be in the room, or come into it: nobody else is called into it as
    long as that may be, for he would hear him."""
    rows = await session.rows(_OCCUPIED, {"station": station_id, "call": call_id})
    return bool(rows[0][0])


async def stop_unplaced(session: WriteSession, station_id: int, now: datetime) -> Sequence[Delivery]:
    """Abandons the call to the agent's own telephone, as far as it has not left the house."""
    rows = await session.execute(
        update(Delivery)
        .where(
            Delivery.station_id == station_id, Delivery.call_id.is_(None), Delivery.kind == DeliveryKind.leg,
            Delivery.state.in_((DeliveryState.pending, DeliveryState.claimed)),
        )
        .values(state=DeliveryState.abandoned, ended_at=now)
        .returning(Delivery)
    )
    return [row[0] for row in rows]


async def unwanted(session: ReadSession, now: datetime, limit: int) -> Sequence[tuple[Station, Agent]]:
    """Live stations of agents who want no work, may have none or are away, without a call under way; and those once
    seen so."""
    rows = await session.rows(
        select(Station, Agent).join(Agent, Agent.id == Station.agent_id)
        .where(
            Station.ended_at.is_(None),
            or_(Agent.wish.not_in(WILLING), Agent.disabled_at.is_not(None), Agent.heartbeat_at.is_(None),
                Agent.heartbeat_at <= now - HEARTBEAT_LEASE, Station.paused_at.is_not(None)),
            ~exists().where(Call.agent_id == Agent.id, Call.ended_at.is_(None)),
        )
        .order_by(Station.id).limit(limit)
    )
    return [(row[0], row[1]) for row in rows]


async def listening(session: ReadSession, before: datetime, limit: int) -> Sequence[Station]:
    """Live ones whose telephone was called before then and is known to the carrier."""
    return await session.scalars(
        select(Station).where(Station.ended_at.is_(None), Station.carrier_id != "", Station.opened_at < before)
        .order_by(Station.id).limit(limit)
    )


async def left_over(session: ReadSession, before: datetime, limit: int) -> Sequence[Leg]:
    """Telephones of ended calls that nobody has said have left their live station's room."""
    return await session.scalars(
        select(Leg).join(Call, Call.id == Leg.call_id).join(Station, Station.id == Call.station_id)
        .where(Station.ended_at.is_(None), Call.ended_at < before, Leg.ended_at.is_(None), Leg.carrier_id != "")
        .order_by(Leg.id).limit(limit)
    )
