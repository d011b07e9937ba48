"""What is ahead, as queries: quotes that are watched, whoever is inside a cadence, calls that stand, who works when."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, BigInteger, DateTime, Text, bindparam, or_, select, text

from router.model.agents import Agent, Role
from router.model.alarms import Alarm, AlarmState
from router.model.cadences import Attempt, Cadence, CadenceVersion, Enrolment, EnrolmentState, Step
from router.model.campaigns import Campaign, Queue, Switch
from router.model.contacts import Contact
from router.model.promises import OPEN as OPEN_PROMISE
from router.model.promises import Promise
from router.model.quotes import OPEN, Quote, QuoteState
from router.model.tasks import Disposition, Task, TaskKind, TaskState
from router.store.db import ReadSession

LATELY = timedelta(days=90)
"""How calls ended is counted over so long."""


async def campaigns(session: ReadSession) -> Sequence[Campaign]:
    """All of them, oldest first."""
    return await session.scalars(select(Campaign).order_by(Campaign.id))


async def queues(session: ReadSession, campaign_ids: Sequence[int]) -> Sequence[Queue]:
    """Theirs, oldest first."""
    return await session.scalars(select(Queue).where(Queue.campaign_id.in_(campaign_ids)).order_by(Queue.id))


async def alarms_of(session: ReadSession, kinds: Sequence[str]) -> Mapping[tuple[str, int], tuple[datetime, int]]:
    """When the pending ones of these kinds ring, by kind and subject, with their ids: they ring in this order."""
    rows = await session.scalars(
        select(Alarm).where(Alarm.state == AlarmState.pending, Alarm.kind.in_(kinds))
    )
    return {(one.kind, one.subject_id): (one.due_at, one.id) for one in rows}


async def watched(session: ReadSession, campaign_ids: Sequence[int], checked: Sequence[int]) -> Sequence[Quote]:
    """The open quotes, and the expired ones among those that are to be looked at."""
    return await session.scalars(
        select(Quote).where(
            Quote.campaign_id.in_(campaign_ids), Quote.idle_base.is_not(None),
            or_(Quote.state.in_(OPEN), (Quote.state == QuoteState.expired) & Quote.id.in_(checked)),
        ).order_by(Quote.id)
    )


class Inside(NamedTuple):
    """Somebody inside a cadence, with its key, his steps by their number, whether an agent is at his call, and when the
    texts left that announced calls, by step."""

    enrolment: Enrolment
    key: str
    version: CadenceVersion
    steps: Sequence[Step]
    held: bool
    announced: Mapping[int, datetime]


async def inside(session: ReadSession, campaign_ids: Sequence[int]) -> Sequence[Inside]:
    """Whoever is in a cadence, rests included."""
    rows = await session.rows(
        select(Enrolment, Cadence.key, CadenceVersion)
        .join(Cadence, Cadence.id == Enrolment.cadence_id)
        .join(CadenceVersion, CadenceVersion.id == Enrolment.version_id)
        .where(Enrolment.campaign_id.in_(campaign_ids), Enrolment.state != EnrolmentState.exited)
        .order_by(Enrolment.id)
    )
    ids = [row[0].id for row in rows]
    found: dict[int, list[Step]] = defaultdict(list)
    held: set[int] = set()
    announced: dict[int, dict[int, datetime]] = defaultdict(dict)
    for step, state, at in await session.rows(
        select(Step, Task.state, Attempt.at).outerjoin(Task, Task.id == Step.task_id)
        .outerjoin(Attempt, Attempt.id == Step.announcement_id)
        .where(Step.enrolment_id.in_(ids)).order_by(Step.n)
    ):
        found[step.enrolment_id].append(step)
        if at is not None:
            announced[step.enrolment_id][step.id] = at
        if state in (TaskState.connecting, TaskState.engaged, TaskState.wrapping):
            held.add(step.enrolment_id)
    return [Inside(row[0], row[1], row[2], found[row[0].id], row[0].id in held, announced[row[0].id]) for row in rows]


_BEGAN = text(
    """
    select e.quote_id, c.key, e.idle_base, e.exit_reason from enrolments e join cadences c on c.id = e.cadence_id
    where e.quote_id = any(:quotes)
    """
).bindparams(bindparam("quotes", type_=ARRAY(BigInteger)))

_LINES = text(
    """
    select distinct on (lead_id) lead_id, queue_id from tasks where lead_id = any(:leads) order by lead_id, id desc
    """
).bindparams(bindparam("leads", type_=ARRAY(BigInteger)))

_TRIED = text(
    """
    select e.contact_id, s.began_at, s.band from steps s join enrolments e on e.id = s.enrolment_id
    where e.contact_id = any(:contacts) and e.state = 'exited' and s.way = 'call_task' and s.band <> ''
      and s.began_at > :since and s.outcome in ('no_answer', 'busy', 'voicemail', 'voicemail_left', 'hung_up')
    """
).bindparams(bindparam("contacts", type_=ARRAY(BigInteger)), bindparam("since", type_=DateTime(timezone=True)))

_ENDED = text(
    """
    select disposition, count(*)::float8 from tasks
    where kind = 'nurture' and state = 'closed' and campaign_id = any(:campaigns) and ended_at > :since
      and disposition = any(:outcomes)
    group by 1
    """
).bindparams(
    bindparam("campaigns", type_=ARRAY(BigInteger)), bindparam("since", type_=DateTime(timezone=True)),
    bindparam("outcomes", type_=ARRAY(Text)),
)


async def began(session: ReadSession, quote_ids: Sequence[int]) -> Sequence[tuple[int, str, datetime, str]]:
    """Which cadences began for these quotes, in which quiet, and how they ended ("" for not yet)."""
    return [(row[0], row[1], row[2], row[3]) for row in await session.rows(_BEGAN, {"quotes": list(quote_ids)})]


async def lines_of(session: ReadSession, lead_ids: Sequence[int]) -> Mapping[int, int]:
    """The queue in which the latest task of each lead was."""
    return {row[0]: row[1] for row in await session.rows(_LINES, {"leads": list(lead_ids)})}


async def tried(session: ReadSession, contact_ids: Sequence[int], since: datetime) -> Mapping[int, list[Any]]:
    """When these persons were called in vain in cadences that have ended, and in which part of the day."""
    found: dict[int, list[Any]] = defaultdict(list)
    for contact_id, at, band in await session.rows(_TRIED, {"contacts": list(contact_ids), "since": since}):
        found[contact_id].append((at, band))
    return found


async def ended(
    session: ReadSession, campaign_ids: Sequence[int], outcomes: Sequence[Disposition], now: datetime
) -> Mapping[Disposition, float]:
    """How calls about quiet quotes ended lately."""
    rows = await session.rows(_ENDED, {
        "campaigns": list(campaign_ids), "since": now - LATELY, "outcomes": [one.value for one in outcomes],
    })
    return {Disposition(row[0]): row[1] for row in rows}


async def standing(session: ReadSession, campaign_ids: Sequence[int]) -> Sequence[tuple[Task, Promise | None]]:
    """Calls that wait, or rest until their hour, with the promise they keep; not those of cadences."""
    rows = await session.rows(
        select(Task, Promise)
        .outerjoin(Promise, (Promise.task_id == Task.id) & Promise.state.in_(OPEN_PROMISE))
        .where(
            Task.campaign_id.in_(campaign_ids), Task.kind == TaskKind.call,
            Task.state.in_((TaskState.queued, TaskState.scheduled)),
        ).order_by(Task.id)
    )
    return [(row[0], row[1]) for row in rows]


async def promised_at(session: ReadSession, contact_ids: Sequence[int]) -> Mapping[int, datetime]:
    """When these persons are promised a call."""
    rows = await session.rows(
        select(Promise.contact_id, Promise.starts_at)
        .where(Promise.contact_id.in_(contact_ids), Promise.state.in_(OPEN_PROMISE))
    )
    return {row[0]: row[1] for row in rows}


async def workers(session: ReadSession, pools: Sequence[int]) -> Sequence[Agent]:
    """Whoever works in these pools. Supervisors and administrators only in hours they gave."""
    return await session.scalars(
        select(Agent).where(
            Agent.pool.in_(pools), Agent.disabled_at.is_(None),
            or_(Agent.role == Role.agent, Agent.shifts != text("'{}'::jsonb")),
        ).order_by(Agent.id)
    )


async def names(session: ReadSession, contact_ids: Sequence[int]) -> Mapping[int, str]:
    """What these persons are called; "" for whom nobody has asked."""
    rows = await session.rows(select(Contact.id, Contact.name).where(Contact.id.in_(contact_ids)))
    return {row[0]: row[1] for row in rows}


async def numbers(session: ReadSession, quote_ids: Sequence[int]) -> Mapping[int, str]:
    """What stands on these quotes."""
    rows = await session.rows(select(Quote.id, Quote.number).where(Quote.id.in_(quote_ids)))
    return {row[0]: row[1] for row in rows}


async def is_off(session: ReadSession, name: str) -> bool:
    """Whether a supervisor has turned this off."""
    return await session.get(Switch, name) is not None
