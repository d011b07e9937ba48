"""Signing accounts as queries."""

from collections.abc import Sequence

from sqlalchemy import select

from router.model.campaigns import Campaign
from router.model.signing_accounts import ProviderName, SigningAccount
from router.store.db import ReadSession


async def chosen(session: ReadSession, campaign_id: int) -> SigningAccount | None:
    """Where the campaign's new offers go; None when the house itself takes signatures."""
    return await session.scalar(
        select(SigningAccount).where(SigningAccount.campaign_id == campaign_id, SigningAccount.chosen)
    )


async def of_provider(session: ReadSession, campaign_id: int, provider: ProviderName) -> SigningAccount | None:
    return await session.scalar(
        select(SigningAccount).where(SigningAccount.campaign_id == campaign_id, SigningAccount.provider == provider)
    )


async def by_key(session: ReadSession, provider: str, key: str) -> SigningAccount | None:
    """The account with this address. A key opens only its own provider's door."""
    if provider not in set(ProviderName):
        return None
    return await session.scalar(
        select(SigningAccount).where(SigningAccount.key == key, SigningAccount.provider == ProviderName(provider))
    )


async def every(session: ReadSession) -> Sequence[tuple[str, SigningAccount]]:
    """All of them, each with its campaign's key."""
    rows = await session.rows(
        select(Campaign.key, SigningAccount)
        .join(Campaign, Campaign.id == SigningAccount.campaign_id)
        .order_by(SigningAccount.id)
    )
    return [(row[0], row[1]) for row in rows]
