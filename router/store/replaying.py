"""A recorded stretch as queries: what came in, what became of it and who was there, read from the journal.

The facts carry ids; what a task needs is read from its row as it stands now.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any

from msgspec import convert
from msgspec.structs import replace
from sqlalchemy import ARRAY, BigInteger, Text, bindparam, select, text

from router.model.abilities import Ability
from router.model.agents import HEARTBEAT_LEASE, Agent, Wish
from router.model.campaigns import NURTURE, Campaign, Queue, Ruleset, Switch
from router.model.consultations import ConsultationState
from router.model.hours import end_of_day, opening
from router.model.levels import asked, levels_of
from router.model.recording import Desk, Item, Recording, Row, Span, Terms, Timetable, closed_spans, held_by
from router.model.rules import read_rules
from router.model.tasks import TaskKind, TaskState
from router.model.transcribing import (
    Changed,
    Consulted,
    Switched,
    Told,
    Wished,
    Work,
    abilities_of,
    elsewhere,
    items_of,
    pauses_of,
    presence_of,
    rests_of,
)
from router.store.db import ReadSession, as_json

A_DAY_SECONDS = 86_400
"""What only one may take is played as kept for him for so long."""
MARGIN = timedelta(hours=12)
"""So much before and after is played along: at the start the desks are as they were, at the end nobody is cut off."""

LONGEST_SILENCE = timedelta(days=3)
"""A browser that has been silent in the stretch has answered again after so long, or its agent's row says it is silent
still."""

_WISHES = [f"agent.{wish.value}" for wish in Wish]
_OVERFLOW = "overflow.queue"
_STATES = {f"task.{state.value}": state for state in TaskState}
_CONSULTED = {f"consultation.{state.value}": state for state in ConsultationState}
_SWITCHED = {
    "campaign.paused": True, "campaign.resumed": False, f"{NURTURE}.paused": True, f"{NURTURE}.resumed": False,
}
_SEEN = [one for one in _STATES if one not in ("task.scheduled", "task.withdrawn", "task.expired")]
"""What tells that a task was alive: many are put off or withdrawn that never stood in line."""

# A lead's facts are found by their numbers; the tasks by those of their facts that lie within the stretch.
_TASKS = text(
    """
    with seen as (
      select distinct subject_id from facts where kind = any(:seen) and at >= :begins and at < :until
    )
    select t.id, t.queue_id, t.pool, t.kind, t.tier, t.skills, t.row, t.rank, t.rules_id, t.prefers, t.prefers_until,
      extract(epoch from f.at)::float8 as at, f.kind, f.agent_id, (f.data->>'tier')::int,
      coalesce(f.data->>'reason', ''), (f.data->>'queue')::bigint, (f.data->>'before')::bigint,
      (select extract(epoch from min(a.created_at))::float8 from arrivals a where a.task_id = t.id)
    from seen join tasks t on t.id = seen.subject_id
      join facts f on f.lead_id = t.lead_id and f.at < :until and (
        f.kind = any(:states) and f.subject_id = t.id
        or f.kind = any(:asked) and f.data->>'task' = t.id::text)
    where t.pool = any(:pools)
    order by t.id, f.seq
    """
).bindparams(
    bindparam("seen", type_=ARRAY(Text)), bindparam("states", type_=ARRAY(Text)),
    bindparam("asked", type_=ARRAY(Text)),
    bindparam("pools", type_=ARRAY(BigInteger)),
)

_PRESENCE = text(
    """
    (select distinct on (agent_id) extract(epoch from at)::float8 as at, agent_id, kind,
       coalesce(data->>'reason', ''), id
     from facts
     where kind = any(:wishes) and at < :begins order by agent_id, facts.at desc, id desc)
    union all
    select extract(epoch from at)::float8, agent_id, kind, coalesce(data->>'reason', ''), id from facts
    where kind = any(:wishes) and at >= :begins and at < :until
    order by agent_id, at, id
    """
).bindparams(bindparam("wishes", type_=ARRAY(Text)))


_SILENCES = text(
    """
    select agent_id, (data->>'since')::timestamptz, at from facts
    where kind = 'desk.back' and at >= :begins and at < :latest
    """
)

# From a change on, and from a switch on, it is as they say; before the first of them as that one was before.
_CHANGES = text(
    """
    select extract(epoch from at)::float8, agent_id, data->'before', data->'after' from facts
    where kind = 'agent.changed' and at >= :begins order by at, id
    """
)

_SWITCHES = text(
    """
    select extract(epoch from at)::float8, kind, campaign_id from facts
    where kind = any(:switches) and at >= :begins order by at, id
    """
).bindparams(bindparam("switches", type_=ARRAY(Text)))


async def campaigns(session: ReadSession) -> Sequence[Campaign]:
    """All of them, oldest first."""
    return await session.scalars(select(Campaign).order_by(Campaign.id))


async def queues(session: ReadSession) -> Sequence[Queue]:
    """All of them, oldest first."""
    return await session.scalars(select(Queue).order_by(Queue.id))


async def recording(
    session: ReadSession, begins: datetime, ends: datetime, now: datetime, keys: Mapping[int, str],
    asked_for: Sequence[int], zone: str,
) -> Recording:
    """What is on record from `begins` to `ends` (aware) of these queues, with what shared their agents and MARGIN at
    both sides, as far as it was over at `now`. `keys` are what all queues are called; a day is one in `zone` (IANA)."""
    start, until = begins - MARGIN, min(ends + MARGIN, now)
    zero = start.timestamp()
    everything = await queues(session)
    pools = sorted({queue.pool for queue in everything if queue.id in asked_for})
    lines = _Lines(
        {queue.id: queue for queue in everything}, {one.id: one for one in await session.scalars(select(Ruleset))}
    )
    owners = {campaign.id: campaign for campaign in await campaigns(session)}
    paused = await _pauses(session, owners.values(), start, until)
    sharing = [queue for queue in everything if queue.pool in pools]
    frame = Recording(
        (), (), until.timestamp() - zero, begins.timestamp() - zero, ends.timestamp() - zero,
        _midnights(start, until, zone), {queue.id: keys[queue.id] for queue in sharing}, frozenset(asked_for),
        {
            queue.id: replace(
                _timetable(queue, lines, owners[queue.campaign_id].timezone, start, until),
                paused=paused[queue.campaign_id],
            )
            for queue in sharing
        },
        zero, paused[None],
    )
    items = await _items(session, frame, lines, pools, start, until)
    desks = await _desks(session, frame, items, pools, start, until)
    return replace(frame, items=tuple(items), desks=tuple(desks))


class _Lines:
    """Queues and rules by their numbers, and the terms that follow: the same for all that wait under the same."""

    def __init__(self, queues: Mapping[int, Queue], rulesets: Mapping[int, Ruleset]) -> None:
        self.queues, self._rulesets = queues, rulesets
        self._known: dict[tuple[int, int | None, tuple[str, ...]], Terms] = {}

    def terms(self, queue: Queue, rules_id: int | None, needs: Sequence[str]) -> Terms:
        """Those of a task that needs this under these rules."""
        key = (queue.id, rules_id, tuple(needs))
        if key not in self._known:
            ruleset = None if rules_id is None else self._rulesets.get(rules_id)
            self._known[key] = _terms(needs, queue.target_seconds, ruleset)
        return self._known[key]


def _timetable(queue: Queue, lines: _Lines, zone: str, start: datetime, until: datetime) -> Timetable:
    onward = lines.queues.get(queue.overflow_id) if queue.overflow_id is not None else None
    hours = opening(zone, queue.hours, queue.holidays, queue.closures)
    return Timetable(
        queue.exclude_seconds, onward.id if onward is not None and onward.pool == queue.pool else None,
        queue.overflow_seconds, queue.expire_seconds,
        closed_spans(hours, start.timestamp(), (until - start).total_seconds()),
        lines.terms(queue, queue.rules_id, queue.skills), queue.pool,
    )


async def _pauses(
    session: ReadSession, campaigns: Iterable[Campaign], start: datetime, until: datetime
) -> Mapping[int | None, tuple[Span, ...]]:
    """When each of these campaigns was paused, and all nurture (None)."""
    switched: dict[int | None, list[Switched]] = defaultdict(list)
    for at, kind, campaign in await session.rows(_SWITCHES, {"switches": list(_SWITCHED), "begins": start}):
        switched[campaign].append(Switched(_seconds(at, start), _SWITCHED[kind]))
    off = await session.rows(select(Switch.name).where(Switch.name == NURTURE))
    now: dict[int | None, bool] = {None: bool(off), **{one.id: one.paused for one in campaigns}}
    return {what: pauses_of(switched[what], paused, _seconds(until.timestamp(), start)) for what, paused in now.items()}


def _seconds(at: float, start: datetime) -> float:
    """Since the stretch began, to the microsecond."""
    return round(at - start.timestamp(), 6)


def _midnights(start: datetime, until: datetime, zone: str) -> tuple[float, ...]:
    found = []
    midnight = end_of_day(start, zone)
    while midnight < until:
        found.append((midnight - start).total_seconds())
        midnight = end_of_day(midnight, zone)
    return tuple(found)


async def _items(
    session: ReadSession, frame: Recording, lines: _Lines, pools: Sequence[int], start: datetime, until: datetime
) -> list[Item]:
    rows = await session.rows(_TASKS, {
        "seen": _SEEN, "states": [*_STATES, _OVERFLOW], "asked": list(_CONSULTED), "begins": start, "until": until,
        "pools": pools,
    })
    found: list[Item] = []
    for _, of_task in groupby(rows, key=itemgetter(0)):
        facts = list(of_task)
        told, consulted = [], []
        for row in facts:
            at, kind, *said = row[11:18]
            at = round(at - frame.starts, 6)
            if kind in _CONSULTED:
                consulted.append(Consulted(at, _CONSULTED[kind], said[0]))
            else:
                told.append(Told(at, _STATES.get(kind), *said))
        found += items_of(_work(facts[0], lines, frame.starts), told, frame, consulted)
    return sorted(found, key=lambda item: (item.at, item.task))


def _work(row: Sequence[Any], lines: _Lines, zero: float) -> Work:
    task, queue_id, pool, kind, tier, skills, step, rank, rules_id, prefers, prefers_until, *_, rang_in = row
    queue = lines.queues[queue_id]
    # A row of the rules has made do with less since it came in: then it needed what its queue does.
    terms = lines.terms(queue, rules_id, queue.skills if step else skills)
    return Work(
        task, queue_id, pool, TaskKind(kind), tier, round(abs(rank) / 1_000 - zero, 6), terms, prefers,
        min(prefers_until.timestamp() - zero, abs(rank) / 1_000 - zero + A_DAY_SECONDS) if prefers_until else 0.0,
        math.inf if rang_in is None else round(rang_in - zero, 6),
    )


def _terms(needs: Sequence[str], target_s: int, ruleset: Ruleset | None) -> Terms:
    if ruleset is None:
        return Terms(levels_of(needs), target_s=target_s)
    rules, plan = read_rules(ruleset.version, as_json(ruleset.body))
    rows = tuple(Row(one.from_seconds, levels_of(asked(one.skills)), one.credit_seconds) for one in plan.rows)
    return Terms(levels_of(needs), rules, rows, plan.newest_first, target_s)


async def _desks(
    session: ReadSession, frame: Recording, items: Sequence[Item], pools: Sequence[int], start: datetime,
    until: datetime,
) -> list[Desk]:
    changed = await _changes(session, start)
    agents = await session.scalars(select(Agent).order_by(Agent.id))
    wished: dict[int, list[Wished]] = defaultdict(list)
    rows = await session.rows(_PRESENCE, {"wishes": _WISHES, "begins": start, "until": until})
    for at, agent, kind, reason, _ in rows:
        wished[agent].append(Wished(_seconds(at, start), agent, Wish(kind.partition(".")[2]), reason))
    silences = await _silences(session, agents, start, until)
    busy = defaultdict(list)
    for item in items:
        for agent, span in held_by(item):
            busy[agent].append(span)
    found = []
    for one in agents:
        first, later = abilities_of(changed[one.id], one.ability, frame.until)
        gone = [*silences[one.id], *elsewhere(first, later, pools, frame.until)]
        spans = presence_of(wished[one.id], busy[one.id], _until(one, frame.until, start), gone)
        if spans:
            rests = rests_of(wished[one.id], _until(one, frame.until, start))
            found.append(Desk(one.id, spans, one.login, first, later, rests))
    return found


async def _changes(session: ReadSession, start: datetime) -> Mapping[int, list[Changed]]:
    """What whose abilities were changed to since the stretch began, until today."""
    found: dict[int, list[Changed]] = defaultdict(list)
    for at, agent, before, after in await session.rows(_CHANGES, {"begins": start}):
        found[agent].append(Changed(_seconds(at, start), convert(before, Ability), convert(after, Ability)))
    return found


async def _silences(
    session: ReadSession, agents: Sequence[Agent], start: datetime, until: datetime
) -> Mapping[int, list[Span]]:
    """When whose browser did not answer, from the moment on at which its last answer ceased to count."""
    found: dict[int, list[Span]] = defaultdict(list)
    for agent, since, back in await session.rows(_SILENCES, {"begins": start, "latest": until + LONGEST_SILENCE}):
        found[agent].append(((since + HEARTBEAT_LEASE - start).total_seconds(), (back - start).total_seconds()))
    for one in agents:
        if one.heartbeat_at is not None and one.heartbeat_at + HEARTBEAT_LEASE < until:
            silent_since = one.heartbeat_at + HEARTBEAT_LEASE
            found[one.id].append(((silent_since - start).total_seconds(), (until - start).total_seconds()))
    return found


def _until(agent: Agent, until: float, start: datetime) -> float:
    """Whoever was barred was there until then at most."""
    return until if agent.disabled_at is None else min(until, (agent.disabled_at - start).total_seconds())
