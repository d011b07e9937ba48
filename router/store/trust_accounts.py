"""Trust accounts as queries."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from sqlalchemy import select

from router.model.campaigns import Campaign
from router.model.signing_accounts import SigningAccount
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


class Failing(NamedTuple):
    """A third party of trust that fails: what it does ("signer", "time" or "custody"), its name, and for whom."""

    id: int
    service: str
    name: str
    campaign: str
    since: datetime


async def failing(session: ReadSession) -> list[Failing]:
    """Those that fail, whoever has for longest first."""
    found: list[Failing] = []
    for noun in (SigningAccount, TrustAccount):
        rows = await session.rows(
            select(noun, Campaign.name).join(Campaign, Campaign.id == noun.campaign_id)
            .where(noun.failing_since.is_not(None))
        )
        found += [Failing(one.id, _service(one), _name(one), campaign, one.failing_since) for one, campaign in rows]
    return sorted(found, key=lambda one: (one.since, one.service, one.id))


def _service(one: SigningAccount | TrustAccount) -> str:
    return one.service.value if isinstance(one, TrustAccount) else "signer"


def _name(one: SigningAccount | TrustAccount) -> str:
    if isinstance(one, SigningAccount):
        return one.provider.spoken
    return str(one.settings.get("keeper") or urlsplit(one.url).hostname)


async def every(session: ReadSession) -> Sequence[tuple[str, TrustAccount]]:
    """All of them, each with its campaign's key."""
    rows = await session.rows(
        select(Campaign.key, TrustAccount)
        .join(Campaign, Campaign.id == TrustAccount.campaign_id)
        .order_by(TrustAccount.id)
    )
    return [(row[0], row[1]) for row in rows]
