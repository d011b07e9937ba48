"""Protection as queries: what sites have cost, which prefixes are silent, and the wallboard's part of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import BigInteger, DateTime, Float, Integer, bindparam, delete, select, text, update
from sqlalchemy.dialects.postgresql import insert

from router.model.budgets import Budget, hour_scope, site_scope
from router.model.campaigns import Campaign, Site
from router.model.protection import PREFIX_DIGITS, SEEN_FOR, SILENT_SHARE, SILENT_TRIES
from router.model.refusals import Silence
from router.store import refusals
from router.store.db import ReadSession, WriteSession

MOST_SITES = 40

_TRIED = text(
    """
    select left(address, -:digits) as prefix, count(*) as tried, count(joined_at) as answered
    from legs where role = 'customer' and created_at > :since and ended_at is not null
    group by 1 having count(*) >= :tries and count(joined_at) < :share * count(*)
    order by 2 desc, 1 limit 50
    """
).bindparams(
    bindparam("digits", type_=Integer), bindparam("tries", type_=BigInteger), bindparam("share", type_=Float),
    bindparam("since", type_=DateTime(timezone=True)),
)


class Tried(NamedTuple):
    """Legs to the numbers of a prefix in the last 24 hours, and how many were answered."""

    prefix: str
    tried: int
    answered: int


async def silent_prefixes(session: ReadSession, now: datetime) -> list[Tried]:
    """Where hardly anybody answers: the prefixes that are tried most come first."""
    rows = await session.rows(_TRIED, {
        "digits": PREFIX_DIGITS, "since": now - timedelta(days=1), "tries": SILENT_TRIES, "share": SILENT_SHARE,
    })
    return [Tried(*tuple(row)) for row in rows]


async def note_silence(session: WriteSession, tried: Tried, country: str, now: datetime) -> bool:
    """Notes it for this day; whether it is the first word of it."""
    values = {"tried": tried.tried, "answered": tried.answered, "seen_at": now}
    rows = await session.execute(
        insert(Silence).values(prefix=tried.prefix, day=now.date(), country=country, **values)
        .on_conflict_do_nothing().returning(Silence.prefix)
    )
    if not rows:
        await session.execute(
            update(Silence).where(Silence.prefix == tried.prefix, Silence.day == now.date()).values(**values)
        )
    return bool(rows)


async def silences(session: ReadSession, now: datetime) -> Sequence[Silence]:
    """The prefixes that are silent now, the most tried first."""
    rows = await session.scalars(select(Silence).where(Silence.seen_at > now - SEEN_FOR).order_by(Silence.day))
    latest = {row.prefix: row for row in rows}  # around midnight a prefix may stand there for both days
    return sorted(latest.values(), key=lambda row: (-row.tried, row.prefix))


async def set_closed(session: WriteSession, site_id: int, closed: bool) -> Site | None:
    """The site, if this changed it."""
    return await session.returning(
        update(Site).where(Site.id == site_id, Site.closed.is_(not closed)).values(closed=closed).returning(Site)
    )


async def sweep(session: WriteSession, now: datetime) -> None:
    await session.execute(delete(Silence).where(Silence.day < now.date() - timedelta(days=8)))


async def spent(session: ReadSession, site_ids: Iterable[int], now: datetime) -> dict[str, int]:
    """What is reserved for these sites today and in this hour, by scope, in hundredths."""
    scopes = [scope for site in set(site_ids) for scope in (site_scope(site), hour_scope(site, now))]
    if not scopes:
        return {}
    rows = await session.rows(
        select(Budget.scope, Budget.used).where(Budget.day == now.date(), Budget.scope.in_(scopes))
    )
    return {scope: used for scope, used in rows}


@dataclass(frozen=True)
class SiteLine:
    """One site on the wallboard. Money in hundredths; a cap of 0 is none. `refused` by code, most frequent first."""

    id: int
    name: str
    campaign: str
    currency: str
    closed: bool
    today: int
    daily_cap: int
    hour: int
    hourly_cap: int
    refused: Mapping[str, int]

    @property
    def refusals(self) -> int:
        return sum(self.refused.values())


@dataclass(frozen=True)
class Watch:
    """What the wallboard shows of the public doors. `more` sites are not shown."""

    sites: Sequence[SiteLine]
    more: int
    silences: Sequence[Silence]


async def watch(session: ReadSession, now: datetime) -> Watch:
    """At `now` (aware). Closed sites and those with refusals come first."""
    rows = await session.rows(
        select(Site, Campaign.name, Campaign.currency).join(Campaign, Campaign.id == Site.campaign_id)
    )
    seen = await refusals.last_day(session, now)
    used = await spent(session, [row[0].id for row in rows], now)
    lines = [
        SiteLine(
            site.id, site.name, campaign, currency, site.closed, used.get(site_scope(site.id), 0), site.daily_spend_cap,
            used.get(hour_scope(site.id, now), 0), site.hourly_spend_cap, seen.get(site.id, {}),
        )
        for site, campaign, currency in rows
    ]
    lines.sort(key=lambda line: (not line.closed, -line.refusals, line.name, line.id))
    return Watch(lines[:MOST_SITES], max(0, len(lines) - MOST_SITES), await silences(session, now))
