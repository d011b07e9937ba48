"""A round as queries: who is free, the first rows of each lane, and reservations made in bulk."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from router.model.levels import levels_of
from router.model.routing import MOST_HEADS, ONE_OF_EACH, PLAIN, Candidate, Channel, Head, Match, Needs, Owed, Rules
from router.model.rules import ORDINARY, credit_ms, read_rules
from router.model.tasks import NOBODY_ELSE, TaskKind, occupies
from router.store.db import ReadSession, Short, WriteSession, as_json

MOST_PASSED_OVER = 1_000
"""So many of a lane are looked at beyond whom one of the agents has just declined, or who are kept for another: nobody
declines more within the minute that counts, and a lane full of them is not read to its end."""

_OF_ROUND = {"pool": "bigint", "now": "timestamptz", "alive_since": "timestamptz"}


def _looks(statement: str, **types: str) -> Mapping[bool, Short]:
    """A statement that only looks, and under True the same that locks what it finds, where what others hold is
    skipped."""
    locks = {False: "", True: "for no key update skip locked"}
    return {
        locking: Short(statement.format(lock=lock, most="all" if locking else MOST_PASSED_OVER), **types)
        for locking, lock in locks.items()
    }


_POOLS = Short(
    """
    with recursive waiting as (
      (select pool from tasks where state = 'queued' order by pool limit 1)
      union all
      select (select t.pool from tasks t where t.state = 'queued' and t.pool > waiting.pool order by t.pool limit 1)
      from waiting where waiting.pool is not null
    )
    select array_agg(pool order by pool), pg_try_advisory_xact_lock(hashtextextended('pool:' || min(pool), 7))
    from waiting where pool is not null
    """
)

_IS_FREE = """
      wish in ('ready', 'ready_once') and disabled_at is null and heartbeat_at > :alive_since
      and (call_load < call_capacity or chat_load < chat_capacity or video_load < video_capacity)
      and (back_off_until is null or back_off_until <= :now) and idle_since is not null
      and not exists (select from reservations r where r.agent_id = agents.id and r.state = 'pending')
"""

_ANY_FREE = Short(
    f"select exists (select from agents where {_IS_FREE})",  # noqa: S608  a constant
    now="timestamptz", alive_since="timestamptz",
)

# Lanes are found by jumping along the index, and only the first rows of each are read: the backlog is never scanned.
# What decides who may take a task is the same for all of a lane. `stopped` names what keeps it from being handed out, a
# supervisor's switch or a line that pauses, as `router.model.giving.stopped_by` has it, or "pull" where agents pick for
# themselves.
LANES = """
    with recursive every_lane as (
      (select lane, skills, kind, tier, rules_id, row, campaign_id, queue_id from tasks
       where pool = :pool and state = 'queued' order by lane limit 1)
      union all
      select next.* from every_lane cross join lateral (
        select t.lane, t.skills, t.kind, t.tier, t.rules_id, t.row, t.campaign_id, t.queue_id from tasks t
        where t.pool = :pool and t.state = 'queued' and t.lane > every_lane.lane
        order by t.lane limit 1) next
    ), lanes as materialized (
      select *, case
        when kind = 'nurture' and exists (select from switches where name = 'nurture') then 'nurture'
        when kind in ('call', 'nurture') and tier > 0
          and campaign_id = any(array(select id from campaigns where paused)) then 'campaign'
        when kind in ('call', 'nurture') and tier > 0 and campaign_id = any(array(
          select k.id from trunks t join campaigns k on k.caller_id = t.caller_id
          where t.failing_since is not null and greatest(t.paused_until, t.trying_until) > :now)) then 'trunk'
        when queue_id = any(array(select id from queues where pull)) then 'pull'
        else '' end as stopped
      from every_lane
    )
"""

# What an agent has promised to do himself within the next minutes; who will be away then is not waited for.
_OWES = """
      p.agent_id = agents.id and p.state in ('scheduled', 'offered', 'no_answer') and p.mode <> 'team'
      and p.at_risk = '' and p.starts_at > :now and p.starts_at <= :now + interval '10 minutes'
"""

_OWES_TOLD = f"""
      select extract(epoch from p.starts_at) || ' ' || p.task_id || ' ' || p.zone from promises p
      where {_OWES} order by p.starts_at limit 1
"""  # noqa: S608  a constant

_CANDIDATE = f"""
      id, idle_since, skills, call_load, chat_load, video_load, call_capacity, chat_capacity, video_capacity,
      case when day_ends > :now then taken else 0 end,
      case when day_ends > :now and busy_ms + idle_ms > 0 then busy_ms::float8 / (busy_ms + idle_ms) else 0 end,
      weight, most_a_day,
      ({_OWES_TOLD})
"""

# Agents who may take nothing that waits are left out, or the first ones would hide those who could: who lack the skills
# of every lane, have no room for its channel, or have had their day's share; whom even the shortest task would keep
# beyond the time of a call they have promised. So are those who may take only what was looked at in vain. Agents with
# the same skills and the same load are one profile; profiles are found by jumping along the index, and only of those
# who may take something the first agents are read: however many are busy or lack a skill.
_FREE = _looks(
    f"""
    {LANES}, profiles as (
      (select hash_array_extended(skills, 0) as hash, skills, call_load, chat_load, video_load from agents
       where pool = :pool and wish in ('ready', 'ready_once') order by 1, 3, 4, 5 limit 1)
      union all
      select next.* from profiles p cross join lateral (
        select hash_array_extended(a.skills, 0) as hash, a.skills, a.call_load, a.chat_load, a.video_load from agents a
        where a.pool = :pool and a.wish in ('ready', 'ready_once')
          and (hash_array_extended(a.skills, 0), a.call_load, a.chat_load, a.video_load)
            > (p.hash, p.call_load, p.chat_load, p.video_load)
        order by 1, 3, 4, 5 limit 1) next
    ), able as materialized (
      select p.hash, p.call_load, p.chat_load, p.video_load, array_agg(distinct occupies) as channels,
        min(case when 'call/' || occupies = any(:beside) then 0 else q.handle_seconds end) as shortest
      from lanes join queues q on q.id = lanes.queue_id
      cross join lateral (select case kind when 'nurture' then 'call' else kind end as occupies) channel
      join profiles p on p.skills @> lanes.skills
        and (p.call_load = 0 or occupies || '/call' = any(:beside))
        and (p.chat_load = 0 or occupies || '/chat' = any(:beside))
        and (p.video_load = 0 or occupies || '/video' = any(:beside))
      where stopped = '' and not exists (
        select from unnest(:seen, :seen_takes) as f(id, takes) join agents a on a.id = f.id
        where a.skills @> lanes.skills and strpos(f.takes, lanes.kind) > 0)
      group by p.hash, p.call_load, p.chat_load, p.video_load
    )
    select free.* from able cross join lateral (
      select {_CANDIDATE} from agents
      where pool = :pool and hash_array_extended(skills, 0) = able.hash and call_load = able.call_load
        and chat_load = able.chat_load and video_load = able.video_load and {_IS_FREE}
        and (most_a_day = 0 or day_ends is null or day_ends <= :now or taken < most_a_day)
        and ('call' = any(able.channels) and call_load < call_capacity
          or 'chat' = any(able.channels) and chat_load < chat_capacity
          or 'video' = any(able.channels) and video_load < video_capacity)
        and not exists (
          select from promises p where {_OWES} and p.starts_at < :now + make_interval(secs => able.shortest)
            and not exists (select from tasks t where t.id = p.task_id and t.state = 'queued'))
      order by idle_since, id
      limit :most
      {{lock}}
    ) free
    order by idle_since, id
    limit :most
    """,  # noqa: S608  a constant
    seen="bigint[]", seen_takes="text[]", beside="text[]", most="bigint", **_OF_ROUND,
)

_BYSTANDERS = Short(
    f"""
    select {_CANDIDATE} from agents
    where pool = :pool and {_IS_FREE} and not id = any(:without)
    order by idle_since, id
    limit :most
    """,  # noqa: S608  a constant
    without="bigint[]", most="bigint", **_OF_ROUND,
)

# Who a task is kept for: he is there, be he busy, and could take it. Nobody waits for who could not, but where nobody
# else may take it (`router.model.tasks.NOBODY_ELSE`).
KEPT = """
      (t.prefers_until = '9999-01-01 00:00+00' or t.prefers_until > :now and exists (
        select from agents o where o.id = t.prefers and o.wish in ('ready', 'ready_once')
          and o.disabled_at is null and o.heartbeat_at > :alive_since and o.pool = t.pool and o.skills @> t.skills
          and case t.kind when 'chat' then o.chat_capacity when 'video' then o.video_capacity
            else o.call_capacity end > 0
          and (o.most_a_day = 0 or o.day_ends is null or o.day_ends <= :now or o.taken < o.most_a_day)
          and not exists (
            select from exclusions e where e.task_id = t.id and e.agent_id = o.id and e.until > :now)))
"""

# Somebody who said no a moment ago, and somebody kept for another who is there, are not among the first rows either.
_MAY_GO = f"""
      exists (
        select from unnest(able.ids) as one(id)
        where not exists (
          select from exclusions e where e.task_id = t.id and e.agent_id = one.id and e.until > :now)
        and (t.prefers is null or t.prefers = one.id or (select ({KEPT}) is not true)))
"""  # noqa: S608  constants


def _rows_of_lanes(way: str, which: str) -> Mapping[bool, Short]:
    return _looks(
        f"""
    {LANES}, free as materialized (
      select a.id, a.skills, f.takes from unnest(:agents, :takes) as f(id, takes) join agents a on a.id = f.id
    )
    select lanes.tier, lanes.skills, lanes.kind, lanes.row, r.version, r.newest_first, r.body::text, q.handle_seconds,
      able.most, heads.*
    from lanes join queues q on q.id = lanes.queue_id
    cross join lateral (
      select array_agg(free.id) as ids, least(:k, count(*)) as most from free
      where free.skills @> lanes.skills and strpos(free.takes, lanes.kind) > 0
    ) able
    left join rulesets r on r.id = lanes.rules_id
    cross join lateral (
      select array_agg(id), array_agg(rank), array_agg(without), array_agg(prefers), array_agg(prefers_until),
        array_agg(kept)
      from (
        select t.id, t.rank, t.prefers, t.prefers_until, t.prefers is not null and ({KEPT}) as kept, array_to_string(
          array(select e.agent_id from exclusions e
            where e.task_id = t.id and e.agent_id = any(able.ids) and e.until > :now), ' ') as without
        from (
          select * from tasks where pool = :pool and state = 'queued' and lane = lanes.lane
          order by rank {way}, id {way} limit {{most}}
        ) t
        where {_MAY_GO}
        order by t.rank {way}, t.id {way}
        limit able.most
        {{lock}}
      ) head
    ) heads(ids, ranks, withouts, preferred, untils, keeps)
    where able.ids is not null and lanes.stopped = '' and heads.ids is not null and {which}
    """,  # noqa: S608  constants
        agents="bigint[]", takes="text[]", k="bigint", **_OF_ROUND,
    )


# Of a lane no more can be given out than there are agents for it.
_HEADS = _rows_of_lanes("asc", "true")

# Where the newest is first, those who have waited longest stand at the other end; they are looked at too.
_OLDEST = _rows_of_lanes("desc", "r.newest_first")

PREVIEW_SECONDS = 5
"""So long an agent who stays on the line sees whom he will be connected with."""

# A call nobody waits for (nurture, a promise, a list) is only shown to him, and made then. Anybody else rings.
#
# Between the look and this somebody may have left, or taken something else: all is reserved if all is as it was seen,
# or nothing. Without `holds` nobody looked: the agent's row was locked before.
_RESERVE = Short(
    f"""
    with waiting as materialized (
      select id, queue_id, kind = 'nurture' or kind = 'call' and tier in (1, 4) as outbound
      from tasks where id = any(:tasks) and state = 'queued'
      order by id
      for no key update skip locked
    ), free as materialized (
      select agents.id from agents join unnest(:agents, :holds) as m(agent_id, holds) on m.agent_id = agents.id
      where m.holds is null
        or m.holds = call_load || '/' || chat_load || '/' || video_load and {_IS_FREE}
      order by agents.id
      for no key update of agents skip locked
    ), made as (
      insert into reservations (task_id, agent_id, state, why, created_at, expires_at, costs_turn, preview)
      select m.task_id, m.agent_id, 'pending', m.why::jsonb, :now,
        :now + make_interval(secs => case when t.outbound and s.id is not null then {PREVIEW_SECONDS} else
          q.ring_seconds end),
        m.costs_turn, t.outbound and s.id is not null
      from unnest(:tasks, :agents, :whys, :turns) as m(task_id, agent_id, why, costs_turn)
      join waiting t on t.id = m.task_id join queues q on q.id = t.queue_id
      left join stations s on s.agent_id = m.agent_id and s.ended_at is null and s.state = 'standing'
      where (select count(*) from waiting) = cardinality(:tasks)
        and (select count(*) from free) = cardinality(:agents)
      order by m.task_id
      on conflict do nothing
      returning id, task_id, agent_id, expires_at
    ), held as (
      update tasks set state = 'reserved', agent_id = made.agent_id, held_until = made.expires_at
      from made where tasks.id = made.task_id and tasks.id = any(:tasks)
      returning tasks.id, tasks.campaign_id, tasks.lead_id, tasks.kind
    ), busy as (
      update agents set call_load = call_load + (held.kind in ('call', 'nurture'))::int,
        chat_load = chat_load + (held.kind = 'chat')::int, video_load = video_load + (held.kind = 'video')::int,
        turn_kept_at = coalesce(turn_kept_at, :now), busy_since = coalesce(busy_since, :now),
        idle_ms = idle_ms + case when busy_since is null and idle_since is not null
          then (extract(epoch from :now - idle_since) * 1000)::bigint else 0 end
      from made join held on held.id = made.task_id
      where agents.id = made.agent_id and agents.id = any(:agents)
    ), due as (
      insert into alarms (kind, subject_id, due_at, state, failures)
      select 'reservation.expire', id, expires_at, 'pending', 0 from made
    )
    select made.id, made.task_id, made.agent_id, held.campaign_id, held.lead_id
    from made join held on held.id = made.task_id
    """,  # noqa: S608  a constant
    tasks="bigint[]", agents="bigint[]", whys="text[]", turns="boolean[]", holds="text[]", now="timestamptz",
    alive_since="timestamptz",
)


class Held(NamedTuple):
    """A reservation just made, and whose it is."""

    id: int
    task_id: int
    agent_id: int
    campaign_id: int
    lead_id: int


async def waiting_pools(session: WriteSession) -> tuple[list[int], bool]:
    """The pools in which a task waits, and whether the first one is now ours for a round (see `run_round`)."""
    row = (await session.execute(_POOLS, {}))[0]
    return row[0] or [], bool(row[1])


async def anybody_free(session: ReadSession, now: datetime, lease: timedelta) -> bool:
    """Whether any agent could be given work at all."""
    rows = await session.rows(_ANY_FREE, {"now": now, "alive_since": now - lease})
    return bool(rows[0][0])


class Look(NamedTuple):
    """What a round looks at: its pool at a moment (aware) and who counts as there. `beside` says what may come in while
    an agent holds what, see `router.model.routing.Policy`; `in_vain` are agents and the kinds they may take for whom
    nothing was found. `locking`: nobody else changes what is seen until the round is over."""

    pool: int
    now: datetime
    lease: timedelta
    beside: Collection[tuple[Channel, Channel]]
    in_vain: Mapping[int, str]
    locking: bool = False

    @property
    def values(self) -> dict[str, Any]:
        return {"pool": self.pool, "now": self.now, "alive_since": self.now - self.lease}


async def free_agents(session: WriteSession, look: Look) -> list[Candidate]:
    """Who may be given work that waits in the pool, longest idle first."""
    values = {
        "beside": [f"{one.value}/{held.value}" for one, held in look.beside], "most": MOST_HEADS,
        "seen": list(look.in_vain), "seen_takes": list(look.in_vain.values()), **look.values,
    }
    return [_candidate(row) for row in await session.execute(_FREE[look.locking], values)]


_OWING = Short(
    f"select id, ({_OWES_TOLD}) from agents where id = any(:agents)",  # noqa: S608  a constant
    agents="bigint[]", now="timestamptz",
)


async def owing(session: ReadSession, agents: Collection[int], now: datetime) -> Mapping[int, Owed]:
    """Which of these agents have promised a call within the next minutes."""
    rows = await session.rows(_OWING, {"agents": list(agents), "now": now})
    return {row[0]: promised for row in rows if (promised := owed(row[1])) is not None}


async def bystanders(
    session: WriteSession, pool: int, agents: Collection[int], now: datetime, lease: timedelta
) -> list[Candidate]:
    """Who else is free, but could take nothing of what waits: they are named among the reasons of what is given to
    others. Not locked; at most MOST_HEADS with these agents together."""
    rows = await session.execute(_BYSTANDERS, {
        "pool": pool, "now": now, "alive_since": now - lease, "without": list(agents),
        "most": MOST_HEADS - len(agents),
    })
    return [_candidate(row) for row in rows]


def _candidate(row: Sequence[Any]) -> Candidate:
    load = {channel: held for channel, held in zip(Channel, row[3:6], strict=True) if held}
    return Candidate(
        row[0], row[1].timestamp() * 1000, levels_of(row[2]), load,
        ONE_OF_EACH if tuple(row[6:9]) == (1, 1, 1) else dict(zip(Channel, row[6:9], strict=True)),
        row[10], row[9], row[11], row[12], owed(row[13]),
    )


def owed(told: str | None) -> Owed | None:
    """What a statement tells of the call an agent has promised: its moment in seconds since 1970, its task and zone."""
    if told is None:
        return None
    at, task_id, zone = told.split(" ")
    return Owed(float(at) * 1000, int(task_id), zone)


class Heads(NamedTuple):
    """The first rows of the lanes and the pairs (task, agent) that are not made now. `more`: a lane may go on behind
    what was read of it."""

    heads: list[Head]
    excluded: set[tuple[int, int]]
    more: bool


async def heads(session: WriteSession, look: Look, agents: Mapping[int, str]) -> Heads:
    """The first rows of each lane of the pool that one of these agents may take. `agents` are the kinds of tasks each
    may take at the moment."""
    values = {"agents": list(agents), "takes": list(agents.values()), "k": MOST_HEADS, **look.values}
    lanes = await session.execute(_HEADS[look.locking], values)
    found = {head.id: head for lane in lanes for head in _heads_of(lane, agents)}
    excluded = {pair for lane in lanes for pair in _excluded_of(lane)}
    if any(newest_first for _, _, _, _, _, newest_first, *_ in lanes):
        for lane in await session.execute(_OLDEST[look.locking], values):
            found = {head.id: head for head in _heads_of(lane, agents)} | found
            excluded.update(_excluded_of(lane))
    return Heads(list(found.values()), excluded, any(len(ids) >= most for *_, most, ids, _, _, _, _, _ in lanes))


def _heads_of(row: Sequence[Any], agents: Collection[int]) -> Iterator[Head]:
    tier, skills, kind, step, version, _, body, handle, _, ids, ranks, _, preferred, untils, keeps = row
    lane = lane_of(Place(tier, skills, TaskKind(kind), step, handle), version, body)
    for task_id, rank, prefers, until, still in zip(ids, ranks, preferred, untils, keeps, strict=True):
        # What is kept for somebody who is there, but is not among these agents, was not read.
        kept = FOR_ANYBODY if prefers is None else Kept(prefers, until, bool(still) and prefers in agents)
        yield lane.head(task_id, rank, kept)


def _excluded_of(lane: Sequence[Any]) -> Iterator[tuple[int, int]]:
    *_, ids, _, withouts, _, _, _ = lane
    for task_id, without in zip(ids, withouts, strict=True):
        if without:
            yield from ((task_id, int(agent)) for agent in without.split(" "))


class Place(NamedTuple):
    """Where a task waits, as its columns say, and how many seconds one takes there."""

    tier: int
    skills: Sequence[str]
    kind: TaskKind
    row: int
    handle_seconds: int = 0


class Kept(NamedTuple):
    """For whom it is kept until when, and whether he is there."""

    agent_id: int | None = None
    until: datetime | None = None
    here: bool = False


FOR_ANYBODY = Kept()


class Lane(NamedTuple):
    """What is the same for all of a lane, as routing looks at it."""

    tier: int
    needs: Needs
    channel: Channel
    rules: Rules
    credit_ms: float
    handle_s: float

    def head(self, task_id: int, rank: int, kept: Kept) -> Head:
        """One of those who wait there."""
        until = kept.until
        return Head(
            task_id, self.tier, rank - self.credit_ms, self.needs, abs(rank), self.channel, self.rules, kept.agent_id,
            until.timestamp() * 1000 if until else 0.0, kept.here, until == NOBODY_ELSE, self.handle_s,
        )


def lane_of(place: Place, version: int | None, body: str | None) -> Lane:
    """The lane in which a task waits; `version` and `body` are of its rules, None for the ordinary ones."""
    rules, plan = read_rules(version, body) if version is not None and body else (PLAIN, ORDINARY)
    return Lane(
        place.tier, levels_of(place.skills), occupies(place.kind), rules, credit_ms(place.row, plan),
        place.handle_seconds,
    )


async def reserve(
    session: WriteSession, matches: Iterable[Match], now: datetime, lease: timedelta,
    agents: Iterable[Candidate] = (),
) -> list[Held]:
    """Reserves the pairs in one statement: reservation, task, the agent's load, the alarm that ends the ringing.

    A pair that is held already (a unique index says so) is left out and does not fail the round. None is reserved when
    a task waits no longer, or one of the `agents` is not free any more as he was seen, or somebody else holds a row.
    Who is not among `agents` must be locked.
    """
    pairs, holds = list(matches), {agent.id: _holds(agent) for agent in agents}
    rows = await session.execute(
        _RESERVE,
        {
            "tasks": [pair.task for pair in pairs],
            "agents": [pair.agent for pair in pairs],
            "whys": [as_json(pair.why) for pair in pairs],
            "turns": [pair.costs_turn for pair in pairs],
            "holds": [holds.get(pair.agent) for pair in pairs],
            "now": now,
            "alive_since": now - lease,
        },
    )
    return [Held(*tuple(row)) for row in rows]


def _holds(agent: Candidate) -> str:
    return "/".join(str(agent.load.get(channel, 0)) for channel in (Channel.call, Channel.chat, Channel.video))
