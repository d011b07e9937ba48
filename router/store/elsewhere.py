"""Quotes from elsewhere as queries: which are known, what their persons agreed to, whose turn is last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ARRAY, Text, bindparam, func, select, text

from router.model.agents import Agent
from router.model.contacts import Contact
from router.model.leads import Lead
from router.model.quotes import Quote
from router.store.db import ReadSession, WriteSession


@dataclass(frozen=True)
class Person:
    """A known person: the contact, whom he was merged into, the purposes he has agreed to, and when he took which
    back."""

    id: int
    merged_into: int | None
    agreed: frozenset[str] = frozenset()
    taken_back: Mapping[str, datetime] = field(default_factory=dict)

    def owns(self, quote: Quote) -> bool:
        return quote.contact_id in (self.id, self.merged_into)


_AGREED = text(
    """
    select c.phone, given.purpose, bool_or(w.id is null), max(w.at)
    from contacts c join receipts r on r.contact_id = c.id cross join unnest(r.purposes) as given(purpose)
      left join withdrawals w on w.receipt_id = r.id and w.purpose = given.purpose
    where c.campaign_id = :campaign_id and c.phone = any(:phones)
      and (c.renumbered_at is null or r.given_at > c.renumbered_at or w.id is not null)
    group by c.phone, given.purpose
    """
).bindparams(bindparam("phones", type_=ARRAY(Text)))


async def persons(session: ReadSession, campaign_id: int, phones: Sequence[str]) -> dict[str, Person]:
    """Who is known in the campaign by these numbers."""
    rows = await session.rows(_AGREED, {"campaign_id": campaign_id, "phones": list(phones)})
    found = await session.rows(
        select(Contact.phone, Contact.id, Contact.merged_into)
        .where(Contact.campaign_id == campaign_id, Contact.phone.in_(phones), Contact.phone != "")
    )
    return {
        phone: Person(
            number, merged_into, frozenset(row[1] for row in rows if row[0] == phone and row[2]),
            {row[1]: row[3] for row in rows if row[0] == phone and row[3] is not None},
        )
        for phone, number, merged_into in found
    }


async def known(session: ReadSession, campaign_id: int, numbers: Sequence[str]) -> dict[str, Quote]:
    """The campaign's quotes with these numbers of elsewhere, by number."""
    found = await session.scalars(
        select(Quote).where(Quote.campaign_id == campaign_id, Quote.external_number.in_(numbers))
    )
    return {quote.external_number or "": quote for quote in found}


async def agents(session: ReadSession, logins: Sequence[str]) -> dict[str, Agent]:
    """Agents by login, those who have left too."""
    return {agent.login: agent for agent in await session.scalars(select(Agent).where(Agent.login.in_(logins)))}


async def contacts_of(session: ReadSession, lead_ids: Sequence[int]) -> dict[int, int]:
    """Each lead's contact."""
    rows = await session.rows(select(Lead.id, Lead.contact_id).where(Lead.id.in_(lead_ids)))
    return {row[0]: row[1] for row in rows}


_NUMBERS = text("select nextval('quote_numbers') from generate_series(1, :count)")


async def numbers(session: WriteSession, count: int) -> list[int]:
    """So many numbers never given before."""
    return [row[0] for row in await session.execute(_NUMBERS, {"count": count})]


async def last_turn(
    session: ReadSession, campaign_id: int, *, resting_since: datetime | None = None, before: datetime | None = None
) -> datetime | None:
    """The last turn the stale watch was given for the campaign's quotes from elsewhere that rest since then exactly, or
    since before (both aware)."""
    which = Quote.idle_base == resting_since if resting_since is not None else Quote.idle_base <= before
    return await session.scalar(
        select(func.max(Quote.paced_at)).where(Quote.campaign_id == campaign_id, Quote.paced_at.is_not(None), which)
    )
