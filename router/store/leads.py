"""Leads as queries: how a visitor's request stands."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select, text, true

from router.model.agents import Agent
from router.model.calls import Call, CallState
from router.model.campaigns import Campaign, Queue, Site
from router.model.contacts import Contact
from router.model.leads import Lead
from router.model.progress import Progress, progress
from router.model.tasks import Task, TaskKind, TaskState
from router.store.db import ReadSession, Rows, WriteSession


@dataclass(frozen=True)
class LeadStatus:
    """What the visitor's page may show; nothing of what he typed. `waits_as` is the lead whose task serves this one
    (itself, unless he had asked twice), by `task`. `agent` is a first name, empty while nobody is concerned. `phone` is
    whom to call, `caller_id` who will call, both E.164. `origins` are the pages that may read it."""

    lead_id: int
    waits_as: int
    version: str
    progress: Progress
    agent: str
    locale: str
    brand: str
    company: dict[str, Any]
    phone: str
    caller_id: str
    origins: list[str]
    pool: int
    skills: list[str]
    site_key: str = ""
    task: Task | None = None


async def status_of(session: ReadSession, token_hash: bytes) -> LeadStatus | None:
    """The status behind the SHA-256 of a status link's token."""
    rows = await session.rows(_STATUS.where(Lead.status_hash == token_hash))
    return _status(rows[0]) if rows else None


async def status_of_lead(session: ReadSession, lead_id: int) -> LeadStatus | None:
    """The status of this lead."""
    rows = await session.rows(_STATUS.where(Lead.id == lead_id))
    return _status(rows[0]) if rows else None


def _status(row: Rows) -> LeadStatus:
    lead, campaign, site, task, call, agent, queue = row
    now = progress(task and task.state, call and CallState(call.state), task and task.disposition)
    pool, skills = (task.pool, task.skills) if task else (queue.pool, queue.skills) if queue else (1, [])
    return LeadStatus(
        lead_id=lead.id,
        waits_as=lead.attached_to or lead.id,
        version=f"{task.id if task else 0}-{call.id if call else 0}-{now}",
        progress=now,
        agent=next(iter(agent.name.split()), "") if agent else "",
        locale=lead.locale,
        brand=campaign.name,
        company=campaign.company,
        phone=campaign.phone_for(site),
        caller_id=campaign.caller_id,
        origins=list(site.origins) if site else [],
        pool=pool,
        skills=list(skills),
        site_key=site.key if site else "",
        task=task,
    )


# A nurture task that waits for its agent weeks later is not the visitor's wait; only its call concerns him.
_CONCERNS_HIM = or_(Task.kind != TaskKind.nurture, Task.state.in_([TaskState.connecting, TaskState.engaged]))

_NEWEST_TASK = (
    select(Task.id)
    .where(Task.lead_id == func.coalesce(Lead.attached_to, Lead.id), _CONCERNS_HIM)
    .order_by(Task.id.desc())
    .limit(1)
    .correlate(Lead)
    .lateral("newest_task")
)
_NEWEST_CALL = (
    select(Call.id)
    .where(Call.task_id == Task.id)
    .order_by(Call.id.desc())
    .limit(1)
    .correlate(Task)
    .lateral("newest_call")
)

_STATUS = (
    select(Lead, Campaign, Site, Task, Call, Agent, Queue)
    .join(Campaign, Campaign.id == Lead.campaign_id)
    .outerjoin(Site, Site.id == Lead.site_id)
    .outerjoin(Queue, Queue.id == Site.queue_id)
    .outerjoin(_NEWEST_TASK, true())
    .outerjoin(Task, Task.id == _NEWEST_TASK.c.id)
    .outerjoin(_NEWEST_CALL, true())
    .outerjoin(Call, Call.id == _NEWEST_CALL.c.id)
    .outerjoin(Agent, Agent.id == Task.agent_id)
)


async def by_reference(session: WriteSession, campaign_id: int, reference: str, since: datetime) -> Lead | None:
    """The request that was given this reference since then, locked; of several the last."""
    return await session.scalar(
        select(Lead)
        .where(
            text("leads.source ->> 'reference' is not null"), Lead.source["reference"].astext == reference,
            Lead.campaign_id == campaign_id, Lead.created_at > since,
        )
        .order_by(Lead.id.desc())
        .limit(1)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )


async def contact_of_number(session: ReadSession, campaign_id: int, phone: str) -> Contact | None:
    """The person this number belongs to within a campaign."""
    return await session.scalar(select(Contact).where(Contact.campaign_id == campaign_id, Contact.phone == phone))


async def latest_of_number(session: ReadSession, campaign_id: int, phone: str, since: datetime) -> Lead | None:
    """The latest request since then of the person with this number."""
    return await session.scalar(
        select(Lead)
        .join(Contact, Contact.id == Lead.contact_id)
        .where(Contact.campaign_id == campaign_id, Contact.phone == phone, Lead.created_at > since)
        .order_by(Lead.created_at.desc(), Lead.id.desc())
        .limit(1)
    )
