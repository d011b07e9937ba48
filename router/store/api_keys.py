"""Keys of programs as queries."""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import or_, select, update

from router.model.agents import Agent
from router.model.api_keys import ApiKey
from router.model.campaigns import Campaign, Queue
from router.model.leads import Lead
from router.model.tasks import Task
from router.store.db import ReadSession, WriteSession

USED_AGAIN = timedelta(minutes=10)
"""How exactly the last use of a key is remembered: writing it each time would make all its requests queue."""


class Keyed(NamedTuple):
    """A key with what it opens."""

    key: ApiKey
    campaign: Campaign
    queue: Queue


async def by_hash(session: ReadSession, key_hash: bytes) -> Keyed | None:
    """The key with this SHA-256, unless it is revoked."""
    rows = await session.rows(
        select(ApiKey, Campaign, Queue)
        .join(Campaign, Campaign.id == ApiKey.campaign_id)
        .join(Queue, Queue.id == ApiKey.queue_id)
        .where(ApiKey.key_hash == key_hash, ApiKey.revoked_at.is_(None))
    )
    return Keyed(*tuple(rows[0])) if rows else None


class Listed(NamedTuple):
    """A key as people see it."""

    key: ApiKey
    campaign: str
    queue: str
    by: str


async def listed(session: ReadSession, limit: int = 200) -> list[Listed]:
    """All keys, the newest first, the revoked ones last."""
    rows = await session.rows(
        select(ApiKey, Campaign.name, Queue.name, Agent.name)
        .join(Campaign, Campaign.id == ApiKey.campaign_id)
        .join(Queue, Queue.id == ApiKey.queue_id)
        .join(Agent, Agent.id == ApiKey.created_by)
        .order_by(ApiKey.revoked_at.desc().nulls_first(), ApiKey.id.desc())
        .limit(limit)
    )
    return [Listed(*tuple(row)) for row in rows]


async def used(session: WriteSession, key_id: int, now: datetime) -> None:
    """Remembers that the key was used, now and then."""
    await session.execute(
        update(ApiKey)
        .where(ApiKey.id == key_id, or_(ApiKey.used_at.is_(None), ApiKey.used_at < now - USED_AGAIN))
        .values(used_at=now)
    )


async def lead_of(session: ReadSession, campaign_id: int, lead_id: int) -> tuple[Lead, Task | None] | None:
    """A lead of this campaign, with the latest task that serves it."""
    lead = await session.scalar(select(Lead).where(Lead.id == lead_id, Lead.campaign_id == campaign_id))
    if lead is None:
        return None
    task = await session.scalar(
        select(Task).where(Task.lead_id == (lead.attached_to or lead.id)).order_by(Task.id.desc()).limit(1)
    )
    return lead, task
