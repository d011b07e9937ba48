"""Rates as queries: scopes are drawn on in one statement, whatever their number, and what was not used is given back.

Of two replicas the second waits for the first's commit at the first scope both draw on; scopes are taken in the order
of their names, so that they never wait in a circle.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, DateTime, Text, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from router.model.protection import SEEN_FOR
from router.model.rates import Drawn, Rate, Standing
from router.store.db import ReadSession, Short, WriteSession, as_json

_SCOPES = bindparam("scopes", type_=ARRAY(Text))
_TIMES = bindparam("times", type_=ARRAY(BigInteger))
_NOW = bindparam("now", type_=DateTime(timezone=True))

# Which prefixes are silent is asked along the way: a round trip costs more than what it carries. What begins
# now, as most does, is not told.
_DRAW = Short(
    """
    with given as materialized (
      select * from json_to_recordset(cast(:drawn as json)) as given(scope text, times bigint, seconds bigint)
    ), drawn as (
      insert into rates as r (scope, window_start, ends_at, used)
      select scope, :now, :now + make_interval(secs => seconds), times
      from given
      order by scope collate "C"
      on conflict (scope) do update set
        used = case when r.ends_at <= :now then excluded.used else r.used + excluded.used end,
        window_start = case when r.ends_at <= :now then excluded.window_start else r.window_start end,
        ends_at = case when r.ends_at <= :now then excluded.ends_at else r.ends_at end
      returning scope, used, ends_at
    )
    select drawn.scope, drawn.used - given.times, drawn.ends_at
    from drawn join given on given.scope = drawn.scope
    where drawn.used > given.times or drawn.ends_at <> :now + make_interval(secs => given.seconds)
    union all
    select distinct prefix, cast(null as bigint), cast(null as timestamptz) from silences
    where prefix in (select json_array_elements_text(cast(:prefixes as json))) and seen_at > :since
    """,
    now="timestamptz", drawn="text", prefixes="text", since="timestamptz",
)

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


async def draw(
    session: WriteSession, drawn: Mapping[str, Drawn], now: datetime, prefixes: Iterable[str] = ()
) -> tuple[dict[str, Standing], frozenset[str]]:
    """Draws on each scope: how each stood before, and which of the prefixes are silent.

    The rows are this transaction's until it ends, so who decides by the answer decides alone.
    """
    if not drawn:
        return {}, frozenset()
    rows = await session.execute(_DRAW, {
        "drawn": as_json([
            {"scope": scope, "times": times, "seconds": limit.seconds} for scope, (times, limit) in drawn.items()
        ]),
        "prefixes": as_json(list(prefixes)), "now": now, "since": now - SEEN_FOR,
    })
    lives = {limit.seconds for _, limit in drawn.values()}
    begun = {life: Standing(0, now + timedelta(seconds=life)) for life in lives}
    standing = {scope: begun[limit.seconds] for scope, (_, limit) in drawn.items()}
    silent = []
    for scope, used, ends_at in rows:
        if ends_at is None:
            silent.append(scope)
        else:
            standing[scope] = Standing(used, ends_at)
    return standing, frozenset(silent)


async def used(session: ReadSession, scope: str, now: datetime) -> int:
    """How often this scope was used in its window; nothing is drawn."""
    found = await session.scalar(select(Rate.used).where(Rate.scope == scope, Rate.ends_at > now))
    return found or 0


async def give_back(session: WriteSession, times: Mapping[str, int]) -> None:
    """In the transaction that drew."""
    if times:
        await session.execute(_GIVE_BACK, {"scopes": list(times), "times": list(times.values())})


async def sweep(session: WriteSession, now: datetime) -> None:
    """Forgets windows that have ended, spent proofs and old keys among them; the rest at the next time."""
    await session.execute(_SWEEP, {"now": now - timedelta(minutes=1)})
