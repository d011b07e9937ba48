"""Contacts that are planned, as queries: quiet quotes, promised callbacks, calls that rest until their hour."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import DateTime, bindparam, text

from router.store.db import ReadSession


class Planned(NamedTuple):
    """A contact to come at `at` (aware). `what` is "quote", "promise" or "task", `subject_id` its number."""

    what: str
    subject_id: int
    at: datetime
    campaign_id: int
    contact_id: int
    lead_id: int


_PLANNED = text(
    """
    select * from (
      select 'quote', q.id, a.due_at as at, q.campaign_id, q.contact_id, q.lead_id
      from alarms a join quotes q on q.id = a.subject_id where a.kind = 'quote.check' and a.state = 'pending'
      union all
      select 'promise', p.id, p.starts_at, p.campaign_id, p.contact_id, p.lead_id
      from promises p where p.state in ('scheduled', 'offered') and p.contact_id is not null and p.lead_id is not null
      union all
      select 'task', t.id, a.due_at, t.campaign_id, t.contact_id, t.lead_id
      from alarms a join tasks t on t.id = a.subject_id
      where a.kind = 'task.due' and a.state = 'pending' and t.state = 'scheduled'
        and not exists (select from promises p where p.task_id = t.id)
    ) planned where at >= :now order by at, 1, 2 limit :most
    """
).bindparams(bindparam("now", type_=DateTime(timezone=True)))


async def contacts(session: ReadSession, now: datetime, most: int) -> list[Planned]:
    """The next ones, soonest first."""
    return [Planned(*tuple(row)) for row in await session.rows(_PLANNED, {"now": now, "most": most})]
