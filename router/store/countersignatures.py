"""Countersignatures as queries."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select

from router.model.agents import Agent
from router.model.countersignatures import Countersignature, CountersignatureState
from router.model.quotes import Quote, QuoteState
from router.model.signings import Signing
from router.store.db import ReadSession

MOST_SHOWN = 20


async def of_signing(session: ReadSession, signing_id: int) -> Countersignature | None:
    """None where the campaign did not ask for one when the document was sealed."""
    return await session.scalar(select(Countersignature).where(Countersignature.signing_id == signing_id))


class Waiting(NamedTuple):
    """A signed quote that the company is to countersign, and who wrote it: he cannot; without a word of its
    customer."""

    quote: Quote
    author: str
    since: datetime


async def waiting(session: ReadSession) -> Sequence[Waiting]:
    """Those that wait for a supervisor, who waits longest first. Who has withdrawn meanwhile, or was forgotten, waits
    for nothing."""
    rows = await session.rows(
        select(Quote, Agent.name, Countersignature.asked_at)
        .join(Signing, Signing.quote_id == Quote.id)
        .join(Countersignature, Countersignature.signing_id == Signing.id)
        .outerjoin(Agent, Agent.id == Quote.agent_id)
        .where(Countersignature.state == CountersignatureState.waiting, Quote.state != QuoteState.withdrawn,
               Signing.sealed_sha256.is_not(None))
        .order_by(Countersignature.id).limit(MOST_SHOWN)
    )
    return [Waiting(row[0], row[1] or "", row[2]) for row in rows]
