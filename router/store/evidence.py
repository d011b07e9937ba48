"""Evidence as queries: appended to a signing's chain, read in order."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select

from router.model.evidence import GENESIS, EvidenceEvent, link
from router.model.signings import Signing
from router.store.db import ReadSession, WriteSession


async def append(session: WriteSession, signing: Signing, at: datetime, kind: str, data: dict[str, Any]) -> None:
    """Adds an event. The caller holds the lock on the signing's row: two writers would break the chain."""
    previous, seq = signing.chain_head or GENESIS, signing.chain_length + 1
    event = EvidenceEvent(
        signing_id=signing.id, seq=seq, at=at, kind=kind, data=data, previous=previous,
        hash=link(previous, seq, at, kind, data),
    )
    session.add(event)
    signing.chain_head, signing.chain_length = event.hash, seq
    await session.flush()


async def of_signing(session: ReadSession, signing_id: int) -> Sequence[EvidenceEvent]:
    """The chain, oldest first."""
    return await session.scalars(
        select(EvidenceEvent).where(EvidenceEvent.signing_id == signing_id).order_by(EvidenceEvent.seq)
    )


async def proves_copy(session: ReadSession, signing_id: int) -> bool:
    """Whether the signed copy is known to have arrived: the carrier's receipt of the text with its link, or somebody
    has fetched it."""
    events = await session.scalars(
        select(EvidenceEvent).where(
            EvidenceEvent.signing_id == signing_id, EvidenceEvent.kind.in_(("sms.delivered", "copy.downloaded"))
        )
    )
    return any(event.kind == "copy.downloaded" or event.data.get("purpose") == "copy" for event in events)
