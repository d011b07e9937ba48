"""What is entrusted to third parties, as queries."""

from collections.abc import Sequence

from sqlalchemy import or_, select

from router.model.entrusted import Entrusted, EntrustedProof
from router.model.signing_accounts import ProviderName, SigningAccount
from router.store.db import ReadSession


async def of_signing(session: ReadSession, signing_id: int) -> Entrusted | None:
    return await session.scalar(select(Entrusted).where(Entrusted.signing_id == signing_id))


async def by_hook(session: ReadSession, provider: str, key: str) -> tuple[Entrusted, SigningAccount] | None:
    """The request whose own address this is, at this provider alone."""
    if provider not in set(ProviderName):
        return None
    rows = await session.rows(
        select(Entrusted, SigningAccount)
        .join(SigningAccount, SigningAccount.id == Entrusted.account_id)
        .where(Entrusted.hook_key == key, SigningAccount.provider == ProviderName(provider))
    )
    return (rows[0][0], rows[0][1]) if rows else None


async def named(session: ReadSession, account_id: int, foreign_id: str, ref: str) -> Entrusted | None:
    """The account's request that goes by the provider's name, or by ours."""
    names = [Entrusted.foreign_id == foreign_id] if foreign_id else []
    names += [Entrusted.ref == ref] if ref else []
    if not names:
        return None
    return await session.scalar(
        select(Entrusted).where(Entrusted.account_id == account_id, or_(*names)).order_by(Entrusted.id).limit(1)
    )


async def proofs(session: ReadSession, entrusted_id: int) -> Sequence[EntrustedProof]:
    """What the provider gave, oldest first."""
    return await session.scalars(
        select(EntrustedProof).where(EntrustedProof.entrusted_id == entrusted_id).order_by(EntrustedProof.id)
    )
