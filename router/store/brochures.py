"""Brochures as queries."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import func, select

from router.model.brochures import Brochure
from router.model.campaigns import Campaign
from router.model.handouts import HandoutItem
from router.store.db import ReadSession


class Shelved(NamedTuple):
    """A brochure, how often it was sent, and how many of those have been opened."""

    brochure: Brochure
    sent: int
    opened: int


async def shelf(session: ReadSession) -> list[tuple[Campaign, list[Shelved]]]:
    """All campaigns in the order of their names, each with its brochures; retired ones last, newest first."""
    counts = (
        select(
            HandoutItem.brochure_id, func.count().label("sent"),
            func.count(HandoutItem.first_opened_at).label("opened"),
        ).group_by(HandoutItem.brochure_id).subquery()
    )
    rows = await session.rows(
        select(Campaign, Brochure, func.coalesce(counts.c.sent, 0), func.coalesce(counts.c.opened, 0))
        .select_from(Campaign)
        .outerjoin(Brochure, Brochure.campaign_id == Campaign.id)
        .outerjoin(counts, counts.c.brochure_id == Brochure.id)
        .order_by(Campaign.name, Campaign.id, Brochure.retired_at.is_not(None), Brochure.id.desc())
    )
    found: dict[int, tuple[Campaign, list[Shelved]]] = {}
    for campaign, brochure, sent, opened in rows:
        _, shelved = found.setdefault(campaign.id, (campaign, []))
        if brochure is not None:
            shelved.append(Shelved(brochure, sent, opened))
    return list(found.values())


async def in_use(
    session: ReadSession, campaign_id: int, among: Collection[int] | None = None
) -> Sequence[Brochure]:
    """The campaign's brochures that may be sent, by their names; only those `among` these ids, if given."""
    statement = select(Brochure).where(Brochure.campaign_id == campaign_id, Brochure.retired_at.is_(None))
    if among is not None:
        statement = statement.where(Brochure.id.in_(among))
    return await session.scalars(statement.order_by(func.lower(Brochure.name), Brochure.id))


async def any_in_use(session: ReadSession, campaign_id: int) -> bool:
    """Whether the campaign has anything to send."""
    found = select(Brochure.id).where(Brochure.campaign_id == campaign_id, Brochure.retired_at.is_(None)).limit(1)
    return await session.scalar(found) is not None


async def ever(session: ReadSession, campaign_id: int) -> bool:
    """Whether the campaign has, or had, anything to send."""
    return await session.scalar(select(Brochure.id).where(Brochure.campaign_id == campaign_id).limit(1)) is not None


async def same_file(session: ReadSession, campaign_id: int, sha256: bytes) -> Brochure | None:
    """The campaign's brochure in use with these very bytes."""
    return await session.scalar(
        select(Brochure).where(
            Brochure.campaign_id == campaign_id, Brochure.sha256 == sha256, Brochure.retired_at.is_(None)
        )
    )
