"""Sites as queries: what a landing page's key opens."""

from dataclasses import dataclass

from sqlalchemy import select

from router.model.campaigns import Campaign, Queue, Site
from router.store.db import ReadSession


@dataclass(frozen=True)
class Landing:
    """A landing page with the queue and the campaign behind it."""

    site: Site
    queue: Queue
    campaign: Campaign


async def by_key(session: ReadSession, key: str) -> Landing | None:
    """The landing page with this public key."""
    rows = await session.rows(
        select(Site, Queue, Campaign)
        .join(Queue, Queue.id == Site.queue_id)
        .join(Campaign, Campaign.id == Site.campaign_id)
        .where(Site.key == key)
    )
    return Landing(rows[0][0], rows[0][1], rows[0][2]) if rows else None
