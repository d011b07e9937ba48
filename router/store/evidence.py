"""Evidence as queries: appended to a signing's chain, read in order; and what else tells of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import select

from router.model.cadences import Attempt
from router.model.calls import Leg
from router.model.deliveries import Delivery, DeliveryKind
from router.model.evidence import GENESIS, EvidenceEvent, link
from router.model.ledger import Waiting
from router.model.signings import Signing
from router.store.db import ReadSession, WriteSession


async def append(session: WriteSession, signing: Signing, at: datetime, kind: str, data: dict[str, Any]) -> None:
    """Adds an event, which waits to be entered into the ledger. The caller holds the lock on the signing's row: two
    writers would break the chain."""
    previous, seq = signing.chain_head or GENESIS, signing.chain_length + 1
    event = EvidenceEvent(
        signing_id=signing.id, seq=seq, at=at, kind=kind, data=data, previous=previous,
        hash=link(previous, seq, at, kind, data),
    )
    session.add(event)
    session.add(Waiting(signing_id=signing.id, seq=seq))
    signing.chain_head, signing.chain_length = event.hash, seq
    await session.flush()


async def of_signing(session: ReadSession, signing_id: int) -> Sequence[EvidenceEvent]:
    """The chain, oldest first."""
    return await session.scalars(
        select(EvidenceEvent).where(EvidenceEvent.signing_id == signing_id).order_by(EvidenceEvent.seq)
    )


async def messages(session: ReadSession, signing_id: int) -> Sequence[Delivery]:
    """The texts of a signing, in their order."""
    return await session.scalars(
        select(Delivery)
        .where(Delivery.signing_id == signing_id, Delivery.kind.in_((DeliveryKind.message, DeliveryKind.mail)))
        .order_by(Delivery.id)
    )


class Rung(NamedTuple):
    """The customer's telephone in a call, the number he saw ("" when he called us), and the guard's answer."""

    leg: Leg
    caller_id: str
    attempt: Attempt | None


async def rung(session: ReadSession, call_id: int) -> Rung | None:
    """How the customer came into the call; None when nobody tried to reach him."""
    leg = await session.scalar(
        select(Leg).where(Leg.call_id == call_id, Leg.role == "customer").order_by(Leg.id.desc()).limit(1)
    )
    if leg is None:
        return None
    order = await session.scalar(select(Delivery).where(Delivery.leg_id == leg.id).order_by(Delivery.id).limit(1))
    attempt = await session.get(Attempt, order.attempt_id) if order is not None and order.attempt_id else None
    return Rung(leg, str(order.order.get("caller_id", "")) if order is not None else "", attempt)


async def proves_copy(session: ReadSession, signing_id: int) -> bool:
    """Whether the signed copy is known to have arrived: the carrier's receipt of the text with its link, or somebody
    has fetched it. Once it is countersigned, the countersigned one is meant."""
    events = await session.scalars(
        select(EvidenceEvent)
        .where(EvidenceEvent.signing_id == signing_id,
               EvidenceEvent.kind.in_(("sms.delivered", "copy.downloaded", "countersigned")))
        .order_by(EvidenceEvent.seq)
    )
    sent, proven = "copy", False
    for event in events:
        if event.kind == "countersigned":
            sent, proven = "countersigned", False
        else:
            proven = proven or event.kind == "copy.downloaded" or event.data.get("purpose") == sent
    return proven
