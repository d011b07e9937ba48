"""Attempts, suppressions and consents as queries: what the guard needs to know of a number."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select, text, update

from router.model.cadences import Attempt
from router.model.suppressions import Suppression
from router.store.db import ReadSession, WriteSession


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
        .where(Suppression.phone == phone, Suppression.address == "", Suppression.lifted_at.is_(None))
        .order_by(Suppression.created_at)
        .limit(1)
    )
    return found or ""


_IN_FORCE = text(
    """
    select distinct given.purpose from receipts r, unnest(r.purposes) as given(purpose)
    where r.contact_id = :contact_id
      and not exists (select from withdrawals w where w.receipt_id = r.id and w.purpose = given.purpose)
    """
)

_TAKEN_BACK = text(
    """
    select given.purpose from receipts r cross join unnest(r.purposes) as given(purpose)
      left join withdrawals w on w.receipt_id = r.id and w.purpose = given.purpose
    where r.lead_id = :lead_id
    group by given.purpose having count(*) = count(w.id)
    """
)


async def consents(session: ReadSession, contact_id: int) -> frozenset[str]:
    """The purposes the person agreed to and has not taken back since."""
    return frozenset(row[0] for row in await session.rows(_IN_FORCE, {"contact_id": contact_id}))


async def taken_back(session: ReadSession, lead_id: int) -> frozenset[str]:
    """The purposes agreed to with this request and all taken back since."""
    return frozenset(row[0] for row in await session.rows(_TAKEN_BACK, {"lead_id": lead_id}))


async def lift(session: WriteSession, phone: str, reason: str, now: datetime) -> int:
    """Lifts what suppresses this number for this reason; how many there were."""
    lifted = await session.execute(
        update(Suppression)
        .where(Suppression.phone == phone, Suppression.reason == reason, Suppression.lifted_at.is_(None))
        .values(lifted_at=now)
        .returning(Suppression.id)
    )
    return len(lifted)
