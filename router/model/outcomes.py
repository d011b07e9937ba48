"""Outcomes: what follows from how a call ended, as a table a campaign may change row by row. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from router.model.cadence_rules import OutcomePlan
from router.model.calendars import Unit, add
from router.model.hours import Opening
from router.model.tasks import Disposition

QUIET_AFTER_NO = timedelta(days=90)
"""So long nobody of ours calls whoever was not interested; a country's rules may ask for longer."""
VOICEMAIL_REST = timedelta(days=7)
"""One voicemail a week at most."""

_MIN, _HOUR, _DAY = Unit.bmin, Unit.bh, Unit.bd

TABLE: Mapping[str, OutcomePlan] = {
    # The telephone network's own failures are no try of ours.
    "failed": OutcomePlan(
        then="again", delays=[(1, _MIN), (5, _MIN), (15, _MIN), (1, _DAY)], most=3, counts=False
    ),
    "not_permitted": OutcomePlan(then="again", delays=[(1, _HOUR), (4, _HOUR), (1, _DAY)], most=5, counts=False),
    "busy": OutcomePlan(then="again", delays=[(10, _MIN), (2, _HOUR)], most=1, other_band=True),
    "no_answer": OutcomePlan(
        then="next", delays=[(2, _HOUR), (1, _DAY), (2, _DAY), (3, _DAY)], other_band=True
    ),
    "voicemail": OutcomePlan(then="next", delays=[(1, _DAY)], other_band=True),
    "voicemail_left": OutcomePlan(then="next", delays=[(1, _DAY)]),
    "hung_up": OutcomePlan(then="next", delays=[(2, _DAY)], soft_after=2),
    "third_person": OutcomePlan(then="next", delays=[(1, _DAY)]),
    "callback": OutcomePlan(then="pause"),
    "needs_information": OutcomePlan(then="pause"),
    "quote_sent": OutcomePlan(then="exit"),
    "wrong_number": OutcomePlan(then="next"),
    "invalid_number": OutcomePlan(then="next"),
    "not_interested": OutcomePlan(then="exit"),
    "do_not_call": OutcomePlan(then="exit"),
    "sold": OutcomePlan(then="exit"),
    "bought_elsewhere": OutcomePlan(then="exit"),
    "not_eligible": OutcomePlan(then="exit"),
    "unclassified": OutcomePlan(then="review"),
}
"""By disposition. What the agent has not told is for a supervisor: it is never called again blindly."""

NAMES = frozenset(TABLE)
FINAL = frozenset({
    Disposition.not_interested, Disposition.do_not_call, Disposition.sold, Disposition.bought_elsewhere,
    Disposition.not_eligible,
})  # fmt: skip
"""After these nobody asks whether the quote is quiet."""
ANSWERED = {
    **dict.fromkeys((
        Disposition.no_answer, Disposition.busy, Disposition.voicemail, Disposition.voicemail_left,
    ), False),
    **dict.fromkeys((
        Disposition.sold, Disposition.quote_sent, Disposition.callback, Disposition.needs_information,
        Disposition.not_interested, Disposition.bought_elsewhere, Disposition.not_eligible, Disposition.third_person,
        Disposition.hung_up, Disposition.wrong_number, Disposition.do_not_call,
    ), True),
}  # fmt: skip
"""Whether somebody took the telephone; what is not among them says nothing about that."""
_BARS = {Disposition.wrong_number, Disposition.invalid_number}
_FIXED = {"do_not_call", "not_interested", "sold"}
"""Nothing a file says changes what these mean."""


@dataclass(frozen=True)
class Sequel:
    """What follows. `earliest` is before when no call may be made, `other_band` that it must be in another part of the
    day; `counts` whether it was one of the cadence's calls; `no_number` that this number is not his, or nobody's: texts
    and calls to it are left out. `reason` is why it is paused or ended."""

    then: str
    earliest: datetime | None = None
    other_band: bool = False
    counts: bool = True
    no_number: bool = False
    reason: str = ""


def after_outcome(
    outcome: Disposition, before: Sequence[str], calendar: Opening, now: datetime,
    own: Mapping[str, OutcomePlan] | None = None,
) -> Sequel:
    """What follows from `outcome`; `before` are the cadence's earlier outcomes, the latest last; `own` the campaign's
    rows in place of the house's."""
    rows = TABLE if not own else {**TABLE, **{name: row for name, row in own.items() if name not in _FIXED}}
    row = rows.get(outcome.value, rows["unclassified"])
    times = 1
    for one in reversed(before):
        if one != outcome.value:
            break
        times += 1
    if row.soft_after and times >= row.soft_after:
        return Sequel("exit", reason=Disposition.not_interested.value)
    then = row.then
    if then == "again" and times > row.most:
        then = "next"
    earliest = None
    if row.delays:
        delay, unit = row.delays[min(times, len(row.delays)) - 1]
        earliest = add(calendar, now, delay, unit)
    first_again = then == "again" and times == 1
    return Sequel(
        then, earliest, other_band=row.other_band and not first_again, counts=row.counts,
        no_number=outcome in _BARS, reason=outcome.value,
    )  # fmt: skip


def quiet_until(refused_at: datetime | None, legal_days: int = 0) -> datetime | None:
    """Until when whoever said no is left alone: the house's ninety days, or what his country asks for if it is more."""
    if refused_at is None:
        return None
    return refused_at + max(QUIET_AFTER_NO, timedelta(days=legal_days))
