"""Admitting: what the public doors bring is taken in and counted by one transaction, many requests at a time.

It hopes: nearly all requests may come in, so they are stored first and counted last, and the rows all of them are
counted in are locked for a commit's time and no longer. Hope is dropped with everything stored when one is refused.
What was taken in before under its key counts no more.
"""

from collections.abc import Sequence

from router.actions.intake import take_in
from router.actions.protecting import weigh
from router.book import Writing
from router.model.intake import Brought, Taken


class Refusing(Exception):
    """One of these requests may not come in, and nothing may be stored. Taken in one by one, its neighbours may; it is
    to be weighed by itself, which says why."""


async def admit(w: Writing, brought: Sequence[Brought]) -> list[Taken]:
    """The answers in order. Raises Refusing, and what `take_in` raises; nothing is counted then either."""
    taken = await take_in(w, [one.wanted for one in brought])
    asked = [
        one.asked for one, its in zip(brought, taken, strict=True)
        if one.asked is not None and (its.mismatch or not its.replayed)
    ]
    if asked and any(verdict.why for verdict in await weigh(w, asked, keyed=False)):
        raise Refusing
    return taken
