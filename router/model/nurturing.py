"""Nurturing: what follows from a quiet quote, and from how a call about it ended. Pure; moments are aware.

The verbs of `router.actions` and the plan (`router.model.foreseeing`) both decide by these: what is planned is done.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from router.model.cadence_rules import OutcomePlan, Start
from router.model.cadences import EnrolmentState, StepState
from router.model.guard import PENDING_REST, Verdict, is_pending
from router.model.hours import Opening
from router.model.outcomes import FINAL, Sequel, after_outcome
from router.model.staleness import Finding, Hold, Reason
from router.model.stepping import PAUSED_REST, Enrolled
from router.model.tasks import Disposition

WITH_US_REST = timedelta(minutes=15)
"""A quote is looked at again so long after its person was found to be with us, if it does not rest for less."""
BUSY_REST = timedelta(days=1)
"""A quote of somebody inside the cadence of another is looked at again after this, if it does not rest for less."""
MOST_TALKS = 2
"""Talks in vain about one quote: then nobody of ours begins again."""
INFORMATION_DAYS = TALK_DAYS = 2
INBOUND_DAYS = 2
"""Business days after which a rest ends by itself, when what should have ended it never came."""

AT_HAND = (Reason.hot_reopen, Reason.sign_abandoned)
BESIDES = ("talked", "replied")
"""What stands among an enrolment's outcomes that was no call of it."""

_UNREACHED = frozenset({
    Disposition.no_answer, Disposition.busy, Disposition.failed, Disposition.not_permitted, Disposition.voicemail,
    Disposition.voicemail_left, Disposition.third_person, Disposition.hung_up, Disposition.wrong_number,
    Disposition.invalid_number,
})  # fmt: skip
"""After these the quote is as quiet as before."""
_TEXT_AFTER = frozenset({Disposition.no_answer, Disposition.voicemail_left})
NOT_HIS = frozenset({Disposition.wrong_number, Disposition.invalid_number})
_LED_ON = frozenset({Disposition.callback, Disposition.quote_sent})


class Live(Enrolled, Protocol):
    """An enrolment that has not ended, with the quiet it began in."""

    @property
    def quote_id(self) -> int | None: ...
    @property
    def idle_base(self) -> datetime: ...


# A quiet quote


def next_look(finding: Finding, stale_after: timedelta, now: datetime) -> datetime | None:
    """When a quote is looked at again, whatever comes of it now; None when only an event can change anything."""
    if finding.next_check_at is not None:
        return finding.next_check_at
    if Hold.with_us in finding.holds:
        return now + min(stale_after, WITH_US_REST)
    # What holds it should end by an event that looks again; this is for the one that never comes.
    return now + min(stale_after, BUSY_REST) if finding.holds else None


def gives_way(live: Live, finding: Finding, quote_id: int, base: datetime | None) -> bool:
    """Whether the plan for a quiet quote ends because its person is at the offer this very moment."""
    return (
        finding.reason in AT_HAND and live.quote_id == quote_id and live.reason not in AT_HAND
        and live.state is EnrolmentState.active and live.idle_base != base
    )


def kept_back(verdict: Verdict, now: datetime) -> datetime | None:
    """When a quote is looked at again whose person may not be contacted now; None when time alone changes nothing."""
    if verdict.until is not None:
        return verdict.until
    if is_pending(verdict):
        return now + PENDING_REST
    return now + PAUSED_REST if verdict.rules[0] == "campaign.paused" else None


def starts(finding: Finding) -> list[Start]:
    """The beginnings of a cadence that hold, the best first. What did not arrive is sent another way."""
    return [Start(one.value) for one in finding.reasons if one is not Reason.undelivered]


# A call that is over


def sequel_of(
    outcome: Disposition, enrolment: Enrolled, calendar: Opening, now: datetime, own: dict[str, OutcomePlan]
) -> Sequel:
    """What follows in the cadence; `own` are its own rows of the table."""
    before = [one for one in enrolment.outcomes if one not in BESIDES]
    return after_outcome(outcome, before, calendar, now, own)


def counted(enrolment: Enrolled, no_number: bool, n: int, outcome: Disposition, sequel: Sequel) -> dict[str, Any]:
    """What the enrolment holds after the call of its step `n`, by attribute."""
    return {
        "outcomes": [*enrolment.outcomes, outcome.value], "calls": enrolment.calls + sequel.counts,
        "not_before": sequel.earliest, "other_band": sequel.other_band,
        "no_number": no_number or sequel.no_number, "again": n if sequel.then == "again" else None,
    }


def state_after(sequel: Sequel) -> StepState:
    """What the step is then: what is made once more is planned anew."""
    return StepState.canceled if sequel.then == "again" else StepState.done


class Next(StrEnum):
    """What becomes of whoever is inside, once a call is over."""

    go_on = "go_on"
    leave = "leave"
    rest = "rest"
    nothing = "nothing"


@dataclass(frozen=True)
class Following:
    """`days`: a rest ends by itself after so many business days. `text`: a text follows the call. `owed`: we owe him
    information."""

    word: Next
    reason: str = ""
    days: int | None = None
    text: bool = False
    owed: bool = False


def following(
    sequel: Sequel, outcome: Disposition, state: EnrolmentState, outcomes: Sequence[str], *, promised: bool
) -> Following:
    """For an enrolment in `state`, its `outcomes` with this one. `promised`: a call is promised to the person."""
    match sequel.then:
        case _ if state is EnrolmentState.exited:
            return Following(Next.nothing)
        case "next" | "again" if state is not EnrolmentState.paused:
            text = outcome in _TEXT_AFTER and list(outcomes).count(outcome.value) == 1
            return Following(Next.go_on, sequel.reason, text=text)
        case "exit":
            return Following(Next.leave, "reached" if outcome in _LED_ON else sequel.reason)
        case "review":
            return Following(Next.rest, "unclassified")
        case "pause" if outcome is Disposition.callback:
            return Following(Next.rest, "promise") if promised else Following(Next.leave, "reached")
        case "pause":
            return Following(Next.rest, sequel.reason, INFORMATION_DAYS, owed=True)
    return Following(Next.nothing)


@dataclass(frozen=True)
class Watch:
    """How the quote is watched on: `anew` its quiet begins again, `over` nobody asks any more, else it is looked at
    again after `rest`, unless its cadence goes on."""

    anew: bool
    over: bool
    rest: timedelta


def watch_on(outcome: Disposition, stale_after: timedelta) -> Watch:
    """After a cadence's call about it. Who was reached begins another quiet; a final word is the last."""
    reached = outcome not in _UNREACHED
    return Watch(reached, outcome in FINAL or outcome in NOT_HIS,
                 stale_after if reached else min(stale_after, BUSY_REST))


def rests_over(*, promised: bool) -> tuple[str, ...]:
    """The rests another talk ends. `promised`: a call is promised to the person still."""
    return ("talk", "inbound") if promised else ("talk", "inbound", "promise")
