"""Short links as queries."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select, text, update

from router.model.campaigns import Campaign, Queue, Site
from router.model.leads import Lead
from router.model.short_links import OFFLINE, ShortLink
from router.store.db import ReadSession, WriteSession
from router.store.sites import Landing


@dataclass(frozen=True)
class Placed:
    """A link with the landing page it belongs to."""

    link: ShortLink
    landing: Landing


_PLACED = (
    select(ShortLink, Site, Queue, Campaign)
    .join(Site, Site.id == ShortLink.site_id)
    .join(Queue, Queue.id == Site.queue_id)
    .join(Campaign, Campaign.id == ShortLink.campaign_id)
)


async def by_code(session: ReadSession, code: str) -> Placed | None:
    """The link of this code, open or not."""
    rows = await session.rows(_PLACED.where(ShortLink.code == code))
    return _placed(rows[0]) if rows else None


async def by_id(session: ReadSession, link_id: int) -> Placed | None:
    rows = await session.rows(_PLACED.where(ShortLink.id == link_id))
    return _placed(rows[0]) if rows else None


def _placed(row: Sequence[object]) -> Placed:
    link, site, queue, campaign = row
    assert isinstance(link, ShortLink)  # noqa: S101
    return Placed(link, Landing(site, queue, campaign))  # type: ignore[arg-type]


async def of_piece(session: ReadSession, campaign_id: int, piece: str) -> ShortLink | None:
    return await session.scalar(
        select(ShortLink).where(ShortLink.campaign_id == campaign_id, ShortLink.piece == piece)
    )


async def count_visit(session: WriteSession, code: str, now: datetime) -> bool:
    """Counts one visit; False when the link does not exist, is switched off or has expired: then nothing is counted."""
    counted = await session.execute(
        update(ShortLink)
        .where(ShortLink.code == code, ShortLink.active)
        .where(or_(ShortLink.expires_at.is_(None), ShortLink.expires_at > now))
        .values(visits=ShortLink.visits + 1)
        .returning(ShortLink.id)
    )
    return bool(counted)


@dataclass(frozen=True)
class Counted:
    """A link and what came of it: `leads` in all, since it was made."""

    link: ShortLink
    site: Site
    campaign: Campaign
    leads: int


async def counted(session: ReadSession) -> list[Counted]:
    """All links with their leads, the newest first."""
    said = Lead.source["offline"].astext
    leads = (
        select(Lead.campaign_id, said.label("source"), func.count().label("leads"))
        # Words, as the index has them.
        .where(text("leads.source ->> 'offline' is not null"), said.like(OFFLINE + "%"))
        .group_by(Lead.campaign_id, said)
        .subquery()
    )
    rows = await session.rows(
        select(ShortLink, Site, Campaign, func.coalesce(leads.c.leads, 0))
        .join(Site, Site.id == ShortLink.site_id)
        .join(Campaign, Campaign.id == ShortLink.campaign_id)
        .outerjoin(
            leads, (leads.c.campaign_id == ShortLink.campaign_id) & (leads.c.source == OFFLINE + ShortLink.piece)
        )
        .order_by(ShortLink.id.desc())
    )
    return [Counted(link, site, campaign, number) for link, site, campaign, number in rows]


async def sites(session: ReadSession) -> list[tuple[Site, Campaign]]:
    """Every landing page a link may belong to, by its campaign's name."""
    rows = await session.rows(
        select(Site, Campaign)
        .join(Campaign, Campaign.id == Site.campaign_id)
        .order_by(Campaign.name, Site.name, Site.id)
    )
    return [(site, campaign) for site, campaign in rows]


async def only_campaign(session: ReadSession) -> Campaign | None:
    """The campaign, when there is but one: then a stranger with a wrong code can still be told whom to call."""
    found = await session.scalars(select(Campaign).order_by(Campaign.id).limit(2))
    return found[0] if len(found) == 1 else None
