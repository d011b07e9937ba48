"""The signing authority as queries: its row, its lists, and what it has revoked."""

from collections.abc import Sequence

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


async def revoked(session: ReadSession) -> Sequence[Revocation]:
    """What was revoked, oldest first."""
    return await session.scalars(select(Revocation).order_by(Revocation.at, Revocation.serial))
