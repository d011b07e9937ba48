"""Trust accounts as queries."""

from collections.abc import Sequence

from sqlalchemy import select

from router.model.campaigns import Campaign
from router.model.trust_accounts import ServiceName, TrustAccount
from router.store.db import ReadSession


async def chosen(session: ReadSession, campaign_id: int, service: ServiceName) -> TrustAccount | None:
    """Who does this for the campaign from now on; None when the house does it itself, or nobody."""
    return await session.scalar(select(TrustAccount).where(
        TrustAccount.campaign_id == campaign_id, TrustAccount.service == service, TrustAccount.chosen
    ))


async def at(session: ReadSession, campaign_id: int, service: ServiceName, url: str) -> TrustAccount | None:
    return await session.scalar(select(TrustAccount).where(
        TrustAccount.campaign_id == campaign_id, TrustAccount.service == service, TrustAccount.url == url
    ))


async def of_service(session: ReadSession, service: ServiceName) -> Sequence[TrustAccount]:
    """All that were ever chosen for it, oldest first."""
    return await session.scalars(select(TrustAccount).where(TrustAccount.service == service).order_by(TrustAccount.id))


async def every(session: ReadSession) -> Sequence[tuple[str, TrustAccount]]:
    """All of them, each with its campaign's key."""
    rows = await session.rows(
        select(Campaign.key, TrustAccount)
        .join(Campaign, Campaign.id == TrustAccount.campaign_id)
        .order_by(TrustAccount.id)
    )
    return [(row[0], row[1]) for row in rows]
