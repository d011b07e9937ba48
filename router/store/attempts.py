"""Attempts, suppressions and consents as queries: what the guard needs to know of a number."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select

from router.model.cadences import Attempt
from router.model.consent import Receipt
from router.model.suppressions import Suppression
from router.store.db import ReadSession


async def of_number(session: ReadSession, phone: str, now: datetime) -> Sequence[Attempt]:
    """The tries to this number in the last 30 days that were allowed and not refunded."""
    return await session.scalars(
        select(Attempt).where(
            Attempt.phone == phone,
            Attempt.at > now - timedelta(days=30),
            Attempt.verdict == "allow",
            Attempt.refunded_at.is_(None),
        )
    )


async def suppression(session: ReadSession, phone: str) -> str:
    """Why this number may not be contacted; empty when it may."""
    found = await session.scalar(
        select(Suppression.reason)
        .where(Suppression.phone == phone, Suppression.lifted_at.is_(None))
        .order_by(Suppression.created_at)
        .limit(1)
    )
    return found or ""


async def consents(session: ReadSession, contact_id: int) -> frozenset[str]:
    """The purposes the person agreed to."""
    lists = await session.scalars(select(Receipt.purposes).where(Receipt.contact_id == contact_id))
    return frozenset(purpose for purposes in lists for purpose in purposes)
