"""Calls and legs as queries."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update

from router.model.calls import Call, CallState, Leg
from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.store.db import ReadSession, WriteSession


async def leg_by_ref(session: WriteSession, ref: str) -> Leg | None:
    """The leg of this name. Its call is locked first, then the leg: always in this order, so that two messages about
    one call wait for each other and never deadlock."""
    call_id = await session.scalar(select(Leg.call_id).where(Leg.ref == ref))
    if call_id is None:
        return None
    await session.locked(Call, call_id)
    return await session.scalar(
        select(Leg).where(Leg.ref == ref).with_for_update(key_share=True).execution_options(populate_existing=True)
    )


async def call_by_room(session: WriteSession, room_ref: str) -> Call | None:
    """The call of this room, locked. Not for a station's room, where there are many."""
    return await session.scalar(
        select(Call)
        .where(Call.room_ref == room_ref, Call.station_id.is_(None))
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )


async def out_of_house(session: ReadSession, leg: Leg) -> bool:
    """Whether the leg may be ringing somewhere: its order was given, and its end has not been told."""
    if leg.ended_at is not None:
        return False
    given = (DeliveryState.started, DeliveryState.unknown, DeliveryState.done)
    found = select(Delivery.id).where(Delivery.leg_id == leg.id, Delivery.state.in_(given)).limit(1)
    return bool(leg.carrier_id) or await session.scalar(found) is not None


async def legs_of(session: ReadSession, call_id: int) -> Sequence[Leg]:
    return await session.scalars(select(Leg).where(Leg.call_id == call_id).order_by(Leg.id))


async def stop_unplaced_legs(
    session: WriteSession, call_id: int, now: datetime, *, leg_id: int | None = None
) -> Sequence[Delivery]:
    """Abandons the call's legs, or this one, as far as they have not left the house; those still waiting, now
    abandoned."""
    rows = await session.execute(
        update(Delivery)
        .where(
            Delivery.call_id == call_id,
            *([] if leg_id is None else [Delivery.leg_id == leg_id]),
            Delivery.kind.in_((DeliveryKind.leg, DeliveryKind.put_through)),
            Delivery.state.in_((DeliveryState.pending, DeliveryState.claimed)),
        )
        .values(state=DeliveryState.abandoned, ended_at=now)
        .returning(Delivery)
    )
    return [row[0] for row in rows]


async def living_legs(session: ReadSession, before: datetime, limit: int) -> list[tuple[Leg, CallState]]:
    """Legs of calls that have not ended, placed before then and not ended, oldest first; each with its call's state."""
    rows = await session.rows(
        select(Leg, Call.state)
        .join(Call, Call.id == Leg.call_id)
        .where(Call.ended_at.is_(None), Leg.ended_at.is_(None), Leg.carrier_id != "", Leg.created_at < before)
        .order_by(Leg.id)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in rows]


async def live_leg_of_call(session: ReadSession, carrier_id: str) -> Leg | None:
    """The leg that is this call of the carrier's, as long as it has not ended."""
    return await session.scalar(
        select(Leg).where(Leg.carrier_id == carrier_id, Leg.ended_at.is_(None)).order_by(Leg.id.desc()).limit(1)
    )


async def live_of_task(session: WriteSession, task_id: int) -> Call | None:
    """The call under way for this task, locked."""
    return await session.scalar(
        select(Call)
        .where(Call.task_id == task_id, Call.ended_at.is_(None))
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
