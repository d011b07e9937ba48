"""Suppressions as queries: what bars a number, a person, or this person at this number."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ARRAY, BigInteger, DateTime, Text, bindparam, select, text, update

from router.model.agents import Agent
from router.model.suppressions import Suppression
from router.store.db import ReadSession, WriteSession


@dataclass(frozen=True)
class Found:
    """A suppression in force: why, until when (aware; None for ever), and by which channel ("" all)."""

    reason: str
    until: datetime | None
    channel: str


_PERSONS = text(
    """
    select c.id from contacts c where c.id = (select coalesce(merged_into, id) from contacts where id = :contact_id)
    union all
    select c.id from contacts c where c.merged_into = (select coalesce(merged_into, id) from contacts where id = :contact_id)
    order by 1
    """  # noqa: E501
)

async def persons(session: ReadSession, contact_id: int) -> list[int]:
    """This contact and all that are known to be the same person, in the order of their ids."""
    return [row[0] for row in await session.rows(_PERSONS, {"contact_id": contact_id})]


_LIFT_NUMBER = text(
    """
    update suppressions set lifted_at = :now
    where lifted_at is null and reason = :reason
      and (phone = :phone or (phone = '' and contact_id in (
        select c.id from campaigns k join contacts c on c.campaign_id = k.id and c.phone = :phone and c.phone <> '')))
    returning id
    """
).bindparams(bindparam("now", type_=DateTime(timezone=True)))


async def lift_number(session: WriteSession, phone: str, reason: str, now: datetime) -> int:
    """Lifts what suppresses this number, and those who have it, for this reason; how many there were."""
    return len(await session.execute(_LIFT_NUMBER, {"phone": phone, "reason": reason, "now": now}))


async def lift(session: WriteSession, suppression_id: int, agent_id: int, now: datetime) -> Suppression | None:
    """Lifts one; None when it is lifted already."""
    return await session.returning(
        update(Suppression)
        .where(Suppression.id == suppression_id, Suppression.lifted_at.is_(None))
        .values(lifted_at=now, lifted_by=agent_id)
        .returning(Suppression)
    )


async def with_number(session: ReadSession, phone: str) -> Sequence[int]:
    """The contacts that have this number, in any campaign."""
    return [row[0] for row in await session.rows(_WITH_NUMBER, {"phone": phone})]


# By campaign, because that is how the index stands.
_WITH_NUMBER = text(
    """
    select c.id from campaigns k join contacts c on c.campaign_id = k.id and c.phone = :phone and c.phone <> ''
    order by c.id
    """
)


async def of_person(
    session: ReadSession, phone: str, persons: Sequence[int]
) -> list[tuple[Suppression, str | None]]:
    """All that ever concerned them, newest first, each with the name of the supervisor who lifted it."""
    rows = await session.rows(
        select(Suppression, Agent.name)
        .outerjoin(Agent, Agent.id == Suppression.lifted_by)
        .where(
            text("((suppressions.phone = :phone and :phone <> '') or suppressions.contact_id = any(:persons))")
            .bindparams(bindparam("phone", type_=Text), bindparam("persons", type_=ARRAY(BigInteger)))
        )
        .order_by(Suppression.id.desc())
        .limit(30),
        {"phone": phone, "persons": list(persons)},
    )
    return [(row[0], row[1]) for row in rows]


_LAST_LEGS = text(
    """
    select l.outcome from legs l where l.address = :phone and l.role = 'customer' and l.outcome <> ''
    order by l.id desc limit :most
    """
)


async def failures_in_a_row(session: ReadSession, phone: str, most: int) -> bool:
    """Whether the last so many calls to this number all failed before anything rang."""
    rows = await session.rows(_LAST_LEGS, {"phone": phone, "most": most})
    return len(rows) == most and all(row[0] == "failed" for row in rows)
