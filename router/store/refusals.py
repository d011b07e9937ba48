"""Refusals as queries: counted by the hour, told for a day, kept for a week."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, DateTime, Text, bindparam, delete, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from router.model.refusals import Refusal
from router.store.db import ReadSession, WriteSession

KEPT = timedelta(days=8)

_COUNT = text(
    """
    insert into refusals as r (site_id, code, hour, times)
    select site_id, code, :hour, times from unnest(:site_ids, :codes, :times) as seen(site_id, code, times)
    order by site_id, code collate "C"
    on conflict (site_id, code, hour) do update set times = r.times + excluded.times
    """
).bindparams(
    bindparam("site_ids", type_=ARRAY(BigInteger)), bindparam("codes", type_=ARRAY(Text)),
    bindparam("times", type_=ARRAY(BigInteger)), bindparam("hour", type_=DateTime(timezone=True)),
)


async def count(session: WriteSession, seen: Mapping[tuple[int, str], int], now: datetime) -> None:
    """Counts refusals by site and code, in the hour of `now`."""
    if seen:
        await session.execute(_COUNT, {
            "site_ids": [site for site, _ in seen], "codes": [code for _, code in seen], "times": list(seen.values()),
            "hour": now.replace(minute=0, second=0, microsecond=0),
        })


async def last_day(session: ReadSession, now: datetime) -> dict[int, dict[str, int]]:
    """By site, then by code, the most frequent first: refusals of the last 24 hours, in whole hours."""
    rows = await session.rows(
        select(Refusal.site_id, Refusal.code, func.sum(Refusal.times))
        .where(Refusal.hour > now - timedelta(days=1))
        .group_by(Refusal.site_id, Refusal.code)
        .order_by(func.sum(Refusal.times).desc(), Refusal.code)
    )
    found: dict[int, dict[str, int]] = {}
    for site_id, code, times in rows:
        found.setdefault(site_id, {})[code] = int(times)
    return found


async def sweep(session: WriteSession, now: datetime) -> None:
    await session.execute(delete(Refusal).where(Refusal.hour <= now - KEPT))
