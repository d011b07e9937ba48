"""Number searches as queries."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, BigInteger, Select, Text, and_, bindparam, or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from router.model.agents import Agent
from router.model.base import vouched
from router.model.campaigns import Campaign, Queue
from router.model.contacts import Contact
from router.model.deliveries import Delivery
from router.model.leads import Lead
from router.model.number_searches import LOOK_AGAIN, SEARCH_LOOK, NumberSearch, SearchState, Standing
from router.model.outcomes import FINAL
from router.model.quotes import OPEN, Quote
from router.model.signings import Signing, SigningState
from router.store import alarms
from router.store.db import ReadSession, WriteSession

MOST_SOUGHT = 20


class Sought(NamedTuple):
    """A search, its person with the request it came from, and the quote it is about, if it is about one."""

    search: NumberSearch
    contact: Contact
    lead: Lead
    campaign: Campaign
    quote: Quote | None


async def begin(session: WriteSession, search: dict[str, Any]) -> int | None:
    """The new search, with its alarm; None when there is, or was, one for the same link, or there is one for the same
    person."""
    rows = await session.execute(
        insert(NumberSearch).values(state=SearchState.open, **search).on_conflict_do_nothing()
        .returning(NumberSearch.id)
    )
    if not rows:
        return None
    await alarms.set_alarm(session, SEARCH_LOOK, rows[0][0], search["created_at"] + LOOK_AGAIN)
    return int(rows[0][0])


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


_OPEN_OF = text(
    """
    select n.id from number_searches n join contacts c on c.id = n.contact_id
    where n.state = 'open' and coalesce(c.merged_into, c.id) in (
      select coalesce(merged_into, id) from contacts where id = any(:contacts))
    order by n.id
    """
).bindparams(bindparam("contacts", type_=ARRAY(BigInteger)))


async def look_again(session: WriteSession, contacts: Sequence[int], now: datetime) -> None:
    """Something has happened to these persons: it is asked at once whether their numbers are still needed."""
    for (search_id,) in await session.rows(_OPEN_OF, {"contacts": list(contacts)}):
        await alarms.set_alarm(session, SEARCH_LOOK, search_id, now)


# Whom others were merged into is one person with them. His own wrong number says nothing of another contact's.
_STANDING = text(
    """
    with n as (
      select * from number_searches where id = :search
    ), persons as materialized (
      select p.* from n join contacts c on c.id = n.contact_id
        join contacts p on coalesce(p.merged_into, p.id) = coalesce(c.merged_into, c.id)
    )
    select
      c.erased_at is not null,
      exists (select from suppressions s where s.contact_id in (select id from persons) and s.phone = ''
        and s.lifted_at is null and s.until is null and s.channel in ('', 'call')),
      c.renumbered_at is not null and c.renumbered_at > n.created_at,
      exists (select from merges m where m.state = 'merged' and m.decided_at > n.created_at
          and (m.into_id in (select id from persons) or m.from_id in (select id from persons)))
        and exists (select from persons p where p.id <> c.id and p.phone <> '' and not exists (
          select from suppressions s where s.phone = p.phone and s.contact_id = p.id and s.reason = 'wrong_number'
            and s.lifted_at is null)),
      exists (select from quotes q where q.contact_id in (select id from persons)
          and q.state in ('draft', 'awaiting', 'approved', 'frozen', 'sent', 'opened'))
        or exists (select from tasks t where t.contact_id in (select id from persons)
          and t.state not in ('closed', 'abandoned', 'expired', 'withdrawn'))
        or exists (select from enrolments e where e.contact_id in (select id from persons) and e.state <> 'exited'),
      exists (select from quotes q where q.contact_id in (select id from persons)
          and (q.ended_at > n.created_at or q.state = 'signed'))
        or exists (select from tasks t where t.contact_id in (select id from persons) and t.ended_at > n.created_at
          and t.disposition = any(:final))
        or exists (select from carts k join leads l on l.id = k.lead_id
          where l.contact_id in (select id from persons) and k.state = 'ordered' and k.changed_at > n.created_at),
      exists (select from quotes q where q.id = n.quote_id and q.state in ('sent', 'opened')),
      exists (select from signings s where s.id = n.signing_id and s.state = 'undeliverable')
    from n join contacts c on c.id = n.contact_id
    """
).bindparams(bindparam("final", type_=ARRAY(Text)))


async def standing(session: ReadSession, search_id: int) -> Standing:
    """How it stands about this search."""
    rows = await session.rows(_STANDING, {"search": search_id, "final": sorted(one.value for one in FINAL)})
    return Standing(*rows[0])


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
