"""Planning: the next days played forward from values, by the very deciders that act. Pure; moments are aware.

What the house does by itself follows from rules: when a quote is quiet, the next step, what the guard says, the
windows. How calls end does not; it is drawn: whether somebody answers by the counted answer rates, held to the usual
until there are enough of them, and then how it ends by what the calls of late came to. Each call has lots of its own,
so two plans with the same seed differ only by what was changed. Nothing is assumed of what customers do by themselves,
nor of new quotes; a call is taken as soon as anybody is there for it.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil, exp, sqrt
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from router.model.best_time import Rates
from router.model.budgets import SiteCaps
from router.model.cadence_rules import CadencePlan, Start, Way
from router.model.cadences import EnrolmentState, StepState
from router.model.guard import Channel, Snapshot
from router.model.hours import Opening
from router.model.staleness import Watched
from router.model.stepping import Offered
from router.model.tasks import Disposition

HOUR = timedelta(hours=1)
OCCUPANCY = 0.85
"""The share of an agent's time that is filled with calls when he is planned for: more wears people out."""
UNANSWERED_SECONDS = 30
"""How long a call takes that nobody answers."""

_MIX_WEIGHT = 20.0
"""So many counted outcomes weigh as much as what is usual."""
USUAL: Mapping[bool, Mapping[Disposition, float]] = {
    False: {Disposition.no_answer: 0.75, Disposition.voicemail: 0.15, Disposition.busy: 0.10},
    True: {
        Disposition.not_interested: 0.30, Disposition.callback: 0.15, Disposition.needs_information: 0.15,
        Disposition.quote_sent: 0.10, Disposition.hung_up: 0.10, Disposition.sold: 0.10,
        Disposition.third_person: 0.05, Disposition.bought_elsewhere: 0.05,
    },
}  # fmt: skip
"""How calls end, by whether somebody answered, where nothing is counted yet: a guess of ours."""

Mix = Mapping[bool, Mapping[Disposition, float]]


def mixed(counted: Mapping[bool, Mapping[Disposition, float]]) -> Mix:
    """How calls end: what is usual and what was counted, each by its weight."""
    found: dict[bool, dict[Disposition, float]] = {}
    for answered, usual in USUAL.items():
        seen = counted.get(answered, {})
        total = sum(seen.values()) + _MIX_WEIGHT
        found[answered] = {
            outcome: (seen.get(outcome, 0.0) + usual.get(outcome, 0.0) * _MIX_WEIGHT) / total
            for outcome in sorted({*usual, *seen})
        }
    return found


# What is known at the start


@dataclass(frozen=True)
class Person:
    """`guard` is what the guard sees of him at the start, whatever it is about; `taken_back` what he took back of a
    request. Parts of the day are those of `zone`; `line` is his country and kind of line. `hours` are those of his wall
    clock at which he did something himself, `tried` when he was called in vain and in which part of the day. `ways`
    are open to him; that of `replies_until` (WhatsApp, after he wrote) only until then. `with_us`: he waits for
    somebody, or talks with somebody. `agreed` is what he agreed to, and when, as it counts by a channel: a consent to
    calls is about the number he had then, one to mails about none. Without it that of `guard` counts by all."""

    id: int
    campaign_id: int
    guard: Snapshot
    calendar: Opening
    zone: str
    line: tuple[str, str]
    hours: tuple[int, ...] = ()
    tried: tuple[tuple[datetime, str], ...] = ()
    ways: frozenset[Way] = frozenset()
    replies_until: datetime | None = None
    taken_back: Mapping[int, frozenset[str]] = field(default_factory=dict)
    with_us: bool = False
    promised_at: datetime | None = None
    agreed: Mapping[Channel, Mapping[str, datetime]] = field(default_factory=dict)


@dataclass
class QuoteAhead:
    """A quote whose quiet is watched, as it stands; a play works on a copy. It is looked at at `check_at`, its time is
    over at `ends_at`. `reached` are the talks in vain, `began` the cadences (by key) that began in which quiet.
    `line_id` is its queue, None where its lead never had a task. `can_send`: its offer still has a link. `last_word`: a
    call about it has ended for good."""

    id: int
    person_id: int
    lead_id: int
    line_id: int | None
    watched: Watched
    stale_seconds: int
    check_at: datetime | None
    ends_at: datetime | None = None
    reached: int = 0
    began: set[tuple[str, datetime]] = field(default_factory=set)
    can_send: bool = True
    last_word: bool = False

    @property
    def stale_after(self) -> timedelta:
        return timedelta(seconds=self.stale_seconds)

    @property
    def offered(self) -> Offered:
        return Offered(self.watched.valid_until, self.watched.opened_at)


@dataclass
class StepAhead:
    """A step of an enrolment as it stands; a play works on a copy. `dialled`: its call is being made. Its call is to be
    announced at `announce_at`, or was at `announced_at` for `announced_for`, by so many texts."""

    n: int
    way: Way
    state: StepState
    planned_at: datetime
    due_at: datetime
    not_after: datetime
    began_at: datetime | None = None
    ended_at: datetime | None = None
    band: str = ""
    outcome: str = ""
    tries: int = 0
    hurried: bool = False
    dialled: bool = False
    announce_at: datetime | None = None
    announced_at: datetime | None = None
    announced_for: datetime | None = None
    announcements: int = 0


@dataclass
class EnrolmentAhead:
    """Somebody inside a cadence, as he stands, with what is set for him: `resume_at` for who rests, `text_at` for a
    text that follows a call, `unworked_at` for a call that waits for an agent. `held`: an agent is at its call already.
    A play works on a copy."""

    id: int
    person_id: int
    lead_id: int
    line_id: int | None
    quote_id: int | None
    key: str
    plan: CadencePlan
    reason: str
    state: EnrolmentState
    created_at: datetime
    idle_base: datetime
    calls: int = 0
    messages: int = 0
    outcomes: Sequence[str] = ()
    not_before: datetime | None = None
    other_band: bool = False
    again: int | None = None
    no_number: bool = False
    paused_reason: str = ""
    resumed_at: datetime | None = None
    resume_at: datetime | None = None
    text_at: datetime | None = None
    unworked_at: datetime | None = None
    held: bool = False
    steps: dict[int, StepAhead] = field(default_factory=dict)
    """By their number."""


@dataclass(frozen=True)
class Booked:
    """A call that stands already: promised, or put off until then, or waiting for an agent now. `commercial`: we began
    it, so the guard's windows and caps bind. `outcome` is how it ended in a play."""

    task_id: int
    person_id: int
    lead_id: int
    line_id: int
    at: datetime
    promised: bool = False
    commercial: bool = False
    outcome: Disposition | None = None


@dataclass(frozen=True)
class LineAhead:
    """A queue: how long its calls take, and who is planned for it: agents, each with the spans he is there in."""

    id: int
    handle_seconds: int
    staff: Mapping[int, tuple[tuple[datetime, datetime], ...]]


@dataclass(frozen=True)
class Money:
    """What a day may cost: the caps of campaigns and of requests' landing pages, and what is reserved today already, by
    scope. What other things than quiet quotes will cost is not foreseen."""

    campaigns: Mapping[int, int] = field(default_factory=dict)
    sites: Mapping[int, SiteCaps] = field(default_factory=dict)
    """By request."""
    used: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Ahead:
    """All that is known at `now` of the next days, until `until`. `cadences` are those for whoever begins, by campaign
    and beginning, with their keys. `nurture_off`: the house makes no call about quiet quotes. `zone` is the wall of the
    hours that are counted. `more` quotes are not looked at."""

    now: datetime
    until: datetime
    zone: str
    persons: Mapping[int, Person]
    quotes: Sequence[QuoteAhead]
    enrolments: Sequence[EnrolmentAhead]
    booked: Sequence[Booked]
    lines: Mapping[int, LineAhead]
    cadences: Mapping[int, Mapping[Start, tuple[str, CadencePlan]]]
    rates: Mapping[tuple[str, str], Rates]
    mix: Mix = field(default_factory=lambda: mixed({}))
    money: Money = field(default_factory=Money)
    nurture_off: bool = False
    more: int = 0

    def there(self, line_id: int | None, at: datetime) -> datetime | None:
        """When somebody is there for this queue, from `at` on; None if nobody is until the end."""
        line = self.lines.get(line_id or 0)
        spans = [span for staff in line.staff.values() for span in staff] if line is not None else []
        return min((max(start, at) for start, end in spans if end > at), default=None)


# What comes of it


@dataclass(frozen=True)
class Contacted:
    """One contact that the play made. `what` is "call", "text" or "mail"; a call takes `seconds` of an agent."""

    at: datetime
    what: str
    person_id: int
    seconds: int = 0


@dataclass(frozen=True)
class Block:
    """Why somebody is not contacted, since when, and until when, where it is known. `detail` is what a sentence about a
    rule of the guard needs (`router.model.guard.Verdict`)."""

    rule: str
    person_id: int
    quote_id: int | None
    since: datetime
    until: datetime | None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Course:
    """One play: the contacts in their order, and what was in the way."""

    contacts: Sequence[Contacted]
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Count:
    """A mean over the plays, with the standard deviation of one play."""

    mean: float = 0.0
    spread: float = 0.0

    @classmethod
    def of(cls, counts: Sequence[float]) -> "Count":
        mean = sum(counts) / len(counts)
        return cls(mean, sqrt(sum((one - mean) ** 2 for one in counts) / max(1, len(counts) - 1)))

    def agrees(self, seen: float, plays: int) -> bool:
        """Whether what then happened lies within the counting error of this mean over so many plays.

        It does if a Poisson count of the mean comes so far or farther with a chance above RARE, the mean itself being
        wrong by four of its standard errors at most; or, where the plays scatter more than Poisson, within four of
        their standard deviations. Where nothing is drawn there is no error: the counts must be the same.
        """
        if self.spread == 0 and plays < 2:
            return seen == self.mean
        error = 4 * sqrt(max(self.spread**2, 1 / plays) / plays)
        if seen >= self.mean:
            return tail(seen, self.mean + error) > RARE or seen - self.mean <= 4 * self.spread + error
        return head(seen, max(0.0, self.mean - error)) > RARE or self.mean - seen <= 4 * self.spread + error


RARE = 1e-5
"""A count rarer than this is no accident, even as one of several hundred hours."""


def head(seen: float, mean: float) -> float:
    """The chance of a Poisson count of at most `seen`."""
    term = total = exp(-mean)
    for one in range(1, int(seen) + 1):
        term *= mean / one
        total += term
    return total


def tail(seen: float, mean: float) -> float:
    """The chance of a Poisson count of at least `seen`."""
    return 1 - head(seen - 1, mean) if seen >= 1 else 1.0


@dataclass(frozen=True)
class Hour:
    """An hour of the plan, from `start` on. `busy_seconds` of agents, of whom `needed` would do; `staffed` are planned:
    hours of agents."""

    start: datetime
    calls: Count
    texts: Count
    mails: Count
    busy_seconds: float
    staffed: float

    @property
    def needed(self) -> int:
        """Agents that can do it without being busy for more than OCCUPANCY of their time."""
        return ceil(round(self.busy_seconds / HOUR.total_seconds() / OCCUPANCY, 6))

    @property
    def is_empty(self) -> bool:
        return not (self.calls.mean or self.texts.mean or self.mails.mean)


@dataclass(frozen=True)
class Forecast:
    """The hours from the one that `now` lies in, what blocks whom, and how it was reckoned."""

    now: datetime
    zone: str
    hours: Sequence[Hour]
    blocks: Sequence[Block]
    quotes: int
    inside: int
    plays: int
    seed: int
    more: int = 0

    def total(self, what: str) -> float:
        return float(sum(getattr(hour, what).mean for hour in self.hours))

    def by_rule(self) -> list[tuple[str, list[Block]]]:
        """The blocks by rule, those of most persons first."""
        found: dict[str, list[Block]] = defaultdict(list)
        for block in self.blocks:
            found[block.rule].append(block)
        return sorted(found.items(), key=lambda one: (-len({block.person_id for block in one[1]}), one[0]))


Player = Callable[[Ahead, str], Course]


def edges(start: datetime, end: datetime, zone: str) -> list[datetime]:
    """The beginnings of the hours on this wall, from the one in which `start` lies; the last is not before `end`."""
    local = start.astimezone(ZoneInfo(zone))
    at = (local - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)).astimezone(UTC)
    found = [at]
    while found[-1] < end:
        found.append(found[-1] + HOUR)
    return found


def by_hour(contacts: Sequence[Contacted], starts: Sequence[datetime]) -> list[Counter[str]]:
    """How many of each kind lie in each hour, and under "seconds" what they take of agents: of a long call each hour
    has its part."""
    found: list[Counter[str]] = [Counter() for _ in starts[:-1]]
    for one in contacts:
        place = int((one.at - starts[0]) / HOUR)
        if 0 <= place < len(found):
            found[place][one.what] += 1
        at, left = one.at, one.seconds
        while left > 0 and 0 <= place < len(found):
            part = min(left, ceil((starts[place + 1] - at).total_seconds()))
            found[place]["seconds"] += part
            at, left, place = starts[place + 1], left - part, place + 1
    return found


def forecast(ahead: Ahead, play: Player, *, plays: int, seed: int, tell: Callable[[int, int], None] | None = None
             ) -> Forecast:
    """The mean of so many plays. Where nothing is drawn they are alike."""
    starts = edges(ahead.now, ahead.until, ahead.zone)
    courses = []
    for number in range(plays):
        courses.append(play(ahead, f"{seed}.{number}"))
        if tell is not None:
            tell(number + 1, plays)
    counted = [by_hour(course.contacts, starts) for course in courses]
    hours = []
    for place, start in enumerate(starts[:-1]):
        here = [one[place] for one in counted]
        hours.append(Hour(
            start, Count.of([one["call"] for one in here]), Count.of([one["text"] for one in here]),
            Count.of([one["mail"] for one in here]), busy_seconds=sum(one["seconds"] for one in here) / plays,
            staffed=_staffed(ahead, start, min(start + HOUR, ahead.until)),
        ))
    return Forecast(
        ahead.now, ahead.zone, hours, courses[0].blocks, len(ahead.quotes),
        sum(one.state is not EnrolmentState.exited for one in ahead.enrolments), plays, seed, ahead.more,
    )


def _staffed(ahead: Ahead, start: datetime, end: datetime) -> float:
    """Hours of the agents planned for any of the queues, each agent once."""
    spans: dict[int, set[tuple[datetime, datetime]]] = defaultdict(set)
    for line in ahead.lines.values():
        for agent, there in line.staff.items():
            spans[agent].update(there)
    return sum(_overlap(sorted(there), start, end) for there in spans.values()) / HOUR.total_seconds()


def _overlap(spans: Sequence[tuple[datetime, datetime]], start: datetime, end: datetime) -> float:
    """Seconds between the moments that lie in any of the spans."""
    total, at = 0.0, start
    for opens, closes in spans:
        left, right = max(opens, at), min(closes, end)
        if left < right:
            total += (right - left).total_seconds()
            at = right
    return total


def moved(before: Forecast, after: Forecast) -> list[str]:
    """What a change would move, hour by hour; nothing when it moves nothing. The same seed must have made both."""
    lines = []
    for was, will in zip(before.hours, after.hours, strict=False):
        said = [
            f"{what} {getattr(was, what).mean:.1f} → {getattr(will, what).mean:.1f}"
            for what in ("calls", "texts", "mails")
            if abs(getattr(was, what).mean - getattr(will, what).mean) >= 0.05
        ]
        if said:
            lines.append(f"  {was.start.astimezone(ZoneInfo(before.zone)):%a %Y-%m-%d %H:%M}  {', '.join(said)}")
    return lines


def drawn(chance: float, mix: Mix, lots: Random) -> Disposition:
    """How a call ends: answered with this chance, and then by the mix."""
    answered = lots.random() < chance
    lot, found = lots.random(), Disposition.no_answer
    for outcome, share in mix[answered].items():
        found = outcome
        lot -= share
        if lot < 0:
            break
    return found


def lots_of(seed: str, person_id: int, key: str, n: int, tries: int) -> Random:
    """The lots of one call: the same wherever it comes in another plan."""
    return Random(f"{seed}:{person_id}:{key}:{n}:{tries}")  # noqa: S311  no secrets hang on it
