"""Targets as queries: how much of what he is to reach this week each agent has reached."""

from datetime import datetime

from sqlalchemy import ARRAY, DateTime, Text, bindparam, text

from router.model.tasks import TALKED
from router.store.db import ReadSession

# The journal has who closed what and when, and an index by that. A week begins on Monday, on the campaign's clock.
_REACHED = text(
    """
    select f.agent_id, count(*)
    from facts f join campaigns c on c.id = f.campaign_id
    where f.kind = 'task.closed' and f.at >= :now - interval '8 days' and f.agent_id is not null
      and f.at >= date_trunc('week', :now at time zone c.timezone) at time zone c.timezone
      and case c.target_counts when 'talks' then f.data->>'disposition' = any(:talks)
          else f.data->>'disposition' = 'sold' end
    group by f.agent_id
    """
).bindparams(bindparam("talks", type_=ARRAY(Text)), bindparam("now", type_=DateTime(timezone=True)))


async def reached(session: ReadSession, now: datetime) -> dict[int, int]:
    """By agent, what counts towards his target in the week of `now` (aware): what he sold, or, where the campaign
    counts so, the talks he had."""
    rows = await session.rows(_REACHED, {"now": now, "talks": [one.value for one in TALKED]})
    return {row[0]: row[1] for row in rows}
