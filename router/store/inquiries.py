"""Inquiries as queries: what registers are asked of numbers, one by one, and what they said."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, DateTime, LargeBinary, Text, bindparam, select, text, tuple_, update

from router.model.registers import Inquiry, RegisterService, digest_of
from router.store.db import ReadSession, WriteSession


async def service(session: ReadSession, register: str) -> RegisterService | None:
    """Where this register is asked."""
    return await session.scalar(select(RegisterService).where(RegisterService.register == register))


async def services(session: ReadSession) -> Sequence[RegisterService]:
    """All registers that are asked number by number, by their names."""
    return await session.scalars(select(RegisterService).order_by(RegisterService.register))


_ASK = text(
    """
    insert into inquiries as i (register, digest, phone, due_at, lease, failures, reason, listed)
    select s.register, :digest, :phone, :now, 0, 0, '', false from register_services s
    where s.register = any(:registers) and not s.closed and not exists (
      select from inquiries q where q.register = s.register and q.digest = :digest and q.due_at is not null)
    on conflict (register, digest) do update set due_at = excluded.due_at, phone = excluded.phone
      where i.due_at is null
    returning register
    """
).bindparams(
    bindparam("digest", type_=LargeBinary), bindparam("phone", type_=Text), bindparam("registers", type_=ARRAY(Text)),
    bindparam("now", type_=DateTime(timezone=True)),
)


async def want(session: WriteSession, phone: str, registers: Sequence[str], now: datetime) -> bool:
    """These registers are to be asked of this number (E.164), those of them that can be; whether one is that was not
    to be asked already."""
    values = {"digest": digest_of(phone), "phone": phone, "registers": sorted(registers), "now": now}
    return bool(await session.execute(_ASK, values))


async def claim(
    session: WriteSession, now: datetime, until: datetime, limit: int
) -> Sequence[tuple[Inquiry, RegisterService]]:
    """Due inquiries, ours until then: who dies meanwhile leaves them to the next one. Each with where it is asked."""
    due = (
        select(Inquiry.register, Inquiry.digest)
        .join(RegisterService, RegisterService.register == Inquiry.register)
        .where(Inquiry.due_at <= now, RegisterService.closed.is_(False))
        .order_by(Inquiry.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=Inquiry)
    )
    rows = await session.execute(
        update(Inquiry)
        .where(tuple_(Inquiry.register, Inquiry.digest).in_(due))
        .values(due_at=until, lease=Inquiry.lease + 1)
        .returning(Inquiry)
        .execution_options(populate_existing=True)
    )
    known = {one.register: one for one in await services(session)}
    return [(row[0], known[row[0].register]) for row in rows]


async def settle(session: WriteSession, claimed: Inquiry, **values: Any) -> bool:
    """What became of it. False when the lease went to somebody else."""
    rows = await session.execute(
        update(Inquiry)
        .where(Inquiry.register == claimed.register, Inquiry.digest == claimed.digest, Inquiry.lease == claimed.lease)
        .values(**values)
        .returning(Inquiry.lease)
    )
    return bool(rows)


class Door(NamedTuple):
    """A register that is asked: how many numbers it has answered, when last (aware), and of how many it is out of
    reach, why."""

    register: str
    closed: bool
    answered: int
    answered_at: datetime | None
    failing: int
    reason: str


_DOORS = text(
    """
    select s.register, s.closed, count(i.answered_at), max(i.answered_at), count(*) filter (where i.failures > 0),
      coalesce(max(i.reason) filter (where i.failures > 0), '')
    from register_services s left join inquiries i on i.register = s.register group by 1, 2 order by 1
    """
)


async def doors(session: ReadSession) -> Sequence[Door]:
    """All registers that are asked number by number."""
    return [Door(*tuple(row)) for row in await session.rows(_DOORS)]
