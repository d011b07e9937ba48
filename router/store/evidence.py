"""Evidence as queries: appended to a signing's chain, read in order."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select

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
