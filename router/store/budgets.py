"""Budgets as queries."""

from collections.abc import Mapping
from datetime import date, datetime

from sqlalchemy import ARRAY, Text, bindparam, select, text

from router.model.budgets import DEPLOYMENT_CAP, NUMBER_CAP, hour_scope, site_scope
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
    select(Site.id, Site.daily_spend_cap, Site.hourly_spend_cap)
    .join(Lead, Lead.site_id == Site.id)
    .where(Lead.id == bindparam("lead"), Site.daily_spend_cap + Site.hourly_spend_cap > 0)
)


async def scopes_of(
    session: ReadSession, campaign: Campaign, phone: str, *, lead_id: int | None, at: datetime
) -> dict[str, int]:
    """The budgets a paid delivery at `at` (aware) draws on, with the most each may take: those of the number, of the
    landing page its lead came from when that has caps of its own, of the campaign and of the deployment."""
    scopes = {f"number:{phone}": NUMBER_CAP}
    if lead_id is not None:
        for site_id, daily, hourly in await session.rows(_SITE_OF, {"lead": lead_id}):
            caps = {site_scope(site_id): daily, hour_scope(site_id, at): hourly}
            scopes |= {scope: cap for scope, cap in caps.items() if cap}
    return scopes | {f"campaign:{campaign.id}": campaign.daily_spend_cap, "all": DEPLOYMENT_CAP}


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
    used = {row[0]: row[1] for row in rows}
    return all(used.get(scope, 0) + cents <= cap for scope, cap in scopes.items())
