"""Do-not-call registers as queries: their numbers, stored in chunks, and what the current file of each says."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ARRAY, BigInteger, LargeBinary, Text, bindparam, select, text, update

from router.model.registers import RegisterImport, RegisterState, digest_of
from router.store.db import ReadSession, WriteSession


class Listed(NamedTuple):
    """What a register says of a number, as of when (aware)."""

    register: str
    as_of: datetime
    listed: bool


_ASK = text(
    """
    select i.register, i.as_of, exists (
      select from register_numbers n where n.import_id = i.id and n.digest = :digest)
    from register_imports i where i.state = 'current' and i.register = any(:registers)
    """
).bindparams(bindparam("digest", type_=LargeBinary), bindparam("registers", type_=ARRAY(Text)))


async def ask(session: ReadSession, phone: str, registers: Collection[str]) -> list[Listed]:
    """What each of these registers says of a number (E.164). A register that was never imported says nothing."""
    if not registers:
        return []
    rows = await session.rows(_ASK, {"digest": digest_of(phone), "registers": sorted(registers)})
    return [Listed(*tuple(row)) for row in rows]


_ASK_MANY = text(
    """
    select i.register, i.as_of, asked.phone, exists (
      select from register_numbers n where n.import_id = i.id and n.digest = asked.digest)
    from register_imports i cross join unnest(:phones, :digests) as asked(phone, digest) where i.state = 'current'
    """
).bindparams(bindparam("phones", type_=ARRAY(Text)), bindparam("digests", type_=ARRAY(LargeBinary)))


async def ask_many(session: ReadSession, phones: Sequence[str]) -> dict[str, list[Listed]]:
    """What every register we have says of each of these numbers."""
    found: dict[str, list[Listed]] = {phone: [] for phone in phones}
    digests = [digest_of(phone) for phone in phones]
    for row in await session.rows(_ASK_MANY, {"phones": list(phones), "digests": digests}):
        found[row[2]].append(Listed(row[0], row[1], row[3]))
    return found


_ADD = text(
    """
    insert into register_numbers (import_id, digest) select :import_id, d from unnest(:digests) as d
    on conflict do nothing returning 1
    """
).bindparams(bindparam("import_id", type_=BigInteger), bindparam("digests", type_=ARRAY(LargeBinary)))


async def add(session: WriteSession, import_id: int, digests: Iterable[bytes]) -> int:
    """Stores these numbers; how many there were that the file had not named before."""
    return len(await session.execute(_ADD, {"import_id": import_id, "digests": sorted(set(digests))}))


async def current(session: ReadSession, register: str) -> RegisterImport | None:
    """The file of this register that counts now."""
    return await session.scalar(
        select(RegisterImport).where(
            RegisterImport.register == register, RegisterImport.state == RegisterState.current
        )
    )


async def newest(session: ReadSession, limit: int = 40) -> Sequence[RegisterImport]:
    """Files of all registers, newest first."""
    return await session.scalars(select(RegisterImport).order_by(RegisterImport.id.desc()).limit(limit))


async def currents(session: ReadSession) -> Sequence[RegisterImport]:
    """The files that count now, by the names of their registers."""
    return await session.scalars(
        select(RegisterImport).where(RegisterImport.state == RegisterState.current).order_by(RegisterImport.register)
    )


async def fail_stuck(session: WriteSession, before: datetime) -> int:
    """Gives up files whose receiving began before then and never ended; how many."""
    failed = await session.execute(
        update(RegisterImport)
        .where(RegisterImport.state == RegisterState.receiving, RegisterImport.created_at < before)
        .values(state=RegisterState.failed)
        .returning(RegisterImport.id)
    )
    return len(failed)


_FORGET = text(
    """
    delete from register_numbers where ctid = any(array(
      select n.ctid from register_numbers n join register_imports i on i.id = n.import_id
      where i.state in ('replaced', 'failed') limit :most))
    returning 1
    """
)


async def forget(session: WriteSession, most: int = 5_000) -> int:
    """Deletes some numbers of files that count no more; how many."""
    return len(await session.execute(_FORGET, {"most": most}))
