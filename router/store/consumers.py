"""Consumers as queries: how far each durable reader of the journal has come."""

from sqlalchemy import text

from router.store.db import ReadSession, WriteSession
from router.store.facts import START, Cursor

_ENROL = text("insert into consumers (name, xid, fact_id) values (:name, '0', 0) on conflict do nothing")
_TAKE = text(
    """
    select cast(cast(xid as text) as bigint), fact_id from consumers where name = :name for update skip locked
    """
)
_PLACE = text("select cast(cast(xid as text) as bigint), fact_id from consumers where name = :name")
_ADVANCE = text("update consumers set xid = cast(cast(:xid as text) as xid8), fact_id = :fact_id where name = :name")
_HELD = text(
    """
    select exists (
      select from facts
      where (xid, id) > (cast(cast(:xid as text) as xid8), :fact_id) and xid >= pg_snapshot_xmin(pg_current_snapshot())
    )
    """
)


async def enrol(session: WriteSession, name: str) -> None:
    """A new reader begins at the beginning."""
    await session.execute(_ENROL, {"name": name})


async def place(session: ReadSession, name: str) -> Cursor:
    """The reader's place."""
    rows = await session.rows(_PLACE, {"name": name})
    return Cursor(rows[0][0], rows[0][1]) if rows else START


async def take(session: WriteSession, name: str) -> Cursor | None:
    """The reader's place, locked; None while another replica reads under this name."""
    rows = await session.rows(_TAKE, {"name": name})
    return Cursor(rows[0][0], rows[0][1]) if rows else None


async def advance(session: WriteSession, name: str, cursor: Cursor) -> None:
    await session.execute(_ADVANCE, {"name": name, "xid": str(cursor.xid), "fact_id": cursor.fact_id})


async def held_back(session: ReadSession, cursor: Cursor) -> bool:
    """Whether facts behind the cursor are committed and cannot be read yet, because an older writer is still open."""
    rows = await session.rows(_HELD, {"xid": str(cursor.xid), "fact_id": cursor.fact_id})
    return bool(rows[0][0])
