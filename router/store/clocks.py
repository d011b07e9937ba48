"""A clock that was set back, as queries: whatever is dated later than now is dated back by as much."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import DateTime, Interval, bindparam, text

from router.store.db import ReadSession, WriteSession

RANKS_AT_ONCE = 2_000

# What was told since the clock was last set right. The newest facts are enough: each change has one.
_NEWEST = text(
    """
    select max(at) from (
      select at from facts where id >= coalesce((select max(id) from facts where kind = 'clock.set_back'), 0)
      order by id desc limit 200) told
    """
)

# Those who wait keep their order, and come before who comes from now on.
_RANKS = text(
    """
    update tasks set rank = rank - sign(rank)::bigint * :back_ms, enqueued_at = enqueued_at - :back
    where id in (select id from tasks where state = 'queued' and abs(rank) > :now_ms order by id limit :most)
    returning 1
    """
)

# A moment behind us moves when it is later than now, a due one when it was due after the newest thing that was told.
# A browser may have answered after that, which is not told. A rest that was over by the old clock must not begin anew:
# rests move whenever they are later than now, though one that has begun since the clock was set back is cut short.
_MOMENTS = (
    """
    update agents set
      heartbeat_at = case when heartbeat_at > :now then least(heartbeat_at - :back, :now) else heartbeat_at end,
      idle_since = case when idle_since > :now then least(idle_since - :back, :now) else idle_since end,
      busy_since = case when busy_since > :now then least(busy_since - :back, :now) else busy_since end,
      turn_kept_at = case when turn_kept_at > :now then least(turn_kept_at - :back, :now) else turn_kept_at end,
      back_off_until = case when back_off_until > :now then back_off_until - :back else back_off_until end
    where greatest(heartbeat_at, idle_since, busy_since, turn_kept_at, back_off_until) > :now
    """,
    """
    update tasks set
      held_until = case when held_until >= :newest then held_until - :back else held_until end,
      prefers_until = case when prefers_until > :now and prefers_until < '9999-01-01 00:00+00'
        then prefers_until - :back else prefers_until end,
      engaged_at = case when engaged_at > :now then engaged_at - :back else engaged_at end
    where state in ('queued', 'reserved', 'connecting', 'engaged', 'wrapping')
      and (held_until >= :newest or prefers_until > :now or engaged_at > :now)
    """,
    "update reservations set expires_at = expires_at - :back where state = 'pending' and expires_at >= :newest",
    "update exclusions set until = until - :back where until > :now",
    """
    update alarms set due_at = due_at - :back where state = 'pending' and due_at >= :newest
      and kind in ('reservation.expire', 'call.connect', 'consultation.answer',
        'consultation.asker_gone', 'task.wrap', 'task.wrap_overrun')
    """,
    """
    update deliveries set due_at = due_at - :back, lease_until = lease_until - :back
    where state in ('pending', 'claimed', 'started', 'unknown') and (created_at > :now or lease_until >= :newest)
    """,
)

_TYPES = (
    bindparam("now", type_=DateTime(timezone=True)), bindparam("newest", type_=DateTime(timezone=True)),
    bindparam("back", type_=Interval),
)


async def newest(session: ReadSession) -> datetime | None:
    """The latest moment of what was told last (aware)."""
    moment: datetime | None = (await session.rows(_NEWEST))[0][0]
    return moment


async def set_ranks_back(session: WriteSession, now: datetime, back: timedelta) -> int:
    """Dates back so many of those who wait; how many. Fewer than RANKS_AT_ONCE were the last."""
    values = {
        "now_ms": int(now.timestamp() * 1000), "back": back, "back_ms": int(back.total_seconds() * 1000),
        "most": RANKS_AT_ONCE,
    }
    return len(await session.execute(_RANKS.bindparams(bindparam("back", type_=Interval)), values))


async def set_moments_back(session: WriteSession, now: datetime, newest: datetime) -> None:
    """Dates back agents, what they hold, what rings, and the timers that count from a moment. What was promised by the
    wall's clock stays as it is."""
    values: Mapping[str, Any] = {"now": now, "newest": newest, "back": newest - now}
    for statement in _MOMENTS:
        used = [one for one in _TYPES if f":{one.key}" in statement]
        await session.execute(text(statement).bindparams(*used), {one.key: values[one.key] for one in used})
