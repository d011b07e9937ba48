"""Facts as queries: numbered per lead, appended in bulk, read in commit order."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import BigInteger, DateTime, Text, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from router.model.facts import Fact
from router.store.db import ReadSession, WriteSession


class Cursor(NamedTuple):
    """A place in the journal: transaction id and fact id, in commit order."""

    xid: int
    fact_id: int


START = Cursor(0, 0)

_APPEND = text(
    """
    insert into facts (at, kind, campaign_id, lead_id, seq, subject_id, agent_id, data)
    select * from unnest(:at, :kind, :campaign_id, :lead_id, :seq, :subject_id, :agent_id, cast(:data as jsonb[]))
    """
).bindparams(
    bindparam("at", type_=ARRAY(DateTime(timezone=True))),
    bindparam("kind", type_=ARRAY(Text)),
    *(bindparam(name, type_=ARRAY(BigInteger)) for name in ("campaign_id", "lead_id", "seq", "subject_id", "agent_id")),
    bindparam("data", type_=ARRAY(Text)),
)

_LOCK_LEADS = text("select id from leads where id = any(:ids) order by id for no key update").bindparams(
    bindparam("ids", type_=ARRAY(BigInteger))
)

_COUNT_UP = text(
    """
    update leads set seq = leads.seq + wanted.n
    from unnest(:ids, :counts) as wanted(id, n) where leads.id = wanted.id
    returning leads.id, leads.seq - wanted.n
    """
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)), bindparam("counts", type_=ARRAY(BigInteger)))

_AFTER = text(
    """
    select id, cast(cast(xid as text) as bigint), at, kind, campaign_id, lead_id, seq, subject_id, agent_id, data
    from facts
    where (xid, id) > (cast(cast(:xid as text) as xid8), :fact_id)
      and xid < pg_snapshot_xmin(pg_current_snapshot())
    order by xid, id limit :limit
    """
)

_HELD_BACK = text(
    """
    select coalesce(extract(epoch from :now - min(at)), 0) from facts
    where xid >= pg_snapshot_xmin(pg_current_snapshot())
    """
)

_END = text(
    """
    select cast(cast(xid as text) as bigint), id from facts
    where xid < pg_snapshot_xmin(pg_current_snapshot()) order by xid desc, id desc limit 1
    """
)


class Entry(NamedTuple):
    """A fact as read from the journal."""

    id: int
    xid: int
    at: datetime
    kind: str
    campaign_id: int | None
    lead_id: int | None
    seq: int | None
    subject_id: int | None
    agent_id: int | None
    data: dict[str, Any]

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.xid, self.id)


async def next_numbers(session: WriteSession, counts: dict[int, int]) -> dict[int, int]:
    """Reserves `counts[lead]` numbers for each lead, locked by rising id; gives the number before the first."""
    ids = sorted(counts)
    if len(ids) > 1:
        await session.execute(_LOCK_LEADS, {"ids": ids})
    rows = await session.execute(_COUNT_UP, {"ids": ids, "counts": [counts[lead] for lead in ids]})
    return {row[0]: row[1] for row in rows}


async def append(session: WriteSession, facts: Sequence[Fact]) -> None:
    """Appends the facts in one statement of constant text."""
    columns = ("at", "kind", "campaign_id", "lead_id", "seq", "subject_id", "agent_id")
    values: dict[str, list[Any]] = {name: [getattr(fact, name) for fact in facts] for name in columns}
    values["data"] = [msgspec.json.encode(fact.data).decode() for fact in facts]
    await session.execute(_APPEND, values)


async def after(session: ReadSession, cursor: Cursor, limit: int = 500) -> list[Entry]:
    """The facts behind the cursor in commit order, as far as no open writer may still come in between."""
    rows = await session.rows(_AFTER, {"xid": str(cursor.xid), "fact_id": cursor.fact_id, "limit": limit})
    return [Entry(*tuple(row)) for row in rows]


async def end(session: ReadSession) -> Cursor:
    """The last place that can be read now."""
    rows = await session.rows(_END)
    return Cursor(rows[0][0], rows[0][1]) if rows else START


async def held_back_seconds(session: ReadSession, now: datetime) -> float:
    """Age in seconds of the oldest committed fact that an open writer holds back; 0 when there is none."""
    rows = await session.rows(_HELD_BACK, {"now": now})
    return max(0.0, float(rows[0][0]))


async def of_lead(session: ReadSession, lead_id: int) -> Sequence[Fact]:
    """The lead's timeline, oldest first."""
    return await session.scalars(select(Fact).where(Fact.lead_id == lead_id).order_by(Fact.seq))
