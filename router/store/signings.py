"""Signings as queries."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import or_, select, text

from router.model.campaigns import Campaign
from router.model.consent import Receipt
from router.model.countersignatures import Countersignature
from router.model.quotes import Quote, QuoteState
from router.model.signings import ALIVE, OPENABLE, Signing, SigningState
from router.store.db import ReadSession, WriteSession

ENDED = (SigningState.declined, SigningState.expired, SigningState.void)


async def of_quote(session: ReadSession, quote_id: int) -> Signing | None:
    """The quote's latest signing."""
    return await session.scalar(
        select(Signing).where(Signing.quote_id == quote_id).order_by(Signing.id.desc()).limit(1)
    )


async def live_of_quote(session: ReadSession, quote_id: int) -> Signing | None:
    """The quote's one signing that was neither declined nor expired nor voided."""
    return await session.scalar(select(Signing).where(Signing.quote_id == quote_id, Signing.state.not_in(ENDED)))


async def by_link(session: ReadSession, link_hash: bytes, now: datetime) -> Signing | None:
    """The signing this link still opens."""
    return await session.scalar(
        select(Signing).where(
            or_(Signing.link_hash == link_hash, Signing.again_hash == link_hash), Signing.state.in_(OPENABLE),
            Signing.expires_at > now,
        )
    )


async def replaced(session: ReadSession, link_hash: bytes) -> Signing | None:
    """The ended signing of this link whose offer there is a newer version of."""
    return await session.scalar(
        select(Signing).join(Quote, Quote.id == Signing.quote_id).where(
            or_(Signing.link_hash == link_hash, Signing.again_hash == link_hash), Signing.state == SigningState.void,
            Quote.state == QuoteState.superseded,
        ).limit(1)
    )


async def by_cookie(session: ReadSession, cookie_hash: bytes, now: datetime) -> Signing | None:
    """The signing that is open in the browser holding this cookie. One past its time that was not signed is not."""
    found = await session.scalar(
        select(Signing).where(Signing.cookie_hash == cookie_hash, Signing.cookie_until > now)
    )
    return None if found is None or (found.state in ALIVE and found.expires_at <= now) else found


async def by_copy(session: ReadSession, copy_hash: bytes) -> Signing | None:
    """The signed and sealed signing of this link to the copy, or to its countersigned copy."""
    countersigned = select(Countersignature.signing_id).where(Countersignature.copy_hash == copy_hash)
    return await session.scalar(
        select(Signing).where(
            or_(Signing.copy_hash == copy_hash, Signing.id.in_(countersigned)), Signing.sealed_sha256.is_not(None)
        )
    )


async def by_sealed(session: ReadSession, sha256: bytes) -> Signing | None:
    """The signing whose sealed document has exactly these bytes."""
    return await session.scalar(select(Signing).where(Signing.sealed_sha256 == sha256).limit(1))


async def sealed_of_contact(session: ReadSession, contact_id: int) -> Sequence[Quote]:
    """The person's quotes whose signed document is sealed, the newest first."""
    return await session.scalars(
        select(Quote)
        .join(Signing, Signing.quote_id == Quote.id)
        .where(Signing.contact_id == contact_id, Signing.sealed_sha256.is_not(None))
        .order_by(Quote.id.desc())
        .limit(50)
    )


async def receipts(session: ReadSession, lead_id: int) -> Sequence[Receipt]:
    """What allowed us to contact this person, oldest first."""
    return await session.scalars(select(Receipt).where(Receipt.lead_id == lead_id).order_by(Receipt.id))


async def next_serial(session: WriteSession) -> int:
    """The next serial number of a timestamp; never given twice."""
    rows = await session.execute(text("select nextval('timestamp_serials')"))
    return int(rows[0][0])


async def only_campaign(session: ReadSession) -> Campaign | None:
    """The one brand of this deployment; None when there are several."""
    found = await session.scalars(select(Campaign).order_by(Campaign.id).limit(2))
    return found[0] if len(found) == 1 else None
