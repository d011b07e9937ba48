"""Budgets as queries."""

from collections.abc import Mapping
from datetime import date

from sqlalchemy import ARRAY, Text, bindparam, text

from router.model.errors import NotAllowedNow
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
            raise NotAllowedNow(
                "The day's budget (%(scope)s) is used up until midnight UTC.", scope=scope.partition(":")[0]
            )


async def room_for(session: ReadSession, day: date, cents: int, scopes: Mapping[str, int]) -> bool:
    """Whether so many hundredths could be reserved now; somebody else may still be sooner."""
    rows = await session.rows(_USED, {"scopes": list(scopes), "day": day})
    used = {row[0]: row[1] for row in rows}
    return all(used.get(scope, 0) + cents <= cap for scope, cap in scopes.items())
