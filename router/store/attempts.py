"""Attempts and consents as queries: what the guard needs to know of a number and of its person."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ARRAY, BigInteger, bindparam, select, text

from router.model.cadences import Attempt
from router.store.db import ReadSession

LOOK_BACK = timedelta(days=90)
"""Longer than any pack counts."""


async def of_number(session: ReadSession, phone: str, now: datetime) -> Sequence[Attempt]:
    """The tries to this number in the last LOOK_BACK that were allowed and not refunded, oldest first: in whatever
    campaign, by whatever channel, by hand or not."""
    return await session.scalars(
        select(Attempt)
        .where(
            Attempt.phone == phone,
            Attempt.at > now - LOOK_BACK,
            Attempt.verdict == "allow",
            Attempt.refunded_at.is_(None),
        )
        .order_by(Attempt.at)
    )


async def answers(session: ReadSession, contact_id: int, phone: str, limit: int = 20) -> Sequence[Attempt]:
    """The guard's last answers about this number, or, for who has none, about this person; newest first."""
    who = Attempt.phone == phone if phone else Attempt.contact_id == contact_id
    return await session.scalars(select(Attempt).where(who).order_by(Attempt.at.desc(), Attempt.id.desc()).limit(limit))


class Given(NamedTuple):
    """A consent in force: its receipt, and when it was given (aware)."""

    receipt_id: int
    at: datetime


# A list says on which day its persons agreed; any other sender's clock is worth what a stranger's word is worth.
_IN_FORCE = text(
    """
    select distinct on (given.purpose) given.purpose, r.id,
      case when r.method = 'list' then least(r.client_at, r.given_at) else r.given_at end as at
    from receipts r, unnest(r.purposes) as given(purpose)
    where r.contact_id = :contact_id
      and not exists (select from withdrawals w where w.receipt_id = r.id and w.purpose = given.purpose)
    order by given.purpose, r.lead_id is not distinct from :lead_id desc, at desc, r.id desc
    """
).bindparams(bindparam("lead_id", type_=BigInteger))

_TAKEN_BACK = text(
    """
    select given.purpose from receipts r cross join unnest(r.purposes) as given(purpose)
      left join withdrawals w on w.receipt_id = r.id and w.purpose = given.purpose
    where r.lead_id = :lead_id
    group by given.purpose having count(*) = count(w.id)
    """
)


async def consents(session: ReadSession, contact_id: int, lead_id: int | None = None) -> dict[str, Given]:
    """The purposes the person agreed to and has not taken back since, each with the receipt that says so: the one of
    this request if there is one, else the newest."""
    rows = await session.rows(_IN_FORCE, {"contact_id": contact_id, "lead_id": lead_id})
    return {row[0]: Given(row[1], row[2]) for row in rows}


async def taken_back(session: ReadSession, lead_id: int) -> frozenset[str]:
    """The purposes agreed to with this request and all taken back since."""
    return frozenset(row[0] for row in await session.rows(_TAKEN_BACK, {"lead_id": lead_id}))


class Relation(NamedTuple):
    """When the person last signed with us, and last said that he is not interested; None for never."""

    signed_at: datetime | None
    refused_at: datetime | None


# The end of a contract is not known here; the day it was signed is its earliest.
_RELATION = text(
    """
    select
      (select max(s.signed_at) from quotes q join signings s on s.quote_id = q.id
        where q.contact_id = any(:persons) and s.state in ('signed', 'sealed', 'completed')),
      (select max(t.ended_at) from tasks t
        where t.contact_id = any(:persons) and t.disposition = 'not_interested')
    """
).bindparams(bindparam("persons", type_=ARRAY(BigInteger)))


async def relation(session: ReadSession, persons: Sequence[int]) -> Relation:
    """What these contacts, who are one person or have one number, have with us."""
    row = (await session.rows(_RELATION, {"persons": list(persons)}))[0]
    return Relation(row[0], row[1])
