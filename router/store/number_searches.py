"""Number searches as queries."""

from typing import NamedTuple

from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import insert

from router.model.agents import Agent
from router.model.contacts import Contact
from router.model.deliveries import Delivery
from router.model.number_searches import NumberSearch, SearchState
from router.model.quotes import OPEN, Quote
from router.model.signings import Signing, SigningState
from router.store.db import ReadSession, WriteSession


class Sought(NamedTuple):
    """A search, the quote it is about, and the name of its person."""

    search: NumberSearch
    quote: Quote
    name: str


async def begin(session: WriteSession, search: dict[str, object]) -> int | None:
    """The new search; None when there is, or was, one for the same link."""
    rows = await session.execute(
        insert(NumberSearch).values(state=SearchState.open, **search).on_conflict_do_nothing()
        .returning(NumberSearch.id)
    )
    return int(rows[0][0]) if rows else None


async def sought_by(session: ReadSession, agent: Agent) -> list[Sought]:
    """What this agent is to find, the oldest first: his own quotes' numbers, and, for who may, those of agents who are
    not here any more."""
    owner = NumberSearch.agent_id == agent.id
    if agent.role.value != "agent":
        gone = select(Agent.id).where(Agent.disabled_at.is_not(None))
        owner = or_(owner, NumberSearch.agent_id.is_(None), NumberSearch.agent_id.in_(gone))
    rows = await session.rows(
        select(NumberSearch, Quote, Contact.name)
        .join(Quote, Quote.id == NumberSearch.quote_id).join(Contact, Contact.id == NumberSearch.contact_id)
        .join(Signing, Signing.id == NumberSearch.signing_id)
        .where(owner, NumberSearch.state == SearchState.open, Quote.state.in_(OPEN),
               Signing.state == SigningState.undeliverable)
        .order_by(NumberSearch.id).limit(20)
    )
    return [Sought(*row) for row in rows]


async def sent(session: ReadSession, dedupe_key: str) -> Delivery | None:
    """The message of this key, if it was ever queued."""
    return await session.scalar(select(Delivery).where(Delivery.dedupe_key == dedupe_key))


async def holder(session: ReadSession, campaign_id: int, phone: str) -> Contact | None:
    """Who is known in the campaign by this number (E.164)."""
    return await session.scalar(select(Contact).where(Contact.campaign_id == campaign_id, Contact.phone == phone))
