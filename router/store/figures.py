"""Service figures as queries: what happened between moments, counted from the journal.

Every statement begins with the facts of a kind in a span of time, as `ix_facts_kind_at` has them, and looks up what it
needs besides by the keys of their rows; nothing reads a table as a whole.
"""

import asyncio
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import datetime, timedelta
from itertools import chain, pairwise
from typing import Any

from sqlalchemy import BigInteger, DateTime, Interval, Text, TextClause, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from router.model.agents import HEARTBEAT_LEASE
from router.model.campaigns import Campaign, Queue
from router.model.figures import (
    AGES,
    KEPT_WITHIN,
    SHORT_SECONDS,
    SOLVED_DAYS,
    Backlog,
    Counts,
    Handled,
    Offers,
    Response,
    Tally,
    Time,
    Waits,
    merged,
)
from router.model.hours import Opening, open_seconds, opening
from router.model.tasks import NOT_REACHED, TIER_NOW, Disposition
from router.store.db import ReadSession, Rows
from router.store.lanes import EVERY_LANE

LONGEST_HELD = timedelta(hours=12)
"""An agent holds no task for longer than this."""
LONGEST_SAME = timedelta(days=3)
"""Who has not said for so long what he wants is not at work: a weekend is shorter."""
_LATEST_OFFER = timedelta(days=1)
"""So long after its time a promised call may still be queued, when the service stood still."""


@dataclass(frozen=True)
class Scope:
    """Whose figures: of one campaign, of one queue, or, with neither, of the house."""

    campaign_id: int | None = None
    queue_id: int | None = None


EVERYBODY = Scope()


def _statement(sql: str) -> TextClause:
    kinds: dict[str, Any] = {
        "edges": ARRAY(DateTime(timezone=True)), "campaign": BigInteger(), "queue": BigInteger(),
        **dict.fromkeys(("start", "end", "now", "until", "decided"), DateTime(timezone=True)),
        **dict.fromkeys(("held", "same", "lease", "within", "latest", "again"), Interval()),
        **dict.fromkeys(("owing", "nobody"), ARRAY(Text())),
    }
    names = {name for name in kinds if re.search(rf"(?<!:):{name}\b", sql)}
    return text(sql).bindparams(*(bindparam(name, type_=kinds[name]) for name in sorted(names)))


def _facts(*kinds: str) -> str:
    """A statement's beginning: the facts of these kinds as `f`. Read first, whatever the planner thinks of it."""
    named = ", ".join(f"'{kind}'" for kind in kinds)
    return f"""
    with f as materialized (
      select id, at, kind, campaign_id, lead_id, seq, subject_id, data from facts
      where kind in ({named}) and at >= :start and at < :end
    )"""  # noqa: S608  constants


_SLOT = "width_bucket(f.at, :edges)"
_OF_TASK = "(:queue is null or t.queue_id = :queue) and (:campaign is null or t.campaign_id = :campaign)"

# Nobody waits for what we begin ourselves, nor for what an agent dials by hand. A person waits once: what happens to
# his task after it was answered (a transfer, another way of talking), or to the one that follows when he had left,
# is no second wait. A rank is in whole milliseconds, so are the waits.
_WAITS = _statement(
    f"""{_facts("task.engaged", "task.abandoned", "task.expired")}, ended as (
      select {_SLOT} as n, f.kind, coalesce(f.data->>'reason', '') as reason, q.target_seconds * 1000 as target,
        floor(extract(epoch from f.at) * 1000)::bigint - abs(t.rank) as waited
      from f
      join tasks t on t.id = f.subject_id
      join queues q on q.id = t.queue_id
      join leads l on l.id = t.lead_id
      left join tasks before on before.id = t.continues
      where {_OF_TASK} and t.tier = {TIER_NOW} and t.kind <> 'nurture' and l.source->>'party' is distinct from 'agent'
        and not exists (
          select from facts b
          where b.lead_id in (t.lead_id, before.lead_id) and b.subject_id in (t.id, before.id) and b.id < f.id
            and b.kind in ('task.engaged', 'task.abandoned', 'task.expired'))
        and not exists (
          select from leads his join arrivals a on a.lead_id = his.id
          where his.contact_id = t.contact_id and a.task_id = t.id and a.state = 'callback')
    )
    select n,
      count(*) filter (where kind = 'task.engaged'),
      count(*) filter (where kind = 'task.engaged' and waited <= target),
      count(*) filter (where kind <> 'task.engaged'),
      count(*) filter (where kind = 'task.abandoned' and reason <> 'line_full' and waited <= target),
      count(*) filter (where kind = 'task.abandoned' and reason <> 'line_full' and waited <= {SHORT_SECONDS * 1000}),
      0,
      coalesce(sum(waited) filter (where kind = 'task.engaged'), 0)::bigint,
      coalesce(sum(waited) filter (where kind <> 'task.engaged'), 0)::bigint
    from ended group by n
    """  # noqa: S608  a constant
)

_MOVED = _statement(
    f"""{_facts("arrival.callback", "task.scheduled")}
    select {_SLOT}, count(*)
    from f
    join tasks t on t.id = case f.kind when 'arrival.callback' then (f.data->>'task')::bigint else f.subject_id end
    where (f.kind = 'arrival.callback' or f.kind = 'task.scheduled' and f.data->>'reason' = 'asked_later')
      and {_OF_TASK}
    group by 1
    """  # noqa: S608  a constant
)

_HANDLED = _statement(
    f"""{_facts("task.closed")}
    select {_SLOT}, count(*), coalesce(sum(spent.talk), 0)::bigint, coalesce(sum(spent.wrap), 0)::bigint
    from f
    join tasks t on t.id = f.subject_id
    cross join lateral (
      select sum(step.ms) filter (where step.kind = 'task.engaged') as talk,
        sum(step.ms) filter (where step.kind = 'task.wrapping') as wrap
      from (
        select b.kind, extract(epoch from lead(b.at) over (order by b.seq) - b.at) * 1000 as ms
        from facts b
        where b.lead_id = f.lead_id and b.subject_id = f.subject_id and b.seq <= f.seq and b.kind like 'task.%') step
    ) spent
    where {_OF_TASK} and t.kind <> 'chat' and spent.talk is not null
    group by 1
    """  # noqa: S608  a constant
)

_OFFERS = _statement(
    f"""{_facts("reservation.pending")}
    select {_SLOT}, count(*) filter (where r.state = 'accepted'), count(*) filter (where r.state = 'rejected'),
      count(*) filter (where r.state = 'missed'), count(*) filter (where r.state = 'rescinded'),
      count(*) filter (where r.state = 'canceled')
    from f
    join reservations r on r.id = f.subject_id
    join tasks t on t.id = r.task_id
    where {_OF_TASK}
    group by 1
    """  # noqa: S608  a constant
)

# A ring is a leg of ours to the person: who has called us is fetched, not rung.
_RUNG = """
    select from legs where legs.call_id = {fact}.subject_id and legs.role = 'customer' and not legs.came_in
"""

_CONTACTS = _statement(
    f"""{_facts("call.customer_leg")}
    select {_SLOT}, count(distinct f.lead_id), count(distinct f.lead_id) filter (where exists (
      select from facts b where b.lead_id = f.lead_id and b.kind = 'call.talking' and b.id > f.id))
    from f
    join calls c on c.id = f.subject_id
    join tasks t on t.id = c.task_id
    where {_OF_TASK} and exists ({_RUNG.format(fact="f")})
    group by 1
    """  # noqa: S608  a constant
)

_RESPONSES = _statement(
    f"""{_facts("lead.created")}
    select {_SLOT}, f.at, coalesce(word.at, ended.at, :now), word.at is not null, ended.at is not null, t.queue_id
    from f
    join leads l on l.id = f.lead_id
    cross join lateral (select queue_id, campaign_id from tasks where lead_id = l.id order by id limit 1) t
    left join lateral (
      select b.at from facts b
      where b.lead_id = l.id and (b.kind = 'conversation.said' or b.kind = 'call.customer_leg' and exists (
        {_RUNG.format(fact="b")}))
      order by b.seq limit 1
    ) word on true
    left join lateral (select max(ended_at) as at from tasks where lead_id = l.id having every(ended_at is not null))
      ended on true
    where {_OF_TASK} and l.attached_to is null
      and l.intent not in ('list', 'cart', 'call_later', 'inbound_call')
      and l.source->>'party' is distinct from 'agent'
    """  # noqa: S608  a constant
)

# Promised calls by when they were due, as far as it is known what became of them.
_DUE = f"""
    with due as materialized (
      select distinct f.subject_id as id from facts f
      where f.kind in ('promise.offered', 'promise.missed_by_us')
        and f.at >= :start - interval '2 minutes' and f.at < :end + :latest
    ), decided as (
      select width_bucket(p.starts_at, :edges) as n, p.starts_at, t.lead_id, t.ended_at
      from due
      join promises p on p.id = due.id
      join tasks t on t.id = p.task_id
      where p.starts_at >= :start and p.starts_at < :end and {_OF_TASK}
        and (p.state in ('kept', 'no_answer', 'broken_by_customer', 'missed_by_us')
          or p.state = 'offered' and p.starts_at < :decided)
    )"""  # noqa: S608  a constant

_PROMISES = _statement(
    f"""{_DUE}
    select n, count(*), count(*) filter (where exists (
      select from facts b
      where b.lead_id = decided.lead_id and b.kind = 'call.customer_leg'
        and b.at between starts_at - :within and starts_at + :within and exists ({_RUNG.format(fact="b")})))
    from decided group by 1
    """  # noqa: S608  a constant
)

_SLIPS = _statement(
    f"""{_DUE}
    select n, greatest(extract(epoch from coalesce(ring.at, ended_at, :now) - starts_at), 0)::float8
    from decided
    cross join lateral (
      select min(b.at) as at from facts b
      where b.lead_id = decided.lead_id and b.kind = 'call.customer_leg' and b.at >= starts_at - :within
        and exists ({_RUNG.format(fact="b")})) ring
    """  # noqa: S608  a constant
)

# A talk that ended a moment ago may be asked about tomorrow: it is counted when the days are over.
_TALKS = _statement(
    f"""{_facts("task.closed")}
    select {_SLOT}, count(*), count(*) filter (
      where t.disposition <> all(:owing) and not exists (
        select from leads l where l.contact_id = t.contact_id and l.created_at > f.at and l.created_at <= f.at + :again)
      and not exists (
        select from leads l join facts b on b.lead_id = l.id
        where l.contact_id = t.contact_id and b.kind = 'task.engaged' and b.at > f.at and b.at <= f.at + :again))
    from f
    join tasks t on t.id = f.subject_id
    where {_OF_TASK} and f.at + :again <= :now and t.disposition <> all(:nobody) and exists (
      select from facts b where b.lead_id = f.lead_id and b.subject_id = f.subject_id and b.kind = 'task.engaged')
    group by 1
    """  # noqa: S608  a constant
)

# Lane by lane, from the index of what waits; the lane's key says its queue, its class and what there is to do.
_BACKLOG = text(
    f"""
    with {EVERY_LANE}, told as (
      select pool, lane, split_part(lane, '/', 2)::bigint as queue_id,
        split_part(lane, '/', 3) = '{TIER_NOW}' and split_part(lane, '/', 5) <> 'nurture' as due
      from lanes
    )
    select c.name, q.name, {", ".join(f"sum(waits.age{n})::bigint" for n in range(len(AGES) + 1))},
      min(waits.oldest), coalesce(sum(waits.n) filter (where told.due), 0)::bigint,
      coalesce(sum(waits.late) filter (where told.due), 0)::bigint
    from told join queues q on q.id = told.queue_id join campaigns c on c.id = q.campaign_id
    cross join lateral (
      select count(*) as n, min(abs(rank)) as oldest, count(*) filter (where :now_ms - abs(rank) > q.target_seconds
        * 1000) as late, {", ".join(
            f"count(*) filter (where width_bucket(:now_ms - abs(rank), cast(:ages as bigint[])) = {n}) as age{n}"
            for n in range(len(AGES) + 1))}
      from tasks t where t.state = 'queued' and t.pool = told.pool and t.lane = told.lane
    ) waits
    where (:queue is null or q.id = :queue) and (:campaign is null or c.id = :campaign)
    group by c.name, q.name, q.id order by c.name, q.name, q.id
    """  # noqa: S608  constants
).bindparams(bindparam("queue", type_=BigInteger), bindparam("campaign", type_=BigInteger),
             bindparam("now_ms", type_=BigInteger), bindparam("ages", type_=ARRAY(BigInteger)))

_COHORTS = _statement(
    f"""{_facts("lead.created")}
    select {_SLOT}, count(*), count(*) filter (where exists (
      select from facts b where b.lead_id = f.lead_id and b.kind = 'signing.signed'))
    from f
    join leads l on l.id = f.lead_id
    where l.attached_to is null and l.intent <> 'list'
      and (:campaign is null or f.campaign_id = :campaign)
      and (:queue is null or exists (select from tasks t where t.lead_id = l.id and t.queue_id = :queue))
    group by 1
    """  # noqa: S608  a constant
)

# A call that is handed over is the colleague's from then on; while he is asked he is busy too.
# The union of what an agent did at once counts once. His browser's silence is written down when it is heard again, and
# until then stands in his own row.
_TIME = _statement(
    f"""
    with mine as (
      select id, heartbeat_at from agents
      where (:campaign is null and :queue is null) or pool in (
        select pool from queues
        where (:campaign is null or campaign_id = :campaign) and (:queue is null or id = :queue))
    ), told as (
      select id, kind, subject_id, agent_id, at, data from facts
      where kind in ('task.queued', 'task.reserved', 'task.connecting', 'task.engaged', 'task.wrapping', 'task.closed',
          'task.abandoned', 'task.withdrawn', 'task.expired', 'task.scheduled', 'consultation.ringing',
          'consultation.joined', 'consultation.completed', 'consultation.ended')
        and at >= :start - :held and at < :end
    ), steps as (
      select kind, agent_id, at, coalesce(lead(at) over (partition by task order by id), :until) as until
      from (
        select *, case kind when 'consultation.completed' then (data->>'task')::bigint else subject_id end as task
        from told where kind like 'task.%' or kind = 'consultation.completed') of_task
      union all
      select kind, agent_id, at, until from (
        select kind, agent_id, at, coalesce(lead(at) over (partition by subject_id order by id), :until) as until
        from told where kind like 'consultation.%') of_colleague
      where kind in ('consultation.ringing', 'consultation.joined')
    ), held as (
      select agent_id, range_agg(tstzrange(at, until)) as busy,
        range_agg(tstzrange(at, until)) filter (where kind in ('task.engaged', 'task.wrapping', 'consultation.joined',
          'consultation.completed')) as handling
      from steps
      where kind in ('task.reserved', 'task.connecting', 'task.engaged', 'task.wrapping', 'consultation.ringing',
          'consultation.joined', 'consultation.completed') and at <= until
      group by agent_id
    ), wishes as (
      select kind, agent_id, at, coalesce(lead(at) over (partition by agent_id order by id), :until) as until
      from facts
      where kind in ('agent.off', 'agent.ready', 'agent.ready_once', 'agent.paused')
        and at >= :start - :same and at < :end
    ), wished as (
      select agent_id, range_agg(tstzrange(at, until)) as here,
        range_agg(tstzrange(at, until)) filter (where kind <> 'agent.paused') as ready
      from wishes where kind <> 'agent.off' and at <= until
      group by agent_id
    ), silences as (
      select agent_id, range_agg(tstzrange(least((data->>'since')::timestamptz, at), at)) as away
      from facts
      where kind = 'desk.back' and at >= :start and at < :end + :same
      group by agent_id
    ), did as (
      select coalesce(held.busy, '{{}}') as busy, coalesce(held.handling, '{{}}') as handling,
        coalesce(wished.ready, '{{}}') - gone.away as ready, coalesce(wished.here, '{{}}') - gone.away as here
      from mine
      left join held on held.agent_id = mine.id
      left join wished on wished.agent_id = mine.id
      left join silences on silences.agent_id = mine.id
      cross join lateral (select coalesce(silences.away, '{{}}') + case when mine.heartbeat_at + :lease < :now
        then tstzmultirange(tstzrange(mine.heartbeat_at + :lease, :now)) else '{{}}' end as away) gone
      where held.agent_id is not null or wished.agent_id is not null
    )
    select slot.n, {", ".join(f"coalesce(sum(ms) filter (where what = {n}), 0)::bigint" for n in range(4))}
    from (
      select n, tstzmultirange(tstzrange(edge, stop)) as span
      from (select n, edge, lead(edge) over (order by n) as stop from unnest(:edges) with ordinality as e(edge, n)) e
      where stop is not null
    ) slot
    cross join did
    cross join lateral (
      select what, extract(epoch from upper(part) - lower(part)) * 1000 as ms
      from (
        select 0, unnest(did.busy * slot.span)
        union all select 1, unnest((did.busy + did.ready) * slot.span)
        union all select 2, unnest(did.handling * slot.span)
        union all select 3, unnest((did.busy + did.here) * slot.span)
      ) as piece(what, part)
    ) spent
    group by slot.n
    """  # noqa: S608  a constant
)


async def tallies(
    session: ReadSession, edges: Sequence[datetime], now: datetime, scope: Scope = EVERYBODY
) -> list[Tally]:
    """What was counted from each of the moments `edges` (aware, rising) to before the next, as it stands at `now`."""
    span = _span(edges, now, scope)
    waits = await _by_slot(session, _WAITS, span)
    moved = await _by_slot(session, _MOVED, span)
    handled = await _by_slot(session, _HANDLED, span)
    offers = await _by_slot(session, _OFFERS, span)
    times = await _by_slot(session, _TIME, span)
    counts = await _counts(session, span)
    responses = await _responses(session, span)
    slips = await _slips(session, span)
    return [
        Tally(
            start, end, _waits(waits.get(n), moved.get(n)), Handled(*handled.get(n, ())), Offers(*offers.get(n, ())),
            Time(*times.get(n, ())), counts.get(n, Counts()), responses.get(n, ()),
            tuple(slips.get(n, ())),
        )
        for n, (start, end) in enumerate(pairwise(edges), start=1)
    ]


async def day(
    session: ReadSession, edges: Sequence[datetime], now: datetime, scope: Scope = EVERYBODY
) -> tuple[list[Tally], Tally]:
    """The same, and all of it as one: a lead rung in two half-hours is one lead."""
    parts = await tallies(session, edges, now, scope)
    rung = await _by_slot(session, _CONTACTS, _span((edges[0], edges[-1]), now, scope))
    whole = merged(parts)
    counts = Counts(*rung.get(1, (0, 0)), *astuple(whole.counts)[2:])
    return parts, replace(whole, counts=counts)


async def waits(session: ReadSession, start: datetime, end: datetime, scope: Scope = EVERYBODY) -> Waits:
    """How waiting ended between two moments, alone: the one figure a screen across the room shows."""
    span = _span((start, end), end, scope)
    ended, moved = [await _by_slot(session, statement, span) for statement in (_WAITS, _MOVED)]
    return _waits(ended.get(1), moved.get(1))


def _span(edges: Sequence[datetime], now: datetime, scope: Scope) -> dict[str, Any]:
    return {
        "edges": list(edges), "start": edges[0], "end": edges[-1], "campaign": scope.campaign_id,
        "queue": scope.queue_id, "now": now, "until": min(edges[-1], now), "decided": now - KEPT_WITHIN,
        "held": LONGEST_HELD, "same": LONGEST_SAME, "lease": HEARTBEAT_LEASE, "within": KEPT_WITHIN,
        "latest": _LATEST_OFFER, "again": timedelta(days=SOLVED_DAYS),
        "owing": [Disposition.callback.value, Disposition.needs_information.value],
        "nobody": [one.value for one in NOT_REACHED],
    }


async def _by_slot(
    session: ReadSession, statement: TextClause, span: Mapping[str, Any]
) -> dict[int, tuple[int, ...]]:
    return {row[0]: tuple(row)[1:] for row in await session.rows(statement, dict(span))}


def _waits(ended: tuple[int, ...] | None, moved: tuple[int, ...] | None) -> Waits:
    return replace(Waits(*(ended or ())), moved=moved[0] if moved else 0)


async def _counts(session: ReadSession, span: Mapping[str, Any]) -> dict[int, Counts]:
    rung = await _by_slot(session, _CONTACTS, span)
    due = await _by_slot(session, _PROMISES, span)
    leads = await _by_slot(session, _COHORTS, span)
    talks = await _by_slot(session, _TALKS, span)
    pairs = (rung, due, leads, talks)
    return {n: Counts(*(count for pair in pairs for count in pair.get(n, (0, 0)))) for n in {*chain(*pairs)}}


async def _slips(session: ReadSession, span: Mapping[str, Any]) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {}
    for n, seconds in await session.rows(_SLIPS, dict(span)):
        found.setdefault(n, []).append(seconds)
    return found


async def backlog(session: ReadSession, now: datetime, scope: Scope = EVERYBODY) -> list[Backlog]:
    """What waits at `now` (aware), by campaign and queue; queues in which nothing waits are left out."""
    rows = await session.rows(_BACKLOG, {
        "campaign": scope.campaign_id, "queue": scope.queue_id, "now_ms": int(now.timestamp() * 1000),
        "ages": [round(age.total_seconds() * 1000) for age in AGES],
    })
    return [Backlog(row[0], row[1], tuple(row[2:-3]), *row[-3:]) for row in rows]


async def _responses(session: ReadSession, span: Mapping[str, Any]) -> dict[int, list[Response]]:
    rows = await session.rows(_RESPONSES, dict(span))
    openings = await _openings(session, {row[5] for row in rows})
    # A busy day's thousands take a tenth of a second, in which nobody else is to wait.
    return await asyncio.to_thread(_reckon, rows, openings)


def _reckon(rows: Sequence[Rows], openings: Mapping[int, Opening]) -> dict[int, list[Response]]:
    found: dict[int, list[Response]] = {}
    for n, created, until, reached, over, queue_id in rows:
        wall = max(0.0, (until - created).total_seconds())
        open_for = open_seconds(openings[queue_id], created, until)
        found.setdefault(n, []).append(Response(wall, open_for, reached, over))
    return found


async def _openings(session: ReadSession, queue_ids: Collection[int]) -> dict[int, Opening]:
    if not queue_ids:
        return {}
    rows = await session.rows(
        select(Queue, Campaign.timezone).join(Campaign, Campaign.id == Queue.campaign_id).where(Queue.id.in_(queue_ids))
    )
    return {queue.id: opening(zone, queue.hours, queue.holidays, queue.closures) for queue, zone in rows}


async def places(session: ReadSession) -> list[tuple[Campaign, list[Queue]]]:
    """The campaigns by name, each with its queues: whose figures can be looked at."""
    rows = await session.rows(
        select(Campaign, Queue).outerjoin(Queue, Queue.campaign_id == Campaign.id).order_by(
            Campaign.name, Campaign.id, Queue.name, Queue.id)
    )
    found: dict[int, tuple[Campaign, list[Queue]]] = {}
    for campaign, queue in rows:
        found.setdefault(campaign.id, (campaign, []))[1].extend([queue] if queue is not None else [])
    return list(found.values())
