"""Budgets as queries."""

from collections.abc import Collection, Mapping
from datetime import date, datetime

from sqlalchemy import ARRAY, BigInteger, Text, bindparam, func, select, text

from router.model.budgets import SiteCaps, fits, scopes
from router.model.campaigns import Campaign, Site
from router.model.errors import NotAllowedNow
from router.model.leads import Lead
from router.store.db import ReadSession, WriteSession

_RESERVE = text(
    """
    insert into budgets as b (scope, day, used, cap) values (:scope, :day, :cents, :cap)
    on conflict (scope, day) do update set used = b.used + :cents, cap = :cap where b.used + :cents <= :cap
    returning used
    """
)
_RETURN = text("update budgets set used = greatest(used - :cents, 0) where scope = :scope and day = :day")
_USED = text("select scope, used from budgets where day = :day and scope = any(:scopes)").bindparams(
    bindparam("scopes", type_=ARRAY(Text))
)

_ORDER = ("number", "prefix", "site", "campaign", "all")


_SITE_OF = (
    select(Lead.id, Site.id, Site.daily_spend_cap, Site.hourly_spend_cap)
    .join(Lead, Lead.site_id == Site.id)
    .where(
        Lead.id == func.any(bindparam("leads", type_=ARRAY(BigInteger))),
        Site.daily_spend_cap + Site.hourly_spend_cap > 0,
    )
)
_USED_ON = text("select scope, used from budgets where day = :day and used > 0")


async def scopes_of(
    session: ReadSession, campaign: Campaign, phone: str, *, lead_id: int | None, at: datetime
) -> dict[str, int]:
    """The budgets a paid delivery at `at` (aware) about this request draws on (`router.model.budgets.scopes`)."""
    site = (await sites_of(session, [lead_id])).get(lead_id) if lead_id is not None else None
    return scopes(campaign.id, campaign.daily_spend_cap, phone, site, at)


async def sites_of(session: ReadSession, lead_ids: Collection[int]) -> Mapping[int, SiteCaps]:
    """The caps of the landing pages these requests came from, where they have any, by request."""
    rows = await session.rows(_SITE_OF, {"leads": list(lead_ids)})
    return {row[0]: SiteCaps(row[1], row[2], row[3]) for row in rows}


async def used_on(session: ReadSession, day: date) -> Mapping[str, int]:
    """What is reserved on this day (UTC), by scope."""
    return {row[0]: row[1] for row in await session.rows(_USED_ON, {"day": day})}


def _place(scope: str) -> tuple[int, str]:
    return _ORDER.index(scope.partition(":")[0]), scope


async def reserve(session: WriteSession, day: date, spending: Mapping[str, tuple[int, int]]) -> None:
    """Takes the hundredths from each scope, in the fixed order. Raises NotAllowedNow when one would pass its cap.

    Less than 0 is given back: what was reserved and not used.
    """
    for scope in sorted(spending, key=_place):
        cents, cap = spending[scope]
        if cents <= 0:
            await session.execute(_RETURN, {"scope": scope, "day": day, "cents": -cents})
        elif cents > cap or not await session.execute(
            _RESERVE, {"scope": scope, "day": day, "cents": cents, "cap": cap}
        ):
            if "@" in scope:
                raise NotAllowedNow("This hour's budget of the landing page is used up.")
            raise NotAllowedNow(
                "The day's budget (%(scope)s) is used up until midnight UTC.", scope=scope.partition(":")[0]
            )


async def room_for(session: ReadSession, day: date, cents: int, scopes: Mapping[str, int]) -> bool:
    """Whether so many hundredths could be reserved now; somebody else may still be sooner."""
    rows = await session.rows(_USED, {"scopes": list(scopes), "day": day})
    return fits(cents, scopes, {row[0]: row[1] for row in rows})
