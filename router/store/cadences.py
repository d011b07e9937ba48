"""Cadences, enrolments and steps as queries."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, BigInteger, bindparam, select, text
from sqlalchemy.dialects.postgresql import distinct_on, insert

from router.model.announcements import Announced, fate_of
from router.model.base import vouched
from router.model.best_time import Counted
from router.model.cadence_rules import CadencePlan, Start, as_body, preset, read_body
from router.model.cadences import (
    AnswerRate,
    Cadence,
    CadenceVersion,
    Enrolment,
    EnrolmentState,
    Step,
)
from router.model.contacts import Contact
from router.model.deliveries import DeliveryState
from router.model.tasks import Disposition, Task, TaskKind, TaskState
from router.store.db import ReadSession, WriteSession

TRIED_WITHIN = timedelta(days=30)
"""In which parts of the day somebody was called in vain is forgotten after so long."""


async def newest(session: ReadSession, campaign_id: int) -> Sequence[tuple[Cadence, CadenceVersion]]:
    """The campaign's cadences, each with its newest version; those of its file first."""
    rows = await session.rows(
        select(Cadence, CadenceVersion)
        .join(CadenceVersion, CadenceVersion.cadence_id == Cadence.id)
        .where(Cadence.campaign_id == campaign_id)
        .ext(distinct_on(Cadence.preset, Cadence.id))
        .order_by(Cadence.preset, Cadence.id, CadenceVersion.version.desc())
    )
    return [(row[0], row[1]) for row in rows]


async def publish(
    session: WriteSession, campaign_id: int, plan: CadencePlan, now: datetime, *, is_preset: bool
) -> tuple[CadenceVersion, int]:
    """The version that says what the plan says, made unless the newest one does; and the number of the one before it
    (0: none; its own when nothing changed). Two who publish at once wait for each other."""
    await session.lock_word(f"cadence:{campaign_id}:{plan.key}")
    cadence = await session.scalar(select(Cadence).where(Cadence.campaign_id == campaign_id, Cadence.key == plan.key))
    if cadence is None:
        cadence = Cadence(campaign_id=campaign_id, key=plan.key, name=plan.name, preset=is_preset)
        session.add(cadence)
    elif not is_preset:
        cadence.name, cadence.preset = plan.name, False
    await session.flush()
    before = await session.scalar(
        select(CadenceVersion).where(CadenceVersion.cadence_id == cadence.id)
        .order_by(CadenceVersion.version.desc()).limit(1)
    )
    body = as_body(plan)
    if before is not None and before.body == body:
        return before, before.version
    made = CadenceVersion(
        cadence_id=cadence.id, version=before.version + 1 if before else 1, body=body, published_at=now
    )
    session.add(made)
    await session.flush()
    return made, before.version if before else 0


async def version_for(session: WriteSession, campaign_id: int, start: Start, now: datetime) -> CadenceVersion:
    """What holds in this campaign for whoever begins like this: its file's cadence, else the house's own."""
    for cadence, version in await newest(session, campaign_id):
        if not cadence.preset and start in read_body(version.body).on:
            return version
    made, _ = await publish(session, campaign_id, preset(start), now, is_preset=True)
    return made


async def enrol(session: WriteSession, values: Mapping[str, Any]) -> Enrolment | None:
    """A new enrolment, locked; None when this quiet was enrolled in this cadence before, or the person is in one."""
    made = {
        "state": EnrolmentState.active, "calls": 0, "messages": 0, "outcomes": [], "other_band": False,
        "no_number": False, "paused_reason": "", "exit_reason": "", **values,
    }
    rows = await session.execute(insert(Enrolment).values(made).on_conflict_do_nothing().returning(Enrolment.id))
    return await session.locked(Enrolment, rows[0][0]) if rows else None


_LIVE = select(Enrolment).where(Enrolment.state != EnrolmentState.exited).with_for_update(key_share=True)


async def live_of_quote(session: WriteSession, quote_id: int) -> Enrolment | None:
    """The quote's enrolment that has not ended, locked."""
    return await _fresh(session, _LIVE.where(Enrolment.quote_id == quote_id))


async def live_of_contact(session: WriteSession, contact_id: int) -> Enrolment | None:
    """The person's enrolment that has not ended, locked."""
    return await _fresh(session, _LIVE.where(Enrolment.contact_id == contact_id))


async def live_of_lead(session: WriteSession, lead_id: int) -> Enrolment | None:
    """The lead's enrolment that is about no quote and has not ended, locked."""
    return await _fresh(session, _LIVE.where(Enrolment.lead_id == lead_id, Enrolment.quote_id.is_(None)))


async def _fresh(session: WriteSession, statement: Any) -> Enrolment | None:
    return await session.scalar(statement.execution_options(populate_existing=True))


async def live_of_number(session: ReadSession, phone: str) -> Sequence[int]:
    """The ids of the enrolments that have not ended of everybody with this number, rising."""
    return await session.scalars(
        select(Enrolment.id)
        .join(Contact, Contact.id == Enrolment.contact_id)
        .where(Contact.phone == phone, Enrolment.state != EnrolmentState.exited)
        .order_by(Enrolment.id)
    )


async def steps_of(session: ReadSession, enrolment_id: int) -> Sequence[Step]:
    """The enrolment's steps by their number."""
    return await session.scalars(
        select(Step).where(Step.enrolment_id == enrolment_id).order_by(Step.n)
        .execution_options(populate_existing=True)
    )


async def step_of_task(session: ReadSession, task_id: int) -> Step | None:
    """The step this call was made for."""
    return await session.scalar(select(Step).where(Step.task_id == task_id, text("task_id is not null")))


async def announcement_of(session: ReadSession, task: Task) -> int | None:
    """The attempt of the text that announced this call; of others than a cadence's nobody is asked."""
    if task.kind is not TaskKind.nurture:
        return None
    return await session.scalar(
        select(Step.announcement_id).where(Step.task_id == task.id, text("task_id is not null"))
    )


async def step_announced_by(session: ReadSession, attempt_id: int) -> int | None:
    """The step whose call this text announces."""
    return await session.scalar(
        select(Step.id).where(Step.announcement_id == attempt_id, text("announcement_id is not null"))
    )


_TOLD = text(
    """
    select a.id, a.at, a.channel, d.state, d.progress
    from (
      select id, announcement_id as attempt_id from steps where announcement_id = any(:attempts)
      union all select id, first_announcement_id from steps where first_announcement_id = any(:attempts)
    ) s
    join attempts a on a.id = s.attempt_id
    join deliveries d on d.attempt_id = a.id
      and d.dedupe_key in ('announcement:' || s.id, 'announcement_moved:' || s.id)
    """
).bindparams(bindparam("attempts", type_=ARRAY(BigInteger)))


async def announced_with(session: ReadSession, attempt_ids: Sequence[int]) -> dict[int, Announced]:
    """Those of these attempts that were texts which told of a call."""
    rows = await session.rows(_TOLD, {"attempts": list(attempt_ids)})
    return {row[0]: Announced(row[1], row[2], fate_of(DeliveryState(row[3]), row[4])) for row in rows}


async def reached(session: ReadSession, quote_id: int) -> int:
    """How often a cadence of this quote has ended in a talk that led nowhere."""
    rows = await session.rows(
        text("select count(*) from enrolments where quote_id = :quote_id and exit_reason = 'reached'"),
        {"quote_id": quote_id},
    )
    return int(rows[0][0])


async def has_last_word(session: ReadSession, quote_id: int, outcomes: Collection[Disposition]) -> bool:
    """Whether a call about this quote has ended in one of these."""
    found = await session.scalar(
        select(Step.id).join(Enrolment, Enrolment.id == Step.enrolment_id)
        .where(Enrolment.quote_id == quote_id, Step.outcome.in_([one.value for one in outcomes])).limit(1)
    )
    return found is not None


_RESTS = text(
    """
    select a.due_at from tasks t join alarms a on a.subject_id = t.id and a.kind = :kind and a.state = 'pending'
    where t.id = :task and t.state = 'scheduled'
    """
)


async def rests_until(session: ReadSession, task_id: int, kind: str) -> datetime | None:
    """Until when (aware) the call rests, by its alarm of this kind; None when it does not."""
    rows = await session.rows(_RESTS, {"task": task_id, "kind": kind})
    return rows[0][0] if rows else None


async def waiting_task(session: WriteSession, task_id: int) -> Task | None:
    """The call, if it still waits for an agent."""
    return await session.scalar(
        select(Task).where(
            Task.id == task_id, Task.kind == TaskKind.nurture, Task.state.in_((TaskState.queued, TaskState.scheduled))
        )
    )


_TRIED = text(
    """
    select s.band from steps s join enrolments e on e.id = s.enrolment_id
    where e.contact_id = :contact_id and s.way = 'call_task' and s.band <> '' and s.began_at > :since
      and s.outcome in ('no_answer', 'busy', 'voicemail', 'voicemail_left', 'hung_up')
    order by s.began_at
    """
)
_HIS_OWN = text(
    """
    select created_at from leads where contact_id = :contact_id
      and intent not in ('list', 'cart') and source->>'party' is distinct from 'agent'
    union all select last_open_at from quotes where contact_id = :contact_id and last_open_at is not null
    union all select open_before_at from quotes where contact_id = :contact_id and open_before_at is not null
    """
)


async def tried_bands(session: ReadSession, contact_id: int, now: datetime) -> tuple[str, ...]:
    """The parts of the day in which the person was called in vain lately, the last one last."""
    rows = await session.rows(_TRIED, {"contact_id": contact_id, "since": now - TRIED_WITHIN})
    return tuple(row[0] for row in rows)


async def own_moments(session: ReadSession, contact_id: int) -> list[datetime]:
    """When the person himself sent a form or opened a quote."""
    return [row[0] for row in await session.rows(_HIS_OWN, {"contact_id": contact_id})]


async def rates(session: ReadSession, country: str, line: str) -> dict[tuple[int, str], Counted]:
    """How often calls are answered in this country, on this kind of line."""
    found = await session.scalars(select(AnswerRate).where(AnswerRate.country == country, AnswerRate.line == line))
    return {(one.weekday, one.band): Counted(one.tries, one.answered, one.at) for one in found}


_COUNT = text(
    """
    insert into answer_rates as r (country, line, weekday, band, tries, answered, at)
    values (:country, :line, :weekday, :band, 1, :answered, :now)
    on conflict (country, line, weekday, band) do update set
      tries = r.tries * 0.5 ^ (greatest(0, extract(epoch from :now - r.at)) / :half_life) + 1,
      answered = r.answered * 0.5 ^ (greatest(0, extract(epoch from :now - r.at)) / :half_life) + :answered,
      at = greatest(r.at, :now)
    """
)


class Place(NamedTuple):
    """What a call is counted under."""

    country: str
    line: str
    weekday: int
    band: str


async def count_answer(session: WriteSession, place: Place, answered: bool, now: datetime, half_life_s: float) -> None:
    """One more call, answered or not."""
    await session.execute(_COUNT, {**place._asdict(), "answered": float(answered), "now": now,
                                   "half_life": half_life_s})


class Standing(NamedTuple):
    """A version with whoever is inside: how many by their next step (0: none planned), state and why they rest."""

    cadence: Cadence
    version: CadenceVersion
    inside: Sequence[tuple[int, str, str, int]]


_INSIDE = text(
    """
    select e.version_id, coalesce(min_n, 0), e.state, e.paused_reason, count(*)
    from enrolments e left join lateral (
      select min(s.n) as min_n from steps s
      where s.enrolment_id = e.id and s.state in ('planned', 'waiting', 'canceled')
    ) next on true
    where e.state <> 'exited' and e.version_id is not null
    group by 1, 2, 3, 4 order by 1, 2, 3, 4
    """
)


async def standings(session: ReadSession) -> Sequence[Standing]:
    """All versions that hold for whoever begins, and older ones with somebody inside."""
    inside: dict[int, list[tuple[int, str, str, int]]] = {}
    for row in await session.rows(_INSIDE):
        inside.setdefault(row[0], []).append((row[1], row[2], row[3], row[4]))
    rows = await session.rows(
        select(Cadence, CadenceVersion)
        .join(CadenceVersion, CadenceVersion.cadence_id == Cadence.id)
        .order_by(Cadence.campaign_id, Cadence.preset, Cadence.id, CadenceVersion.version.desc())
    )
    seen: set[int] = set()
    found = []
    for cadence, version in rows:
        if cadence.id not in seen or version.id in inside:
            found.append(Standing(cadence, version, inside.get(version.id, [])))
        seen.add(cadence.id)
    return found


async def inside_of(session: ReadSession, version_id: int) -> Sequence[int]:
    """The ids of whoever is inside this version, rising."""
    return await session.scalars(
        select(Enrolment.id).where(Enrolment.version_id == version_id, Enrolment.state != EnrolmentState.exited)
        .order_by(Enrolment.id)
    )


async def newest_version(session: ReadSession, cadence_id: int) -> CadenceVersion:
    """The version that holds for whoever begins."""
    found = await session.scalar(
        select(CadenceVersion).where(CadenceVersion.cadence_id == cadence_id)
        .order_by(CadenceVersion.version.desc()).limit(1)
    )
    return vouched(found)


async def undecided(session: ReadSession, limit: int) -> Sequence[tuple[Enrolment, Contact]]:
    """Whoever rests until a supervisor decides, the longest first."""
    rows = await session.rows(
        select(Enrolment, Contact)
        .join(Contact, Contact.id == Enrolment.contact_id)
        .where(Enrolment.state == EnrolmentState.paused, Enrolment.paused_reason.in_(("unclassified", "complaint")))
        .order_by(Enrolment.id).limit(limit)
    )
    return [(row[0], row[1]) for row in rows]

