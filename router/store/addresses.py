"""E-mail addresses as queries: which a person may be written to at, and which take no mail."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from router.model.addresses import folded, written
from router.model.suppressions import Suppression
from router.model.unsubscribes import Unsubscribe
from router.store.db import ReadSession, WriteSession

MOST_CLAIMS = 20

_CLAIMED = text(
    """
    select claims->>'email' from leads where contact_id = :contact_id and claims->>'email' like '%_@_%'
    order by created_at desc, id desc limit :most
    """
)


async def address_of(session: ReadSession, contact_id: int) -> str:
    """Where this person may be written to: the newest address he gave that takes mail; "" when there is none.

    It is a claim, typed by whoever filled in the form; it proves nobody's identity.
    """
    rows = await session.rows(_CLAIMED, {"contact_id": contact_id, "most": MOST_CLAIMS})
    given = [address for row in rows if (address := written(str(row[0])))]
    refused = await _refused(session, [folded(address) for address in given])
    return next((address for address in given if folded(address) not in refused), "")


async def suppression(session: ReadSession, address: str) -> str:
    """Why this address may not be written to; empty when it may."""
    return (await _refused(session, [folded(address)])).get(folded(address), "")


async def _refused(session: ReadSession, addresses: Collection[str]) -> dict[str, str]:
    """Why, by address (folded), for those that may not be written to."""
    rows = await session.rows(
        select(Suppression.address, Suppression.reason)
        .where(Suppression.address.in_(set(addresses) - {""}), Suppression.lifted_at.is_(None))
        .order_by(Suppression.id.desc())
    )
    return {row[0]: row[1] for row in rows}


async def suppress(session: WriteSession, address: str, reason: str, now: datetime) -> bool:
    """No more mail to this address, for this reason; False when it is so already."""
    made = await session.execute(
        insert(Suppression)
        .values(phone="", address=folded(address), reason=reason, created_at=now)
        .on_conflict_do_nothing()
        .returning(Suppression.id)
    )
    return bool(made)


async def keep_link(session: WriteSession, link: Unsubscribe) -> None:
    """Stores an unsubscribe link, once."""
    await session.execute(
        insert(Unsubscribe)
        .values(
            campaign_id=link.campaign_id, contact_id=link.contact_id, lead_id=link.lead_id, address=link.address,
            token_hash=link.token_hash, created_at=link.created_at,
        )
        .on_conflict_do_nothing(index_elements=["token_hash"])
    )


async def link(session: ReadSession, token_hash: bytes) -> Unsubscribe | None:
    """The unsubscribe link with this SHA-256 of its token."""
    return await session.scalar(select(Unsubscribe).where(Unsubscribe.token_hash == token_hash))


async def use(session: WriteSession, link_id: int, now: datetime) -> bool:
    """Marks the link as used; False when it had been before."""
    used = await session.execute(
        text("update unsubscribes set used_at = :now where id = :id and used_at is null returning id"),
        {"now": now, "id": link_id},
    )
    return bool(used)


_LATEST = text("select id from leads where contact_id = :contact_id order by created_at desc, id desc limit 1")


async def latest_lead(session: ReadSession, contact_id: int) -> int | None:
    """The person's newest request."""
    rows = await session.rows(_LATEST, {"contact_id": contact_id})
    return int(rows[0][0]) if rows else None
