"""The signing authority as queries: its row, its lists, and what it has revoked."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from router.model.authority import USE_NOTED, AuthorityRow, Crl, Revocation, Seal
from router.store.db import ReadSession, WriteSession

ONLY = 1


async def find(session: ReadSession) -> AuthorityRow | None:
    """The one row, once it has been made."""
    return await session.get(AuthorityRow, ONLY)


async def crl(session: ReadSession, issuer: str) -> Crl | None:
    """The newest list of an issuer (root or issuing)."""
    return await session.get(Crl, issuer)


async def crls(session: ReadSession) -> Sequence[Crl]:
    """The newest lists of all issuers, by their names."""
    return await session.scalars(select(Crl).order_by(Crl.issuer))


async def seals(session: ReadSession) -> Sequence[Seal]:
    """The company's own seals, in the order of their first use."""
    return await session.scalars(select(Seal).order_by(Seal.first_used_at, Seal.sha256))


async def note_use(session: WriteSession, sha256: bytes, chain: bytes, now: datetime) -> bool:
    """Writes down that this seal of the company's is in use; whether it is the first time."""
    known = await session.get(Seal, sha256)
    if known is None:
        made = insert(Seal).values(sha256=sha256, chain=chain, first_used_at=now, last_used_at=now)
        return bool(await session.execute(made.on_conflict_do_nothing().returning(Seal.sha256)))
    if known.last_used_at <= now - USE_NOTED:
        await session.execute(
            update(Seal).where(Seal.sha256 == sha256, Seal.last_used_at < now).values(last_used_at=now)
        )
    return False


async def endings(session: ReadSession) -> dict[str, datetime]:
    """When the seal's and the issuing certificate and the lists of both issuers end, as far as it is known."""
    row = await find(session)
    known = {} if row is None else {"seal": row.seal_until, "issuing": row.issuing_until}
    known |= {f"{one.issuer}.crl": one.next_update for one in await crls(session)}
    return {name: at for name, at in known.items() if at is not None}


async def revoked(session: ReadSession) -> Sequence[Revocation]:
    """What was revoked, oldest first."""
    return await session.scalars(select(Revocation).order_by(Revocation.at, Revocation.serial))
