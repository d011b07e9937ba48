"""Targets as queries: how much of what he is to reach this week each agent has reached."""

from datetime import datetime

from sqlalchemy import ARRAY, DateTime, Text, bindparam, text

from router.model.credits import AUTHOR, WHOLE
from router.model.tasks import TALKED
from router.store.db import ReadSession

# The journal has who closed what and when a sale was first credited, and an index by that. A week begins on Monday, on
# the campaign's clock. Where something was signed, its shares say whose sale it is, whatever was said after a talk.
_REACHED = text(
    """
    with week as (
      select f.kind, f.agent_id, f.lead_id, f.subject_id, f.data, c.target_counts as counts
      from facts f join campaigns c on c.id = f.campaign_id
      where f.kind in ('task.closed', 'sale.credited') and f.at >= :now - interval '8 days'
        and f.at >= date_trunc('week', :now at time zone c.timezone) at time zone c.timezone
    ), counted as (
      select agent_id, 100 as percent from week
      where kind = 'task.closed' and agent_id is not null and case counts
        when 'talks' then data->>'disposition' = any(:talks)
        else data->>'disposition' = 'sold' and not exists (
          select from quotes q where q.lead_id = week.lead_id and q.state in ('signed', 'completed', 'withdrawn')) end
      union all
      select c.agent_id, c.percent
      from week join quotes q on q.id = week.subject_id join credits c on c.quote_id = q.id
      where kind = 'sale.credited' and data->>'reason' = :first and counts <> 'talks'
        and q.state in ('signed', 'completed')
    )
    select agent_id, sum(percent) from counted group by agent_id
    """
).bindparams(
    bindparam("talks", type_=ARRAY(Text)), bindparam("first", type_=Text),
    bindparam("now", type_=DateTime(timezone=True)),
)


async def reached(session: ReadSession, now: datetime) -> dict[int, float]:
    """By agent, what counts towards his target in the week of `now` (aware): his shares of what was signed and not
    withdrawn from, with what he sold without a signature; or, where the campaign counts so, the talks he had."""
    values = {"now": now, "first": AUTHOR, "talks": [one.value for one in TALKED]}
    return {row[0]: row[1] / WHOLE for row in await session.rows(_REACHED, values)}
