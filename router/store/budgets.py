"""Budgets as queries."""

from collections.abc import Mapping
from datetime import date

from sqlalchemy import text

from router.model.errors import NotAllowedNow
from router.store.db import WriteSession

_RESERVE = text(
    """
    insert into budgets as b (scope, day, used, cap) values (:scope, :day, :cents, :cap)
    on conflict (scope, day) do update set used = b.used + :cents, cap = :cap where b.used + :cents <= :cap
    returning used
    """
)
_RETURN = text("update budgets set used = greatest(used - :cents, 0) where scope = :scope and day = :day")

_ORDER = ("number", "prefix", "site", "campaign", "all")


def _place(scope: str) -> tuple[int, str]:
    return _ORDER.index(scope.partition(":")[0]), scope


async def reserve(session: WriteSession, day: date, spending: Mapping[str, tuple[int, int]]) -> None:
    """Takes the hundredths from each scope, in the fixed order. Raises NotAllowedNow when one would pass its cap."""
    for scope in sorted(spending, key=_place):
        cents, cap = spending[scope]
        if cents > cap or not await session.execute(
            _RESERVE, {"scope": scope, "day": day, "cents": cents, "cap": cap}
        ):
            raise NotAllowedNow(f"The day's budget ({scope.partition(':')[0]}) is used up until midnight UTC.")


async def give_back(session: WriteSession, day: date, cents: int, scopes: Mapping[str, int]) -> None:
    """Returns what was reserved and not used."""
    for scope in sorted(scopes, key=_place):
        await session.execute(_RETURN, {"scope": scope, "day": day, "cents": cents})
