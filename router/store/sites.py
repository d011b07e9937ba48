"""Sites as queries: what a landing page's key opens."""

from dataclasses import dataclass
from functools import cached_property

import msgspec
from sqlalchemy import select

from router.model.campaigns import Campaign, Line, Queue, Site
from router.store.db import ReadSession


class Doorway(msgspec.Struct, frozen=True):
    """What every lead asks of its landing page, in values: mapped attributes cost a request more than what it does with
    them. `countries` are those whose numbers are taken; caps as the site has them."""

    site_id: int
    key: str
    closed: bool
    origins: frozenset[str]
    daily_spend_cap: int
    hourly_spend_cap: int
    line: Line
    campaign_id: int
    country: str
    countries: frozenset[str]
    locale: str
    keep_address: str


@dataclass(frozen=True)
class Landing:
    """A landing page with the queue and the campaign behind it."""

    site: Site
    queue: Queue
    campaign: Campaign

    @cached_property
    def doorway(self) -> Doorway:
        site, campaign = self.site, self.campaign
        return Doorway(
            site_id=site.id, key=site.key, closed=site.closed, origins=frozenset(site.origins),
            daily_spend_cap=site.daily_spend_cap, hourly_spend_cap=site.hourly_spend_cap, line=self.queue.line,
            campaign_id=campaign.id, country=campaign.country,
            countries=frozenset(campaign.countries or [campaign.country]), locale=campaign.locale,
            keep_address=campaign.keep_address,
        )


async def by_key(session: ReadSession, key: str) -> Landing | None:
    """The landing page with this public key."""
    rows = await session.rows(
        select(Site, Queue, Campaign)
        .join(Queue, Queue.id == Site.queue_id)
        .join(Campaign, Campaign.id == Site.campaign_id)
        .where(Site.key == key)
    )
    return Landing(rows[0][0], rows[0][1], rows[0][2]) if rows else None
