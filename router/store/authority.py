"""The signing authority as queries: its row, its lists, and what it has revoked."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from router.model.authority import AuthorityRow, Crl, Revocation
from router.store.db import ReadSession

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


async def endings(session: ReadSession) -> dict[str, datetime]:
    """When the seal's and the issuing certificate and the lists of both issuers end, as far as it is known."""
    row = await find(session)
    known = {} if row is None else {"seal": row.seal_until, "issuing": row.issuing_until}
    known |= {f"{one.issuer}.crl": one.next_update for one in await crls(session)}
    return {name: at for name, at in known.items() if at is not None}


async def revoked(session: ReadSession) -> Sequence[Revocation]:
    """What was revoked, oldest first."""
    return await session.scalars(select(Revocation).order_by(Revocation.at, Revocation.serial))
