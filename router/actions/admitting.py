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
    weighed = [one.asked for one in brought if one.asked is not None]
    verdicts = iter(await weigh(w, weighed) if weighed else ())
    answers: list[Verdict | None] = []
    for one in brought:
        verdict = next(verdicts) if one.asked is not None else None
        answers.append(verdict if verdict is not None and verdict.why is not None else None)
    let_in = [one.wanted for one, refused in zip(brought, answers, strict=True) if refused is None]
    taken = iter(await take_in(w, let_in))
    return [next(taken) if refused is None else refused for refused in answers]
