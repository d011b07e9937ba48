"""Deliveries as queries. Rows to be moved are locked and those another replica holds are skipped."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, or_, select, update

from router.model.deliveries import Delivery, DeliveryKind, DeliveryState
from router.store.db import ReadSession, WriteSession

FLYING = (DeliveryState.claimed, DeliveryState.started)
LIVE = (DeliveryState.pending, *FLYING, DeliveryState.unknown)


def holds(fence: int) -> Any:
    """The condition that nobody has claimed the delivery since."""
    return Delivery.fence == fence


def leased(now: datetime) -> Any:
    """The condition that the lease has not run out."""
    return Delivery.lease_until > now


async def due(session: WriteSession, now: datetime, *, legs: int, others: int, mails: int = 0) -> Sequence[Delivery]:
    """At most so many due deliveries, telephone legs first and mails last, oldest first."""
    found: list[Delivery] = []
    leg, mail = Delivery.kind == DeliveryKind.leg, Delivery.kind == DeliveryKind.mail
    for condition, most in ((leg, legs), (and_(~leg, ~mail), others), (mail, mails)):
        if most > 0:
            found += await session.scalars(
                select(Delivery)
                .where(Delivery.state == DeliveryState.pending, condition, Delivery.due_at <= now)
                .order_by(Delivery.due_at, Delivery.id)
                .limit(most)
                .with_for_update(skip_locked=True)
            )
    return found


async def expired(session: WriteSession, now: datetime, limit: int = 100) -> Sequence[Delivery]:
    """Claimed or started ones whose worker let the lease run out."""
    return await session.scalars(
        select(Delivery)
        .where(Delivery.state.in_(FLYING), Delivery.lease_until <= now)
        .order_by(Delivery.lease_until)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )


async def claimed_by(session: WriteSession, owner: str) -> Sequence[Delivery]:
    """What this worker holds and has not started."""
    return await session.scalars(
        select(Delivery).where(Delivery.state == DeliveryState.claimed, Delivery.owner == owner).with_for_update()
    )


async def to_ask_about(session: WriteSession, now: datetime, limit: int = 20) -> Sequence[Delivery]:
    """Unknown ones it is time to ask about, legs first."""
    return await session.scalars(
        select(Delivery)
        .where(
            Delivery.state == DeliveryState.unknown,
            or_(Delivery.lease_until.is_(None), Delivery.lease_until <= now),
        )
        .order_by(Delivery.kind != DeliveryKind.leg, Delivery.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )


async def ask_again(session: WriteSession, delivery_id: int, at: datetime) -> None:
    """When to ask next about an unknown one."""
    await session.execute(
        update(Delivery)
        .where(Delivery.id == delivery_id, Delivery.state == DeliveryState.unknown)
        .values(lease_until=at)
    )


async def known_ids(session: ReadSession, carrier_ids: Collection[str]) -> frozenset[str]:
    """Which of the carrier's ids already belong to a delivery."""
    found = await session.scalars(select(Delivery.carrier_id).where(Delivery.carrier_id.in_(carrier_ids)))
    return frozenset(found)


async def known(session: ReadSession, dedupe_key: str) -> bool:
    """Whether there is such a delivery. Of two who ask at once the unique key refuses one."""
    return await session.scalar(select(Delivery.id).where(Delivery.dedupe_key == dedupe_key)) is not None


async def newest(session: ReadSession, signing_id: int, kind: DeliveryKind) -> Delivery | None:
    """The order of this kind for this signing that was made last."""
    return await session.scalar(
        select(Delivery)
        .where(Delivery.signing_id == signing_id, Delivery.kind == kind)
        .order_by(Delivery.id.desc())
        .limit(1)
    )


async def newest_seal(session: ReadSession, signing_id: int, purpose: str = "seal") -> Delivery | None:
    """The order of this signing's seal that was made last; countersignatures, and acknowledgements of withdrawals, are
    made under other purposes."""
    return await session.scalar(
        select(Delivery)
        .where(Delivery.signing_id == signing_id, Delivery.kind == DeliveryKind.seal, Delivery.purpose == purpose)
        .order_by(Delivery.id.desc())
        .limit(1)
    )


async def uncertain_messages(session: ReadSession, to: str) -> Sequence[Delivery]:
    """Messages to this number of which we do not know yet whether they were sent, oldest first."""
    return await session.scalars(
        select(Delivery)
        .where(
            Delivery.state.in_((DeliveryState.started, DeliveryState.unknown)),
            Delivery.kind == DeliveryKind.message,
            Delivery.order["to"].astext == to,
        )
        .order_by(Delivery.id)
    )


async def oldest_unsent(session: ReadSession, now: datetime) -> datetime | None:
    """Since when the oldest due delivery has been waiting."""
    return await session.scalar(
        select(func.min(Delivery.due_at)).where(Delivery.state == DeliveryState.pending, Delivery.due_at <= now)
    )


async def count_by_state(session: ReadSession) -> dict[str, int]:
    """How many there are in each state that is not final, and how many were abandoned."""
    counts = {state.value: 0 for state in (*LIVE, DeliveryState.abandoned)}
    rows = await session.rows(
        select(Delivery.state, func.count())
        .where(Delivery.state.in_([*LIVE, DeliveryState.abandoned]))
        .group_by(Delivery.state)
    )
    return counts | {row[0].value: row[1] for row in rows}


async def by_ref(session: WriteSession, ref: str) -> Delivery | None:
    """The delivery of this name, locked."""
    return await session.scalar(select(Delivery).where(Delivery.ref == ref).with_for_update())
