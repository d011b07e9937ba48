"""The world of a play: who and what there is, what time it is, what rings next, and what the guard says. Pure values
that a play moves on; the verbs stand in `router.model.foreseen_steps`, `foreseen_calls` and `foreseeing`."""

import heapq
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from router.model.best_time import Caller, Counted, Rates, Window, band_of
from router.model.budgets import fits, scopes
from router.model.cadence_rules import Way
from router.model.cadences import EnrolmentState, StepState
from router.model.guard import Barred, Channel, Consulted, Purpose, Snapshot, Try, Verdict, may_contact
from router.model.outcomes import ANSWERED
from router.model.pacing import AHEAD, Times
from router.model.planning import Ahead, Block, Contacted, EnrolmentAhead, Person, QuoteAhead, StepAhead
from router.model.staleness import Hold
from router.model.stepping import reachable
from router.model.tasks import Disposition
from router.model.windows import windows

KEPT = timedelta(days=30)
"""So long a try counts, and a part of the day as tried in vain (`router.store.cadences`)."""
VAIN = ("no_answer", "busy", "voicemail", "voicemail_left", "hung_up")
"""Outcomes after which the part of the day counts as tried in vain (`router.store.cadences`)."""


@dataclass
class Played:
    """A person as the play moves him on. `tries` are those of his number, shared by all who have it. `busy` are calls
    that wait for him or are being held; `seen` the rules that are told of him already."""

    known: Person
    tries: list[Try]
    barred: list[Barred]
    refused_at: datetime | None
    busy: int
    promised: bool
    seen: set[str] = field(default_factory=set)

    @property
    def id(self) -> int:
        return self.known.id


class Alarm(NamedTuple):
    """What rings: its kind, what it is about, and for a step its number."""

    kind: str
    subject: int
    n: int = 0


class World:
    """All of it, at `now`. Quotes and enrolments are copies: another play begins from the same `ahead`."""

    def __init__(self, ahead: Ahead, seed: str) -> None:
        self.ahead, self.seed, self.now = ahead, seed, ahead.now
        self.contacts: list[Contacted] = []
        self.blocks: list[Block] = []
        by_phone: dict[str, list[Try]] = {}
        self.persons = {
            one.id: Played(
                one, by_phone.setdefault(one.guard.phone or f"person {one.id}", list(one.guard.tries)),
                list(one.guard.barred), one.guard.refused_at, int(one.with_us), one.promised_at is not None,
            )
            for one in ahead.persons.values()
        }
        self.quotes = {one.id: replace(one, began=set(one.began)) for one in ahead.quotes}
        self.booked = {one.task_id: one for one in ahead.booked}
        self.next_id = 1
        self.enrolments: dict[int, EnrolmentAhead] = {}
        self._of_person: dict[int, list[EnrolmentAhead]] = {}
        for enrolment in ahead.enrolments:
            self.add(replace(
                enrolment, outcomes=list(enrolment.outcomes),
                steps={n: replace(step) for n, step in enrolment.steps.items()},
            ))
        self._quotes_of: dict[int, list[QuoteAhead]] = {}
        for quote in self.quotes.values():
            self._quotes_of.setdefault(quote.person_id, []).append(quote)
        self._rates: dict[tuple[str, str], dict[tuple[int, str], Counted]] = {
            line: dict(rates) for line, rates in ahead.rates.items()
        }
        self._windows: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[Window]] = {}
        self._spent = {(ahead.now.date(), scope): used for scope, used in ahead.money.used.items()}
        self._moments: list[tuple[datetime, int, Alarm]] = []
        self._set: dict[Alarm, tuple[datetime, int]] = {}
        self._count = 0

    # Time

    def alarm(self, kind: str, subject: int, at: datetime, n: int = 0) -> None:
        """One pending alarm of a kind for a subject: setting it again moves it, and keeps its place among equals."""
        alarm = Alarm(kind, subject, n)
        _, place = self._set.get(alarm, (at, 0))
        if not place:
            self._count += 1
            place = self._count
        self._set[alarm] = (at, place)
        heapq.heappush(self._moments, (at, place, alarm))

    def cancel(self, kind: str, subject: int, n: int = 0) -> None:
        self._set.pop(Alarm(kind, subject, n), None)

    def ringing(self) -> Iterator[Alarm]:
        """What rings until the end, in its order; `now` is then."""
        while self._moments and self._moments[0][0] < self.ahead.until:
            at, place, alarm = heapq.heappop(self._moments)
            if self._set.get(alarm) != (at, place):
                continue  # moved, or canceled
            del self._set[alarm]
            self.now = max(at, self.now)
            yield alarm

    # Who and what there is

    def add(self, enrolment: EnrolmentAhead) -> None:
        """Somebody has come in."""
        self.enrolments[enrolment.id] = enrolment
        self.next_id = max(self.next_id, enrolment.id + 1)
        self._of_person.setdefault(enrolment.person_id, []).append(enrolment)

    def person_of(self, enrolment: EnrolmentAhead) -> Played:
        return self.persons[enrolment.person_id]

    def quote_of(self, enrolment: EnrolmentAhead) -> QuoteAhead | None:
        return self.quotes.get(enrolment.quote_id or 0)

    def quotes_of(self, person_id: int) -> list[QuoteAhead]:
        return self._quotes_of.get(person_id, [])

    def live_of(self, person_id: int) -> EnrolmentAhead | None:
        """The person's enrolment that has not ended."""
        inside = self._of_person.get(person_id, ())
        return next((one for one in inside if one.state is not EnrolmentState.exited), None)

    def steps_of(self, person_id: int) -> Iterator[StepAhead]:
        """Those of all his enrolments in the play."""
        for one in self._of_person.get(person_id, ()):
            yield from one.steps.values()

    def waiting(self, person_id: int) -> int:
        """His calls that wait or are being held."""
        return sum(step.state is StepState.waiting for step in self.steps_of(person_id))

    def ways(self, enrolment: EnrolmentAhead) -> frozenset[Way]:
        """By which ways he can be reached now."""
        known = self.person_of(enrolment).known
        over = known.replies_until is not None and self.now >= known.replies_until
        return reachable(known.ways - {Way.whatsapp} if over else known.ways, no_number=enrolment.no_number)

    # What is in the way

    def block(
        self, rule: str, person_id: int, quote_id: int | None, until: datetime | None, verdict: Verdict | None = None
    ) -> None:
        """Told once of a person and a rule."""
        person = self.persons[person_id]
        if rule not in person.seen:
            person.seen.add(rule)
            detail = verdict.detail.get(rule, {}) if verdict is not None else {}
            self.blocks.append(Block(rule, person_id, quote_id, self.now, until, detail))

    def stopped(self, verdict: Verdict, person_id: int, quote_id: int | None) -> None:
        """The guard's answer is in the way; the rule that decides when it may be again is the last of a deferral."""
        rule = verdict.rules[-1] if verdict.word == "defer" else verdict.rules[0]
        self.block(rule, person_id, quote_id, verdict.until, verdict)

    # The guard, and money

    def ask(
        self, person: Played, lead_id: int, *, channel: str = "call", purpose: Purpose = Purpose.commercial,
        promised: bool = False, about: StepAhead | None = None,
    ) -> Verdict:
        """The guard's answer now, by what has been done in the play. `about`: the step whose call it is."""
        return may_contact(self.snapshot(person, lead_id, channel, purpose, promised=promised, about=about), self.now)

    def snapshot(
        self, person: Played, lead_id: int, channel: str, purpose: Purpose = Purpose.commercial, *,
        promised: bool = False, about: StepAhead | None = None,
    ) -> Snapshot:
        """What the guard looks at, by what has been done in the play."""
        guard = person.known.guard
        agreed = person.known.agreed.get(Channel(channel))
        return replace(
            guard, purpose=purpose, channel=Channel(channel), promised=promised,
            consents=guard.consents if agreed is None else frozenset(agreed),
            consented_at=guard.consented_at if agreed is None else agreed,
            paused=guard.paused and purpose is Purpose.commercial,
            tries=[self._beside(person, one, about) for one in person.tries if one.at > self.now - KEPT],
            barred=person.barred, refused_at=person.refused_at,
            taken_back=person.known.taken_back.get(lead_id, frozenset()),
            registers=self._answers(guard),
        )

    def _beside(self, person: Played, one: Try, step: StepAhead | None) -> Try:
        """A try as it counts about this step's call, which it may have announced: the two are one, for so long."""
        rule = person.known.guard.pack.announcement
        if step is None or rule is None or one.at != step.announced_at or one.channel != Channel.sms:
            return one
        return replace(one, with_call=one.at > self.now - timedelta(hours=rule.within_hours))

    def joined(self, person: Played, step: StepAhead) -> None:
        """The step's call is made: with the text that announced it, it is one try from now on."""
        person.tries[:] = [self._beside(person, one, step) for one in person.tries]

    def _answers(self, guard: Snapshot) -> Mapping[str, Consulted]:
        """A register that is asked number by number answers in time; of whom it has said nothing yet, that it does not
        list him."""
        unlisted = Consulted(self.now, False)
        asked = [name for name, why in guard.asking.items() if why == "pending"]
        return {**guard.registers, **{
            name: replace(guard.registers.get(name, unlisted), as_of=self.now) for name in asked
        }}

    def tried(self, person: Played, what: str, channel: str, *, seconds: int = 0,
              purpose: Purpose = Purpose.commercial, busy: bool = False) -> None:
        """Somebody is contacted now. `what` is what it counts as in the plan; `busy`: his line is engaged."""
        person.tries.append(Try(self.now, purpose, channel, busy=busy))
        self.contacts.append(Contacted(self.now, what, person.id, seconds))

    def affordable(self, person: Played, lead_id: int, cents: int) -> bool:
        """Whether the day's money allows it."""
        today = self.now.date()
        caps = self._caps(person, lead_id)
        return fits(cents, caps, {scope: self._spent.get((today, scope), 0) for scope in caps})

    def spend(self, person: Played, lead_id: int, cents: int) -> None:
        today = self.now.date()
        for scope in self._caps(person, lead_id):
            self._spent[today, scope] = self._spent.get((today, scope), 0) + cents

    def _caps(self, person: Played, lead_id: int) -> dict[str, int]:
        money, campaign_id = self.ahead.money, person.known.campaign_id
        # Where nobody said what a campaign may spend, nothing binds.
        if (cap := money.campaigns.get(campaign_id)) is None:
            return {}
        return scopes(campaign_id, cap, person.known.guard.phone, money.sites.get(lead_id), self.now)

    # When he may be called, and when he answers

    def times(self, person: Played) -> Times:
        """What bounds when something may be done about him."""
        known = person.known
        return Times(
            known.calendar, self._lawful(known.guard),
            Caller(known.zone, known.hours, self._tried_bands(person), self.rates_of(known)),
        )

    def _tried_bands(self, person: Played) -> tuple[str, ...]:
        steps = [
            (step.began_at, step.band) for step in self.steps_of(person.id)
            if step.band and step.began_at is not None and step.outcome in VAIN
        ]
        return tuple(band for at, band in sorted([*person.known.tried, *steps]) if at > self.now - KEPT)

    def rates_of(self, known: Person) -> Rates:
        return self._rates.setdefault(known.line, {})

    def count_answer(self, person: Played, outcome: Disposition) -> None:
        """One more call, answered or not, if the outcome says so."""
        known = person.known
        answered, band = ANSWERED.get(outcome), band_of(self.now, known.zone)
        if answered is None or not band:
            return
        rates = self._rates.setdefault(known.line, {})
        place = (Caller(known.zone).weekday(self.now), band)
        rates[place] = rates.get(place, Counted()).plus(answered, self.now)

    def _lawful(self, guard: Snapshot) -> list[Window]:
        """The windows from now on as they are looked up, cut out of those of the whole time."""
        key = (guard.pack.key, guard.zones, guard.subdivisions)
        if key not in self._windows:
            self._windows[key] = list(windows(
                guard.pack, guard.zones, self.ahead.now, self.ahead.until + AHEAD, subdivisions=guard.subdivisions
            ))
        whole, end = self._windows[key], self.now + AHEAD
        first = max(0, bisect_right(whole, self.now, key=lambda one: one[0]) - 1)
        return [
            (max(opens, self.now), min(closes, end))
            for opens, closes in whole[first:] if closes > self.now and opens < end
        ]

    # What moves a quote

    def holds(self, quote: QuoteAhead) -> dict[Hold, datetime | None]:
        """What holds it now: his calls and promises as they are in the play, the rest as it was known."""
        person = self.persons[quote.person_id]
        holds = dict(quote.watched.holds)
        for hold, is_so in ((Hold.with_us, person.busy > 0), (Hold.promise, person.promised)):
            holds.pop(hold, None)
            if is_so:
                holds[hold] = None
        return holds

    def moved_by_person(self, person_id: int) -> None:
        """He has talked with us: his open quotes rest anew."""
        for quote in self.quotes_of(person_id):
            if quote.watched.is_open and quote.watched.base < self.now:
                self.rest_anew(quote)

    def rest_anew(self, quote: QuoteAhead) -> None:
        signing_at = self.now if quote.watched.signing_at is not None else None
        quote.watched = replace(quote.watched, base=self.now, signing_at=signing_at)

    def remember(self, person: Played, outcome: Disposition) -> None:
        """What the guard sees of a call from now on."""
        if outcome is Disposition.do_not_call:
            person.barred.append(Barred("asked"))
        elif outcome is Disposition.wrong_number:
            person.barred.append(Barred("wrong_number"))
        elif outcome is Disposition.not_interested:
            person.refused_at = self.now
