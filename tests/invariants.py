"""What must hold after every step, asked of the database: each question names rows that break a rule."""

from datetime import datetime

from sqlalchemy import text

from router.model.base import State
from router.model.calls import CallState
from router.model.consultations import ConsultationState
from router.model.stations import StationState
from router.model.tasks import ReservationState, TaskState
from router.store.db import ReadSession


def _moves(noun: str, states: type[State]) -> str:
    """Which state may follow which, as rows of SQL."""
    return ",".join(f"('{noun}','{one}','{to}')" for one in states for to in states if one.may_become(to))


_STATES = {
    "task": TaskState, "call": CallState, "reservation": ReservationState, "consultation": ConsultationState,
    "station": StationState,
}
_LEGAL = ",".join(_moves(noun, states) for noun, states in _STATES.items())

RULES = {
    "a reserved task has one pending reservation, of its own agent": """
        select t.id from tasks t where (t.state = 'reserved') is distinct from exists (
          select from reservations r where r.task_id = t.id and r.state = 'pending' and r.agent_id = t.agent_id)""",
    "no task has two pending reservations": """
        select task_id from reservations where state = 'pending' group by task_id having count(*) > 1""",
    "an agent's load by channel is what he holds and what he is asked about, within his capacity": """
        select a.id from agents a left join tasks t on t.agent_id = a.id
          and t.state in ('reserved', 'connecting', 'engaged', 'wrapping')
        group by a.id having count(t.id) filter (where t.kind in ('call', 'nurture')) + (
            select count(*) from consultations c where c.agent_id = a.id and c.state in ('ringing', 'joined')
          ) <> a.call_load
          or count(t.id) filter (where t.kind = 'chat') <> a.chat_load
          or count(t.id) filter (where t.kind = 'video') <> a.video_load
          or a.call_load > a.call_capacity or a.chat_load > a.chat_capacity or a.video_load > a.video_capacity""",
    "whoever holds something is busy since then, and nobody else is": """
        select id from agents where (call_load + chat_load + video_load > 0) <> (busy_since is not null)""",
    "nobody has two live voice tasks, or is asked about one beside his own": """
        select agent_id from (
          select agent_id from tasks where kind <> 'chat' and state in ('connecting', 'engaged', 'wrapping')
          union all select agent_id from consultations where state in ('ringing', 'joined')) voice
        group by agent_id having count(*) > 1""",
    "a colleague is asked about a call in which two talk, by the one who has it": """
        select n.id from consultations n left join calls c on c.id = n.call_id and c.agent_id = n.asked_by
          and c.task_id = n.task_id and c.state = 'talking'
        where n.state in ('ringing', 'joined') and c.id is null""",
    "while a colleague's telephone rings the customer is on hold, and an alarm ends it": """
        select n.id from consultations n join calls c on c.id = n.call_id
        where n.state = 'ringing' and (not c.on_hold or not exists (select from alarms a
          where a.kind = 'consultation.answer' and a.subject_id = n.id and a.state = 'pending'))""",
    "who has hung up while he asked a colleague is replaced by an alarm": """
        select c.id from calls c join consultations n on n.call_id = c.id and n.state in ('ringing', 'joined')
        where not exists (select from legs l where l.call_id = c.id and l.role = 'agent' and l.ended_at is null)
        and not exists (select from stations s where s.id = c.station_id and s.ended_at is null)
        and not exists (select from alarms a
          where a.kind = 'consultation.asker_gone' and a.subject_id = c.id and a.state = 'pending')""",
    "a colleague's telephone is in the call as long as he is asked": """
        select l.id from legs l where l.role = 'colleague' and (l.ended_at is null) <> exists (
          select from consultations n where n.leg_id = l.id and n.state in ('ringing', 'joined'))""",
    "what is wanted of the hold is what was ordered last": """
        select c.id from calls c cross join lateral (
          select (d."order"->>'on')::boolean as wanted from deliveries d where d.call_id = c.id and d.kind = 'hold'
          order by d.id desc limit 1) last
        where c.state = 'talking' and last.wanted <> c.on_hold""",
    "who holds a task is named, and a waiting task is held by nobody": """
        select id from tasks where (state in ('reserved', 'connecting', 'engaged', 'wrapping')) and agent_id is null
          or state in ('queued', 'scheduled') and agent_id is not null""",
    "a pending reservation has an alarm": """
        select r.id from reservations r where r.state = 'pending' and not exists (select from alarms a
          where a.kind = 'reservation.expire' and a.subject_id = r.id and a.state = 'pending')""",
    "nobody is rung for two tasks at once": """
        select agent_id from reservations where state = 'pending' group by agent_id having count(*) > 1""",
    "what is put off comes back by an alarm": """
        select t.id from tasks t where t.state = 'scheduled' and not exists (select from alarms a
          where a.kind in ('task.due', 'task.rested') and a.subject_id = t.id and a.state = 'pending')""",
    "a task that is connecting or engaged has one live call": """
        select t.id from tasks t where t.state in ('connecting', 'engaged') and
          case when t.kind in ('chat', 'video') then 0 else 1 end <> (
            select count(*) from calls c where c.task_id = t.id and c.ended_at is null)""",
    "a thread's unread messages are those that came in after the last one read": """
        select c.id from conversations c where c.state = 'open' and c.unread <> (select count(*) from messages m
          where m.conversation_id = c.id and m.direction = 'incoming' and m.id > c.read_to)""",
    "who waits for an answer in an open thread has a task, or an agent with him": """
        select c.id from conversations c where c.state = 'open' and not c.answered and not exists (
          select from tasks t where (t.contact_id = c.contact_id or t.lead_id = c.lead_id)
          and t.state in ('queued', 'reserved', 'connecting', 'engaged'))""",
    "a live call belongs to a task that is connecting or engaged": """
        select c.id from calls c join tasks t on t.id = c.task_id
        where c.ended_at is null and t.state not in ('connecting', 'engaged')""",
    "a call that has not come about has an alarm": """
        select c.id from calls c where c.state in ('agent_leg', 'customer_leg') and not exists (select from alarms a
          where a.kind = 'call.connect' and a.subject_id = c.id and a.state = 'pending')""",
    "a wrap-up has an alarm": """
        select t.id from tasks t where t.state = 'wrapping' and not exists (select from alarms a
          where a.kind in ('task.wrap', 'task.wrap_overrun') and a.subject_id = t.id and a.state = 'pending')""",
    "a number that is looked for has an alarm": """
        select n.id from number_searches n where n.state = 'open' and not exists (select from alarms a
          where a.kind = 'numbersearch.look' and a.subject_id = n.id and a.state = 'pending')""",
    "an ended call leaves no leg to be placed": """
        select d.id from deliveries d join calls c on c.id = d.call_id
        where d.kind = 'leg' and d.state in ('pending', 'claimed') and c.ended_at is not null""",
    "nothing leaves for a customer without the guard's yes": """
        select d.id from deliveries d left join attempts a on a.id = d.attempt_id
        where d.to_customer and (a.id is null or a.verdict <> 'allow' or a.rules = '{}')""",
    "the facts of a lead are numbered without holes": """
        select l.id from leads l left join facts f on f.lead_id = l.id
        group by l.id having count(f.id) <> l.seq or coalesce(max(f.seq), 0) <> l.seq
          or count(distinct f.seq) <> count(f.id)""",
    "the last fact of a task, a call, a reservation, a consultation or a station is its state": """
        select f.id from (
          select distinct on (split_part(kind, '.', 1), subject_id) id, kind, subject_id from facts
          where kind ~ '^(task|call|reservation|consultation|station)\\.' and kind not in ('call.held', 'call.unheld')
          order by split_part(kind, '.', 1), subject_id, id desc) f
        left join tasks t on t.id = f.subject_id and f.kind = 'task.' || t.state
        left join calls c on c.id = f.subject_id and f.kind = 'call.' || c.state
        left join reservations r on r.id = f.subject_id and f.kind = 'reservation.' || r.state
        left join consultations n on n.id = f.subject_id and f.kind = 'consultation.' || n.state
        left join stations s on s.id = f.subject_id and f.kind = 'station.' || s.state
        where coalesce(t.id, c.id, r.id, n.id, s.id) is null""",
    "each move has one fact: they follow each other as states may": f"""
        select id from (
          select id, noun, state, lag(state) over (partition by noun, subject_id order by id) as before from (
            select id, subject_id, split_part(kind, '.', 1) as noun, split_part(kind, '.', 2) as state from facts
            where kind ~ '^(task|call|reservation|consultation|station)\\.' and kind not in ('call.held', 'call.unheld')
          ) told) move
        where before is not null and (noun, before, state) not in ({_LEGAL})""",  # noqa: S608  constants
    "every place in a slot that is held or booked is counted": """
        select p.id from promises p left join slot_loads l on l.queue_id = p.queue_id and l.starts_at = p.slot_at
        where p.state in ('held', 'scheduled', 'offered', 'no_answer') and coalesce(l.taken, 0) < (
          select count(*) from promises o where o.queue_id = p.queue_id and o.slot_at = p.slot_at
            and o.state in ('held', 'scheduled', 'offered', 'no_answer'))""",
    "a promise yet to come has a task with an alarm": """
        select p.id from promises p left join tasks t on t.id = p.task_id
        where p.state in ('scheduled', 'no_answer') and (t.state is distinct from 'scheduled' or not exists (
          select from alarms a where a.kind = 'task.due' and a.subject_id = p.task_id and a.state = 'pending'))""",
    "a held slot is given back by an alarm": """
        select p.id from promises p where p.state = 'held' and not exists (select from alarms a
          where a.kind = 'promise.lapse' and a.subject_id = p.id and a.state = 'pending')""",
    "a personal promise has an owner who works here, and a team's has none": """
        select p.id from promises p left join agents a on a.id = p.agent_id
        where p.state in ('scheduled', 'offered', 'no_answer')
          and (p.mode = 'team') <> (a.id is null or a.disabled_at is not null)""",
    "what only its owner may call waits for him alone": """
        select t.id from promises p join tasks t on t.id = p.task_id
        where p.state = 'offered' and p.mode = 'personal_strict' and t.state = 'queued'
          and (t.prefers is distinct from p.agent_id or t.prefers_until < '9000-01-01')""",
    "an agent's telephone that rings for his station has an alarm, and so has the station's end": """
        select s.id from stations s where s.ended_at is null and not (
          exists (select from alarms a where a.kind = 'station.ends' and a.subject_id = s.id and a.state = 'pending')
          and (s.state <> 'opening' or exists (select from alarms a
            where a.kind = 'station.answer' and a.subject_id = s.id and a.state = 'pending')))""",
    "a station is over when it has ended": """
        select id from stations where (state = 'ended') <> (ended_at is not null)
          or state = 'standing' and standing_at is null""",
    "a call in a live station is its agent's, in its room, and has no leg of his": """
        select c.id from calls c join stations s on s.id = c.station_id
        where c.ended_at is null and s.ended_at is null and (c.agent_id <> s.agent_id or c.room_ref <> s.room_ref
          or exists (select from legs l where l.call_id = c.id and l.role = 'agent'))""",
    "nobody is called into a station where somebody of an earlier call may be": """
        select l.id from legs l join calls c on c.id = l.call_id join stations s on s.id = c.station_id
        join calls e on e.station_id = c.station_id and e.id < c.id join legs o on o.call_id = e.id
        where s.ended_at is null and c.ended_at is null and l.role = 'customer' and o.ended_at is null
          and o.carrier_id <> '' and not exists (
            select from deliveries d where d.dedupe_key = 'end_leg:' || o.id and d.state = 'done')""",
    "a call that waits for its agent's station has an alarm": """
        select c.id from calls c where c.state = 'agent_leg' and c.station_id is not null and not exists (
          select from alarms a where a.kind = 'station.dial' and a.subject_id = c.id and a.state = 'pending')""",
    "a budget is never passed": "select 1 from budgets where used > cap",
}

# Who is free is spelled out here once more, not asked of routing: the judge must not make its mistakes.
_IDLE = text(
    """
    with there as (
      select * from agents where wish in ('ready', 'ready_once') and disabled_at is null
        and heartbeat_at > cast(:now as timestamptz) - interval '15 seconds'
    ), free as (
      select *, call_load + chat_load + video_load as load from there
      where idle_since is not null and (back_off_until is null or back_off_until <= :now)
        and (most_a_day = 0 or day_ends is null or day_ends <= :now or taken < most_a_day)
        and not exists (select from reservations r where r.agent_id = there.id and r.state = 'pending')
    ), waiting as (
      select *, case kind when 'nurture' then 'call' else kind end as channel,
        prefers_until > '9000-01-01' or prefers_until > :now and exists (
        select from there o where o.id = t.prefers and o.pool = t.pool and o.skills @> t.skills
          and case t.kind when 'chat' then o.chat_capacity when 'video' then o.video_capacity
            else o.call_capacity end > 0
          and (o.most_a_day = 0 or o.day_ends is null or o.day_ends <= :now or o.taken < o.most_a_day) and not exists (
          select from exclusions e where e.task_id = t.id and e.agent_id = o.id and e.until > :now)) as kept
      from tasks t where state = 'queued'
    )
    select t.id, a.id from waiting t join free a on a.pool = t.pool and a.skills @> t.skills
    where not exists (select from exclusions e where e.task_id = t.id and e.agent_id = a.id and e.until > :now)
      and not (t.kind = 'nurture' and exists (select from switches where name = 'nurture'))
      and not (t.kind in ('call', 'nurture') and t.tier > 0
        and exists (select from campaigns c where c.id = t.campaign_id and c.paused))
      and (t.prefers = a.id or not coalesce(t.kept, false))
      and case t.channel
        when 'call' then a.call_load < a.call_capacity and a.video_load = 0
        when 'chat' then a.chat_load < a.chat_capacity and a.call_load + a.video_load = 0
        when 'video' then a.video_load < a.video_capacity and a.load = 0 end
      and (t.kind = 'chat' or not exists (select from promises p join queues q on q.id = t.queue_id
        where p.agent_id = a.id and p.state in ('scheduled', 'offered') and p.mode <> 'team' and p.at_risk = ''
          and p.task_id <> t.id and p.starts_at > :now and p.starts_at <= :now + interval '10 minutes'
          and p.starts_at < :now + make_interval(secs => q.handle_seconds)))
      and (a.load = 0 or not exists (select from waiting o where o.channel = 'video' and t.channel <> 'video'
        and o.pool = a.pool and a.skills @> o.skills))
    """
)
"""Who has promised a call is given nothing that would keep him beyond its time, but what a call may come in beside.
A chat or a call beside a chat is not given while a video talk waits that needs its agent whole: he makes room."""


_ALL = text(
    " union all ".join(
        f"select {number} as rule, cast(broken.id as text) from ({rule}) broken(id)"  # noqa: S608
        for number, rule in enumerate(RULES.values())
    )
)


async def check(session: ReadSession) -> None:
    """Fails with the rules' sentences and the rows that break them. For any committed moment."""
    sentences = list(RULES)
    broken = [f"{sentences[row[0]]}: {row[1]}" for row in await session.rows(_ALL)]
    assert not broken, broken


async def check_quiet(session: ReadSession, now: datetime) -> None:
    """Nobody who is free could take what waits. For moments when dispatch has had its say."""
    rows = await session.rows(_IDLE, {"now": now})
    assert not rows, f"free agents while tasks wait (task, agent): {[tuple(row) for row in rows]}"
