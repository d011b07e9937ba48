"""Configuration as queries: nouns by the keys people give them, and what kind of deployment this is."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from router.model.agents import Agent
from router.model.campaigns import Campaign, Number, Queue, Ruleset, Site
from router.model.sessions import Deployment
from router.store.db import ReadSession, WriteSession


async def campaign(session: ReadSession, key: str) -> Campaign | None:
    return await session.scalar(select(Campaign).where(Campaign.key == key))


async def queue(session: ReadSession, campaign_id: int, key: str) -> Queue | None:
    return await session.scalar(select(Queue).where(Queue.campaign_id == campaign_id, Queue.key == key))


async def ruleset(session: ReadSession, queue: Queue) -> Ruleset | None:
    """The rules of what comes in now; None: the ordinary ones."""
    return await session.get(Ruleset, queue.rules_id) if queue.rules_id is not None else None


async def site(session: ReadSession, key: str) -> Site | None:
    return await session.scalar(select(Site).where(Site.key == key))


async def number(session: ReadSession, phone: str) -> Number | None:
    return await session.scalar(select(Number).where(Number.phone == phone))


async def count_agents(session: ReadSession) -> int:
    return await session.scalar(select(func.count()).select_from(Agent)) or 0


async def deployment_kind(session: WriteSession, kind: str, now: datetime) -> str:
    """What kind of deployment owns this database: the first to ask decides."""
    await session.execute(insert(Deployment).values(id=1, kind=kind, created_at=now).on_conflict_do_nothing())
    return await session.scalar(select(Deployment.kind)) or kind


async def is_demonstration(session: ReadSession) -> bool:
    """Whether this database is a demonstration's."""
    return await session.scalar(select(Deployment.kind)) == "demo"


async def without_mail(session: ReadSession) -> list[str]:
    """The keys of the campaigns that have no address to send e-mail from."""
    return list(await session.scalars(select(Campaign.key).where(Campaign.mail_from == "").order_by(Campaign.key)))
