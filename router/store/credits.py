"""Credits as queries: whose sale a signed quote is."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, select

from router.model.agents import Agent
from router.model.credits import Credit
from router.model.quotes import Quote, QuoteState
from router.store.db import ReadSession, WriteSession

SIGNED = (QuoteState.signed, QuoteState.completed, QuoteState.withdrawn)


class Share(NamedTuple):
    """An agent and his share of a sale, in percent."""

    agent: Agent
    percent: int


async def of_quote(session: ReadSession, quote_id: int) -> list[Share]:
    """Who has a share in it, the largest first."""
    rows = await session.rows(
        select(Agent, Credit.percent).join(Credit, Credit.agent_id == Agent.id).where(Credit.quote_id == quote_id)
        .order_by(Credit.percent.desc(), Agent.name, Agent.id)
    )
    return [Share(row[0], row[1]) for row in rows]


async def sales_of(session: ReadSession, contact_id: int) -> Sequence[Quote]:
    """What this person has signed, the newest first."""
    return await session.scalars(
        select(Quote).where(Quote.contact_id == contact_id, Quote.state.in_(SIGNED)).order_by(Quote.id.desc()).limit(20)
    )


async def replace(session: WriteSession, quote_id: int, shares: Mapping[int, int], now: datetime) -> None:
    """These shares instead of those there were. The caller holds the quote's lock."""
    await session.execute(delete(Credit).where(Credit.quote_id == quote_id))
    for agent_id, percent in shares.items():
        session.add(Credit(quote_id=quote_id, agent_id=agent_id, percent=percent, since=now))
    await session.flush()


async def agents(session: ReadSession) -> Sequence[Agent]:
    """Everybody who can have a share, in the order of their names: whoever works here, or did."""
    return await session.scalars(select(Agent).order_by(Agent.disabled_at.is_not(None), Agent.name, Agent.id))
