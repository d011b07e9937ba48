"""Rates as queries: scopes are drawn on in one statement, whatever their number, and what was not used is given back.

Of two replicas the second waits for the first's commit at the first scope both draw on; scopes are taken in the order
of their names, so that they never wait in a circle.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, DateTime, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from router.model.rates import Standing
from router.store.db import WriteSession

_SCOPES = bindparam("scopes", type_=ARRAY(Text))
_TIMES = bindparam("times", type_=ARRAY(BigInteger))
_NOW = bindparam("now", type_=DateTime(timezone=True))

_DRAW = text(
    """
    insert into rates as r (scope, window_start, ends_at, used)
    select scope, :now, :now + make_interval(secs => seconds), times
    from unnest(:scopes, :times, :seconds) as drawn(scope, times, seconds)
    order by scope collate "C"
    on conflict (scope) do update set
      used = case when r.ends_at <= :now then excluded.used else r.used + excluded.used end,
      window_start = case when r.ends_at <= :now then excluded.window_start else r.window_start end,
      ends_at = case when r.ends_at <= :now then excluded.ends_at else r.ends_at end
    returning scope, used, ends_at
    """
).bindparams(_SCOPES, _TIMES, _NOW, bindparam("seconds", type_=ARRAY(BigInteger)))

_GIVE_BACK = text(
    """
    update rates set used = rates.used - given.times
    from unnest(:scopes, :times) as given(scope, times) where rates.scope = given.scope
    """
).bindparams(_SCOPES, _TIMES)

_SWEEP = text(
    """
    delete from rates where scope in (
      select scope from rates where ends_at <= :now order by ends_at limit 5000 for update skip locked)
    """
).bindparams(_NOW)


async def draw(session: WriteSession, drawn: Mapping[str, tuple[int, int]], now: datetime) -> dict[str, Standing]:
    """Draws on each scope so many times (the second figure is its window, in seconds): how each stood before.

    The rows are this transaction's until it ends, so who decides by the answer decides alone.
    """
    if not drawn:
        return {}
    rows = await session.execute(_DRAW, {
        "scopes": list(drawn), "times": [times for times, _ in drawn.values()],
        "seconds": [seconds for _, seconds in drawn.values()], "now": now,
    })
    return {scope: Standing(used - drawn[scope][0], ends_at) for scope, used, ends_at in rows}


async def give_back(session: WriteSession, times: Mapping[str, int]) -> None:
    """In the transaction that drew."""
    given = {scope: count for scope, count in times.items() if count}
    if given:
        await session.execute(_GIVE_BACK, {"scopes": list(given), "times": list(given.values())})


async def sweep(session: WriteSession, now: datetime) -> None:
    """Forgets windows that have ended, spent proofs and old keys among them; the rest at the next time."""
    await session.execute(_SWEEP, {"now": now - timedelta(minutes=1)})
