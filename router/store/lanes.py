"""Lanes as queries: all in which something waits, found by jumping along their index; the backlog is never scanned."""

EVERY_LANE = """
    recursive lanes as (
      (select pool, lane, queue_id, rules_id, row, tier, kind from tasks where state = 'queued'
       order by pool, lane limit 1)
      union all
      select next.* from lanes cross join lateral (
        select t.pool, t.lane, t.queue_id, t.rules_id, t.row, t.tier, t.kind from tasks t
        where t.state = 'queued' and (t.pool, t.lane) > (lanes.pool, lanes.lane)
        order by t.pool, t.lane limit 1) next
    )
"""
"""What stands after "with": `lanes`, each with what is the same for all its tasks."""
