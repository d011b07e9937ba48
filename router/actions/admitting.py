"""Admitting: what the public doors bring is weighed and taken in by one transaction, many requests at a time."""

from collections.abc import Sequence

from router.actions.intake import take_in
from router.actions.protecting import weigh
from router.book import Writing
from router.model.intake import Brought, Taken
from router.model.protection import Verdict


async def admit(w: Writing, brought: Sequence[Brought]) -> list[Taken | Verdict]:
    """For each request in order: its answer, or the verdict that refuses it. What is refused stores nothing, uses
    nothing up and leaves its neighbours alone. Raises what `take_in` raises; nothing is counted then either.
    """
    asked = {place: one.asked for place, one in enumerate(brought) if one.asked is not None}
    verdicts = await weigh(w, list(asked.values())) if asked else []
    refused = {place: verdict for place, verdict in zip(asked, verdicts, strict=True) if verdict.why is not None}
    taken = iter(await take_in(w, [one.wanted for place, one in enumerate(brought) if place not in refused]))
    return [refused[place] if place in refused else next(taken) for place in range(len(brought))]
