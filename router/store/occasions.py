"""Why this call now: what the house knows of a call that nobody has asked for this minute, read in one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from router.model.announcements import Announced, fate_of
from router.model.deliveries import DeliveryState
from router.model.promises import PromiseMode
from router.model.tasks import TIER_LIST, TIER_PROMISE, Task, TaskKind
from router.store.db import ReadSession

MOST_OUTCOMES = 3
LONGEST_SAID = 280
"""Characters of the last words that are shown; the thread has them all."""

# What was written in a chat belongs to its own request: whoever typed the same number may be somebody else.
_OCCASION = text(
    """
    select e.reason, c.name, s.n, jsonb_array_length(v.body->'steps'),
      p.starts_at, p.zone, p.mode, said.words, said.at, said.channel, guard.kind, guard.at, guard.data,
      array(
        select jsonb_build_array(t.disposition, t.ended_at) from leads l join tasks t on t.lead_id = l.id
        where l.contact_id = :contact and t.id <> :task and t.state = 'closed' and t.disposition is not null
          and t.ended_at is not null
        order by t.ended_at desc, t.id desc limit :outcomes
      ),
      told.at, told.channel, d.state, d.progress, s.announced_for, s.first_announcement_id is not null
    from (select 1) one
    left join steps s on s.task_id = :task
    left join enrolments e on e.id = s.enrolment_id
    left join cadence_versions v on v.id = s.version_id
    left join cadences c on c.id = v.cadence_id
    left join promises p on p.task_id = :task and p.state in ('scheduled', 'offered', 'no_answer', 'missed_by_us')
    left join lateral (
      select left(m.text, :longest + 1) as words, m.at, k.channel
      from conversations k join messages m on m.conversation_id = k.id
      where k.contact_id = :contact and (k.channel <> 'web_chat' or k.lead_id = :lead)
        and m.direction = 'incoming' and m.text <> ''
      order by m.at desc, m.id desc limit 1
    ) said on true
    left join attempts told on told.id = s.announcement_id
    left join deliveries d on d.attempt_id = told.id
      and d.dedupe_key in ('announcement:' || s.id, 'announcement_moved:' || s.id)
    left join lateral (
      select f.kind, f.at, f.data from facts f
      where f.lead_id = :lead and f.kind in ('guard.allow', 'guard.defer', 'guard.deny')
      order by f.seq desc limit 1
    ) guard on true
    order by p.id desc nulls last limit 1
    """
)


@dataclass(frozen=True)
class Outcome:
    """How an earlier task of this person ended, by its code; `at` is aware."""

    disposition: str
    at: datetime


@dataclass(frozen=True)
class Said:
    """The last words the person wrote to us, shortened."""

    text: str
    at: datetime
    channel: str


@dataclass(frozen=True)
class Answer:
    """What the guard said last of this request: "allow", "defer" (until then, aware, if known) or "deny", by which
    rules."""

    word: str
    rules: Sequence[str]
    at: datetime
    until: datetime | None = None


@dataclass(frozen=True)
class Occasion:
    """`reason` is why the cadence `cadence` began (a `router.model.cadence_rules.Start`), and this its step `step` of
    `steps`; "" and 0 for a call that belongs to none. `promised_at` (aware) is the promised time, to be shown in
    `zone`, to be kept as `mode` says. `outcomes` are the latest first. `announced` is the text that told him of it."""

    reason: str = ""
    cadence: str = ""
    step: int = 0
    steps: int = 0
    promised_at: datetime | None = None
    zone: str = ""
    mode: PromiseMode | None = None
    outcomes: Sequence[Outcome] = ()
    said: Said | None = None
    answer: Answer | None = None
    announced: Announced | None = None


def has_occasion(task: Task) -> bool:
    """Whether the house began it, or promised it: whoever asks for a call this minute is the reason himself."""
    return task.kind is TaskKind.nurture or task.tier in (TIER_PROMISE, TIER_LIST)


async def occasion(session: ReadSession, task: Task) -> Occasion:
    """Why this task is to be done now."""
    rows = await session.rows(_OCCASION, {
        "task": task.id, "contact": task.contact_id, "lead": task.lead_id, "outcomes": MOST_OUTCOMES,
        "longest": LONGEST_SAID,
    })
    (reason, cadence, step, steps, starts_at, zone, mode, words, said_at, channel, kind, answered_at, data,
     outcomes, told_at, told_by, state, progress, told_for, again) = rows[0]
    until = (data or {}).get("until")
    return Occasion(
        reason or "", cadence or "", step or 0, steps or 0, starts_at, zone or "", PromiseMode(mode) if mode else None,
        [Outcome(one[0], datetime.fromisoformat(one[1])) for one in outcomes],
        Said(words if len(words) <= LONGEST_SAID else words[:LONGEST_SAID] + "…", said_at, channel) if words else None,
        Answer(kind.removeprefix("guard."), tuple(data.get("rules") or ()), answered_at,
               datetime.fromisoformat(until) if until else None) if kind else None,
        Announced(told_at, told_by, fate_of(DeliveryState(state), progress), told_for, again) if state else None,
    )
