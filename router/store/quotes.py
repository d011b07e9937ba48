"""Quotes as queries."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import or_, select, text, update

from router.model.agents import Agent
from router.model.calls import Call
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.leads import Lead
from router.model.quotes import OPEN, Quote, QuoteState
from router.model.tasks import Task
from router.store.db import ReadSession, WriteSession

MAY_BE_SENT = or_(Quote.over_limit.is_(False), Quote.state == QuoteState.approved)
"""No further below the catalogue than its agent may go, or approved by a supervisor."""


class Parties(NamedTuple):
    """Who an offer is between: the brand, the person, and the request it answers."""

    campaign: Campaign
    contact: Contact
    lead: Lead


async def next_number(session: WriteSession) -> int:
    """A number never given before; numbers of undone work are not given again."""
    rows = await session.execute(text("select nextval('quote_numbers')"))
    return int(rows[0][0])


async def parties(session: ReadSession, lead_id: int) -> Parties | None:
    """Brand, person and request, if there is such a lead."""
    rows = await session.rows(
        select(Campaign, Contact, Lead)
        .join(Lead, Lead.campaign_id == Campaign.id)
        .join(Contact, Contact.id == Lead.contact_id)
        .where(Lead.id == lead_id)
    )
    return Parties(*rows[0]) if rows else None


async def agent(session: ReadSession, agent_id: int) -> Agent | None:
    """The agent, unless disabled."""
    return await session.scalar(select(Agent).where(Agent.id == agent_id, Agent.disabled_at.is_(None)))


async def worked_on(session: ReadSession, lead_id: int, agent_id: int) -> bool:
    """Whether this agent holds, or held, a task of the lead."""
    task = select(Task.id).where(Task.lead_id == lead_id, Task.agent_id == agent_id).limit(1)
    return await session.scalar(task) is not None


async def newest_version(session: ReadSession, number: str) -> Quote | None:
    """The latest version of the quote of this number."""
    return await session.scalar(select(Quote).where(Quote.number == number).order_by(Quote.version.desc()).limit(1))


async def call_of_task(session: ReadSession, task_id: int) -> int | None:
    """The id of the last call of this task in which two have talked."""
    return await session.scalar(
        select(Call.id).where(Call.task_id == task_id, Call.talking_at.is_not(None)).order_by(Call.id.desc()).limit(1)
    )


async def open_of_number(session: ReadSession, phone: str) -> Sequence[int]:
    """The ids of the open quotes of everybody with this telephone number, in any campaign, rising."""
    return await session.scalars(
        select(Quote.id)
        .join(Contact, Contact.id == Quote.contact_id)
        .where(Contact.phone == phone, Quote.state.in_(OPEN))
        .order_by(Quote.id)
    )


async def by_pdf(session: ReadSession, sha256: bytes) -> Quote | None:
    """The quote whose unsigned offer has exactly these bytes."""
    return await session.scalar(select(Quote).where(Quote.pdf_sha256 == sha256).order_by(Quote.id).limit(1))


async def moved_by_person(session: WriteSession, contact_id: int, now: datetime) -> None:
    """The person's open quotes rest anew from now."""
    await session.execute(
        update(Quote)
        .where(Quote.contact_id == contact_id, Quote.state.in_(OPEN), Quote.idle_base < now)
        .values(idle_base=now)
    )


_IN_HANDS = text(
    """
    select exists (
      select from quotes q join contacts his on his.id = q.contact_id
        join tasks t on t.agent_id = :agent and t.state in ('reserved', 'connecting', 'engaged', 'wrapping')
        join contacts held on held.id = t.contact_id
      where q.id = :quote and coalesce(held.merged_into, held.id) = coalesce(his.merged_into, his.id)
    )
    """
)


async def in_hands_of(session: ReadSession, quote_id: int, agent_id: int) -> bool:
    """Whether the agent holds a task of this quote's person."""
    return bool((await session.rows(_IN_HANDS, {"quote": quote_id, "agent": agent_id}))[0][0])
