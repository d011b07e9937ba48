"""Number searches as queries."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Select, and_, or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from router.model.agents import Agent
from router.model.base import vouched
from router.model.campaigns import Campaign, Queue
from router.model.contacts import Contact
from router.model.deliveries import Delivery
from router.model.leads import Lead
from router.model.number_searches import NumberSearch, SearchState
from router.model.quotes import OPEN, Quote
from router.model.signings import Signing, SigningState
from router.store.db import ReadSession, WriteSession

MOST_SOUGHT = 20


class Sought(NamedTuple):
    """A search, its person with the request it came from, and the quote it is about, if it is about one."""

    search: NumberSearch
    contact: Contact
    lead: Lead
    campaign: Campaign
    quote: Quote | None


async def begin(session: WriteSession, search: dict[str, object]) -> int | None:
    """The new search; None when there is, or was, one for the same link, or there is one for the same person."""
    rows = await session.execute(
        insert(NumberSearch).values(state=SearchState.open, **search).on_conflict_do_nothing()
        .returning(NumberSearch.id)
    )
    return int(rows[0][0]) if rows else None


_TURN = text(
    """
    update number_searches set signing_id = :signing, quote_id = :quote, agent_id = :agent
    where state = 'open' and signing_id is null and contact_id = :contact
      and not exists (select from number_searches n where n.signing_id = :signing)
    returning id
    """
)


async def about_offer(session: WriteSession, signing: Signing, owner: int | None) -> bool:
    """The search for the signing's person is about its offer from now on, and its owner's; whether there was one."""
    return bool(await session.execute(_TURN, {
        "signing": signing.id, "quote": signing.quote_id, "contact": signing.contact_id, "agent": owner,
    }))


async def any_open(session: ReadSession, contacts: Sequence[int]) -> bool:
    """Whether a number of one of these is looked for."""
    return await session.scalar(
        select(NumberSearch.id).where(NumberSearch.contact_id.in_(contacts), NumberSearch.state == SearchState.open)
        .limit(1)
    ) is not None


async def sought_by(session: ReadSession, agent: Agent) -> list[Sought]:
    """What this agent is to find, the oldest first: his own quotes' numbers, and, for who may, those of agents who are
    not here any more; after these the numbers of those who were called in vain on his lines."""
    owner = NumberSearch.agent_id == agent.id
    if agent.role.value != "agent":
        gone = select(Agent.id).where(Agent.disabled_at.is_not(None))
        owner = or_(owner, NumberSearch.agent_id.is_(None), NumberSearch.agent_id.in_(gone))
    mine = and_(
        NumberSearch.signing_id.is_not(None), owner, Quote.state.in_(OPEN),
        Signing.state == SigningState.undeliverable,
    )
    of_line = and_(NumberSearch.signing_id.is_(None), NumberSearch.queue_id.in_(_lines_of(agent)), Contact.phone != "")
    rows = await session.rows(
        select(NumberSearch, Contact, Lead, Campaign, Quote)
        .join(Contact, Contact.id == NumberSearch.contact_id).join(Lead, Lead.id == NumberSearch.lead_id)
        .join(Campaign, Campaign.id == NumberSearch.campaign_id)
        .outerjoin(Quote, Quote.id == NumberSearch.quote_id)
        .outerjoin(Signing, Signing.id == NumberSearch.signing_id)
        .where(NumberSearch.state == SearchState.open, or_(mine, of_line))
        .order_by(NumberSearch.signing_id.is_(None), NumberSearch.id).limit(MOST_SOUGHT)
    )
    return [Sought(*row) for row in rows]


def _lines_of(agent: Agent) -> Select[int]:
    """The lines on which he works."""
    return select(Queue.id).where(Queue.pool == agent.pool, Queue.skills.contained_by(agent.skills))


async def works_on(session: ReadSession, agent_id: int, queue_id: int) -> bool:
    """Whether this agent works on the line."""
    agent = vouched(await session.get(Agent, agent_id))
    return await session.scalar(_lines_of(agent).where(Queue.id == queue_id)) is not None


async def sent(session: ReadSession, dedupe_key: str) -> Delivery | None:
    """The message of this key, if it was ever queued."""
    return await session.scalar(select(Delivery).where(Delivery.dedupe_key == dedupe_key))


async def give_number(session: WriteSession, contact: Contact, phone: str, now: datetime) -> bool:
    """Whether the person has this number (E.164) from now on: nobody else in the campaign is known by it. The race: two
    persons are given it at once, or somebody asks for a call from it. Whoever is second waits for the first."""
    try:
        async with session.savepoint():
            contact.phone, contact.renumbered_at = phone, now
            await session.flush()
    except IntegrityError as error:
        if "one_contact_per_number" not in str(error.orig):
            raise
        return False
    return True
