"""Facts as queries: numbered per lead, appended in bulk, read in commit order."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import select, text

from router.model.facts import Fact, Noted
from router.store.db import ReadSession, Short, WriteSession, as_json


class Cursor(NamedTuple):
    """A place in the journal: transaction id and fact id, in commit order."""

    xid: int
    fact_id: int


START = Cursor(0, 0)

_APPEND = Short(
    """
    with noted as materialized (
      select * from json_to_recordset(cast(:facts as json)) as f(n integer, at timestamptz, kind text,
        campaign_id bigint, lead_id bigint, place integer, subject_id bigint, agent_id bigint, data jsonb)
    ), wanted as (
      select lead_id, count(*) as n from noted where lead_id is not null group by lead_id
    ), counted as (
      update leads set seq = leads.seq + wanted.n from wanted
      where leads.id = wanted.lead_id and leads.id = any(array(select lead_id from wanted))
      returning leads.id, leads.seq - wanted.n as before
    )
    insert into facts (at, kind, campaign_id, lead_id, seq, subject_id, agent_id, data)
    select f.at, f.kind, f.campaign_id, f.lead_id, counted.before + f.place, f.subject_id, f.agent_id,
      f.data
    from noted f left join counted on counted.id = f.lead_id
    order by f.n
    """,
    facts="text",
)

_LOCK_LEADS = Short("select id from leads where id = any(:ids) order by id for no key update", ids="bigint[]")

_AFTER = Short(
    """
    with behind as materialized (
      select id, xid, at, kind, campaign_id, lead_id, seq, subject_id, agent_id from facts
      where (xid, id) > (cast(cast(:xid as text) as xid8), :fact_id)
        and xid < pg_snapshot_xmin(pg_current_snapshot())
      order by xid, id limit :most
    )
    select id, cast(cast(xid as text) as bigint), at, kind, campaign_id, lead_id, seq, subject_id, agent_id,
      (select count(*) from behind)
    from behind
    where :kinds is null or kind = any(:kinds) or id = (select id from behind order by xid desc, id desc limit 1)
    order by xid, id
    """,
    xid="text", fact_id="bigint", most="bigint", kinds="text[]",
)

_FIRST_RINGS = Short(
    """
    select extract(epoch from rung.at - came.at)
    from facts rung join facts came on came.lead_id = rung.lead_id and came.seq = 1
    where rung.id = any(:ids) and came.kind = 'lead.created' and came.at >= :since and not exists (
      select from facts before
      where before.lead_id = rung.lead_id and before.seq < rung.seq and before.kind = rung.kind)
    """,
    ids="bigint[]", since="timestamptz",
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
    """A fact as read from the journal, without its data: who follows it asks for more where it needs more."""

    id: int
    xid: int
    at: datetime
    kind: str
    campaign_id: int | None
    lead_id: int | None
    seq: int | None
    subject_id: int | None
    agent_id: int | None

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.xid, self.id)


async def append(session: WriteSession, facts: Sequence[Noted]) -> None:
    """Appends the facts in one statement of constant text, those of a lead numbered 1, 2, 3 … without holes.

    Leads are locked by rising id, so that two writers cannot wait for each other.
    """
    places: Counter[int] = Counter()
    rows: list[dict[str, Any]] = []
    for n, fact in enumerate(facts):
        place = None
        if fact.lead_id is not None:
            places[fact.lead_id] += 1
            place = places[fact.lead_id]
        rows.append({"n": n, "place": place, **fact._asdict()})
    if len(places) > 1:
        await session.execute(_LOCK_LEADS, {"ids": sorted(places)})
    await session.execute(_APPEND, {"facts": as_json(rows)})


class Page(NamedTuple):
    """A piece of the journal. `full`: it ended at its limit, and more may be readable already."""

    entries: list[Entry]
    full: bool


async def after(session: ReadSession, cursor: Cursor, limit: int = 500) -> list[Entry]:
    """The facts behind the cursor in commit order, as far as no open writer may still come in between."""
    return (await page(session, cursor, limit)).entries


async def page(session: ReadSession, cursor: Cursor, limit: int, kinds: Collection[str] | None = None) -> Page:
    """As `after`; of `limit` facts only those of `kinds`, where these are given, and the last one, whatever it is: it
    is the place to go on from."""
    rows = await session.rows(_AFTER, {
        "xid": str(cursor.xid), "fact_id": cursor.fact_id, "most": limit, "kinds": None if kinds is None else [*kinds],
    })
    return Page([Entry(*row[:-1]) for row in rows], bool(rows) and rows[0][-1] == limit)


async def first_rings(session: ReadSession, fact_ids: Sequence[int], since: datetime) -> list[float]:
    """Of the reservations with these facts' ids, those that were the first of a lead that came since then: seconds from
    its coming."""
    rows = await session.rows(_FIRST_RINGS, {"ids": list(fact_ids), "since": since})
    return [float(row[0]) for row in rows]


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
