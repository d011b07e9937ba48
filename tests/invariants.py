"""What must hold after every step, asked of the database: each question names rows that break a rule."""

from datetime import datetime

from sqlalchemy import text

from router.store.db import ReadSession

RULES = {
    "a reserved task has one pending reservation, of its own agent": """
        select t.id from tasks t where (t.state = 'reserved') is distinct from exists (
          select from reservations r where r.task_id = t.id and r.state = 'pending' and r.agent_id = t.agent_id)""",
    "no task has two pending reservations": """
        select task_id from reservations where state = 'pending' group by task_id having count(*) > 1""",
    "an agent's load by channel is what he holds, within his capacity": """
        select a.id from agents a left join tasks t on t.agent_id = a.id
          and t.state in ('reserved', 'connecting', 'engaged', 'wrapping')
        group by a.id having count(t.id) filter (where t.kind in ('call', 'nurture')) <> a.call_load
          or count(t.id) filter (where t.kind = 'chat') <> a.chat_load
          or count(t.id) filter (where t.kind = 'video') <> a.video_load
          or a.call_load > a.call_capacity or a.chat_load > a.chat_capacity or a.video_load > a.video_capacity""",
    "whoever holds something is busy since then, and nobody else is": """
        select id from agents where (call_load + chat_load + video_load > 0) <> (busy_since is not null)""",
    "nobody has two live voice tasks": """
        select agent_id from tasks where kind <> 'chat' and state in ('connecting', 'engaged', 'wrapping')
        group by agent_id having count(*) > 1""",
    "who holds a task is named, and a waiting task is held by nobody": """
        select id from tasks where (state in ('reserved', 'connecting', 'engaged', 'wrapping')) and agent_id is null
          or state in ('queued', 'scheduled') and agent_id is not null""",
    "a pending reservation has an alarm": """
        select r.id from reservations r where r.state = 'pending' and not exists (select from alarms a
          where a.kind = 'reservation.expire' and a.subject_id = r.id and a.state = 'pending')""",
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
    "the last fact of a task, a call or a reservation is its state": """
        select f.id from (
          select distinct on (split_part(kind, '.', 1), subject_id) id, kind, subject_id from facts
          where kind ~ '^(task|call|reservation)\\.' and kind not in ('call.held', 'call.unheld')
          order by split_part(kind, '.', 1), subject_id, id desc) f
        left join tasks t on t.id = f.subject_id and f.kind = 'task.' || t.state
        left join calls c on c.id = f.subject_id and f.kind = 'call.' || c.state
        left join reservations r on r.id = f.subject_id and f.kind = 'reservation.' || r.state
        where coalesce(t.id, c.id, r.id) is null""",
    "every place in a slot that is held or booked is counted": """
        select p.id from promises p left join slot_loads l on l.queue_id = p.queue_id and l.starts_at = p.starts_at
        where p.state in ('held', 'scheduled', 'offered') and coalesce(l.taken, 0) < (
          select count(*) from promises o where o.queue_id = p.queue_id and o.starts_at = p.starts_at
            and o.state in ('held', 'scheduled', 'offered'))""",
    "a promise yet to come has a task with an alarm": """
        select p.id from promises p left join tasks t on t.id = p.task_id
        where p.state = 'scheduled' and (t.state is distinct from 'scheduled' or not exists (
          select from alarms a where a.kind = 'task.due' and a.subject_id = p.task_id and a.state = 'pending'))""",
    "a held slot is given back by an alarm": """
        select p.id from promises p where p.state = 'held' and not exists (select from alarms a
          where a.kind = 'promise.lapse' and a.subject_id = p.id and a.state = 'pending')""",
    "a budget is never passed": "select 1 from budgets where used > cap",
}

_IDLE = text(
    """
    select t.id, a.id from tasks t join agents a on a.pool = t.pool and a.skills @> t.skills
    where t.state = 'queued' and a.wish in ('ready', 'ready_once') and a.disabled_at is null
      and a.call_load + a.chat_load + a.video_load = 0 and (t.prefers is null or t.prefers_until <= :now)
      and a.heartbeat_at > cast(:now as timestamptz) - interval '15 seconds'
      and (a.back_off_until is null or a.back_off_until <= :now)
      and not exists (select from exclusions e where e.task_id = t.id and e.agent_id = a.id and e.until > :now)
      and not (t.kind = 'nurture' and exists (select from switches where name = 'nurture'))
      and not (t.kind in ('call', 'nurture') and t.tier > 0
        and exists (select from campaigns c where c.id = t.campaign_id and c.paused))
    """
)


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
