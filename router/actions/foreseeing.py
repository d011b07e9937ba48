"""Foreseeing: the house's own verbs over values instead of rows, so that days can be played forward in a moment.

Each function here mirrors the verb of its name in `router.actions.nurturing`, `enrolling` and `stepping` and asks the
same deciders in the same order; a test drives the real ones through a fortnight and compares hour by hour. Nothing is
read, written or sent.
"""

import heapq
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from router.actions import enrolling, nurturing, stepping
from router.actions.timing import AHEAD, ANSWERED
from router.model.best_time import Caller, Counted, Rates, Window, band_of
from router.model.cadence_rules import LEAST_NOTICE, MOST_MESSAGES, Skip, Start, Way
from router.model.cadences import EnrolmentState, StepState
from router.model.calendars import Unit, add, next_business
from router.model.guard import Barred, Channel, Purpose, Snapshot, Try, Verdict, may_contact, once_announced
from router.model.outcomes import FINAL, after_outcome
from router.model.pacing import Inside, Past, Times, Word, announced_at, left_out, next_step, spread
from router.model.planning import (
    UNANSWERED_SECONDS,
    Ahead,
    Block,
    Booked,
    Contacted,
    Course,
    EnrolmentAhead,
    Person,
    QuoteAhead,
    StepAhead,
    drawn,
    lots_of,
)
from router.model.staleness import Finding, Hold, Patience, Reason, Watched, look
from router.model.tasks import Disposition
from router.model.windows import windows

TALK = timedelta(minutes=10)
"""Whoever talks with us at the start is free again after so long."""
VAIN = ("no_answer", "busy", "voicemail", "voicemail_left", "hung_up")
"""Outcomes after which the part of the day counts as tried in vain (`router.store.cadences`)."""


def play(ahead: Ahead, seed: str) -> Course:
    """One play of the days ahead, with the lots of this seed."""
    played = _Play(ahead, seed)
    played.run()
    return Course(played.contacts, played.blocks)


@dataclass
class _Step:
    """A step's row, as far as it counts."""

    n: int
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
    announced_at: datetime | None = None

    @classmethod
    def of(cls, known: StepAhead) -> "_Step":
        return cls(
            known.n, known.state, known.planned_at, known.due_at, known.not_after, known.began_at, known.ended_at,
            known.band, known.outcome, known.tries, known.hurried, announced_at=known.announced_at,
        )


@dataclass
class _Enrolment:
    """An enrolment's row, with its steps by their number."""

    known: EnrolmentAhead
    state: EnrolmentState
    calls: int
    messages: int
    outcomes: list[str]
    not_before: datetime | None
    other_band: bool
    again: int | None
    no_number: bool
    paused_reason: str
    resumed_at: datetime | None
    steps: dict[int, _Step]

    @classmethod
    def of(cls, known: EnrolmentAhead) -> "_Enrolment":
        return cls(
            known, known.state, known.calls, known.messages, list(known.outcomes), known.not_before, known.other_band,
            known.again, known.no_number, known.paused_reason, known.resumed_at,
            {one.n: _Step.of(one) for one in known.steps},
        )


@dataclass
class _Quote:
    """A quote's row."""

    known: QuoteAhead
    watched: Watched
    reached: int
    began: set[tuple[str, datetime]]
    last_word: bool

    @property
    def is_open(self) -> bool:
        return self.watched.is_open


@dataclass
class _Person:
    known: Person
    tries: list[Try]
    barred: list[Barred]
    tried: list[tuple[datetime, str]]
    refused_at: datetime | None
    busy: int = 0
    """Calls that wait or are being held."""
    promised: bool = False
    seen: set[str] = field(default_factory=set)
    """Rules that are told of him already."""


class _Play:
    """The world as it is played."""

    def __init__(self, ahead: Ahead, seed: str) -> None:
        self.ahead, self.seed, self.now = ahead, seed, ahead.now
        self.contacts: list[Contacted] = []
        self.blocks: list[Block] = []
        self._moments: list[tuple[datetime, int, str, int, int]] = []
        self._set: dict[tuple[str, int, int], tuple[datetime, int]] = {}
        self._count = 0
        by_phone: dict[str, list[Try]] = {}
        self._persons = {
            one.id: _Person(
                one, by_phone.setdefault(one.guard.phone or f"person {one.id}", list(one.guard.tries)),
                list(one.guard.barred), list(one.tried), one.guard.refused_at, int(one.with_us),
                one.promised_at is not None,
            )
            for one in ahead.persons.values()
        }
        self._quotes = {
            one.id: _Quote(one, one.watched, one.reached, set(one.began), one.last_word) for one in ahead.quotes
        }
        self._enrolments = {one.id: _Enrolment.of(one) for one in ahead.enrolments}
        self._next_id = max(self._enrolments, default=0) + 1
        self._of_person: dict[int, list[_Enrolment]] = {}
        for enrolment in self._enrolments.values():
            self._of_person.setdefault(enrolment.known.person_id, []).append(enrolment)
        self._rates: dict[tuple[str, str], dict[tuple[int, str], Counted]] = {
            line: dict(rates) for line, rates in ahead.rates.items()
        }
        self._windows: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[Window]] = {}
        self._booked = {one.task_id: one for one in ahead.booked}
        self._open_of: dict[int, list[_Quote]] = {}
        for quote in self._quotes.values():
            self._open_of.setdefault(quote.known.person_id, []).append(quote)

    # Time

    def _alarm(self, kind: str, subject: int, at: datetime, n: int = 0) -> None:
        """One pending alarm of a kind for a subject: setting it again moves it, and keeps its place among equals."""
        _, place = self._set.get((kind, subject, n), (at, 0))
        if not place:
            self._count += 1
            place = self._count
        self._set[kind, subject, n] = (at, place)
        heapq.heappush(self._moments, (at, place, kind, subject, n))

    def _cancel(self, kind: str, subject: int, n: int = 0) -> None:
        self._set.pop((kind, subject, n), None)

    def run(self) -> None:
        self._begin()
        while self._moments and self._moments[0][0] < self.ahead.until:
            at, place, kind, subject, n = heapq.heappop(self._moments)
            if self._set.get((kind, subject, n)) != (at, place):
                continue  # moved, or canceled
            del self._set[kind, subject, n]
            self.now = max(at, self.now)
            self._ring(kind, subject, n)

    def _ring(self, kind: str, subject: int, n: int) -> None:
        match kind:
            case "check":
                self._check_quote(self._quotes[subject])
            case "end":
                self._quote_ends(self._quotes[subject])
            case "booked":
                self._dial_booked(self._booked[subject])
            case "booked_over":
                self._booked_over(self._booked[subject])
            case "step":
                self._step_due(self._enrolments[subject], self._enrolments[subject].steps[n])
            case "announce":
                self._announce(self._enrolments[subject], self._enrolments[subject].steps[n])
            case "dial":
                self._dial(self._enrolments[subject], self._enrolments[subject].steps[n])
            case "over":
                self._call_over(self._enrolments[subject], self._enrolments[subject].steps[n])
            case "unworked":
                self._unworked(self._enrolments[subject], self._enrolments[subject].steps[n])
            case "resume":
                self._resume(self._enrolments[subject])
            case "text":
                self._missed_text(self._enrolments[subject])
            case "free":
                self._persons[subject].busy = self._waiting(subject)
            case "longest":
                self._leave(self._enrolments[subject], "too_long")

    def _begin(self) -> None:
        """What is set already: in the order in which it was."""
        for booked in self.ahead.booked:
            self._alarm("booked", booked.task_id, max(booked.at, self.now))
        for quote in self.ahead.quotes:
            self._tell_holds(quote)
            if quote.check_at is not None:
                self._alarm("check", quote.id, quote.check_at)
            if quote.ends_at is not None:
                self._alarm("end", quote.id, quote.ends_at)
        for enrolment in self._enrolments.values():
            self._take_up(enrolment)
        waited_for = {one.person_id for one in self.ahead.booked}
        for person in self._persons.values():
            if person.known.with_us and person.known.id not in waited_for:
                self._alarm("free", person.known.id, self.now + TALK)

    def _take_up(self, enrolment: _Enrolment) -> None:
        known = enrolment.known
        if enrolment.state is EnrolmentState.exited:
            return
        self._alarm("longest", known.id, known.created_at + enrolling.LONGEST)
        if enrolment.state is EnrolmentState.paused:
            self._block(f"rests.{enrolment.paused_reason}", known.person_id, known.quote_id, known.resume_at)
        for kind, at in (("resume", known.resume_at), ("text", known.text_at)):
            if at is not None:
                self._alarm(kind, known.id, at)
        announcements = {one.n: one.announce_at for one in known.steps}
        for step in enrolment.steps.values():
            if step.state is StepState.planned:
                self._alarm("step", known.id, step.due_at, step.n)
                if (at := announcements.get(step.n)) is not None:
                    self._alarm("announce", known.id, at, step.n)
            elif step.state is StepState.waiting:
                self._persons[known.person_id].busy = 0
                self._waits(enrolment, step, known.unworked_at, held=known.held)

    def _waiting(self, person_id: int) -> int:
        return sum(
            step.state is StepState.waiting
            for one in self._of_person.get(person_id, ()) for step in one.steps.values()
        )

    def _tell_holds(self, quote: QuoteAhead) -> None:
        person = self.ahead.persons[quote.person_id]
        for hold, until in quote.watched.holds.items():
            known = person.promised_at if hold is Hold.promise else until
            self._block(f"holds.{hold.value}", person.id, quote.id, known)

    def _block(
        self, rule: str, person_id: int, quote_id: int | None, until: datetime | None, verdict: Verdict | None = None
    ) -> None:
        """Told once of a person and a rule."""
        person = self._persons[person_id]
        if rule not in person.seen:
            person.seen.add(rule)
            detail = verdict.detail.get(rule, {}) if verdict is not None else {}
            self.blocks.append(Block(rule, person_id, quote_id, self.now, until, detail))

    def _stopped(self, verdict: Verdict, person_id: int, quote_id: int | None) -> None:
        """The guard's answer is in the way; the rule that decides when it may be again is the last of a deferral."""
        rule = verdict.rules[-1] if verdict.word == "defer" else verdict.rules[0]
        self._block(rule, person_id, quote_id, verdict.until, verdict)

    # The guard and the windows

    def _ask(
        self, person: _Person, lead_id: int, *, purpose: Purpose = Purpose.commercial, about: _Step | None = None
    ) -> Verdict:
        return may_contact(self._snapshot(person, lead_id, purpose, about), self.now)

    def _snapshot(self, person: _Person, lead_id: int, purpose: Purpose, about: _Step | None = None) -> Snapshot:
        guard = person.known.guard
        return replace(
            guard, purpose=purpose, paused=guard.paused and purpose is Purpose.commercial,
            tries=[
                self._with_call(person, one, about) for one in person.tries if one.at > self.now - timedelta(days=30)
            ],
            barred=person.barred, refused_at=person.refused_at,
            taken_back=person.known.taken_back.get(lead_id, frozenset()),
        )

    def _times(self, person: _Person) -> Times:
        known = person.known
        guard = known.guard
        return Times(
            known.calendar, self._lawful(guard),
            Caller(known.zone, known.hours, self._tried(person), self._rates_of(known)),
        )

    def _tried(self, person: _Person) -> tuple[str, ...]:
        since = self.now - timedelta(days=30)
        steps = [
            (step.began_at, step.band)
            for one in self._of_person.get(person.known.id, ()) for step in one.steps.values()
            if step.band and step.began_at is not None and step.outcome in VAIN
        ]
        return tuple(band for at, band in sorted([*person.tried, *steps]) if at > since)

    def _rates_of(self, known: Person) -> Rates:
        return self._rates.setdefault(known.line, {})

    def _lawful(self, guard: Snapshot) -> list[Window]:
        """The windows from now on as `timing` looks them up, cut out of those of the whole time."""
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

    # Quotes

    def _holds(self, quote: _Quote) -> dict[Hold, datetime | None]:
        person = self._persons[quote.known.person_id]
        holds = dict(quote.watched.holds)
        for hold, is_so in ((Hold.with_us, person.busy > 0), (Hold.promise, person.promised)):
            holds.pop(hold, None)
            if is_so:
                holds[hold] = None
        return holds

    def _check_quote(self, quote: _Quote) -> None:
        watched = quote.watched
        if not quote.is_open and watched.ended_at is None:
            return
        person = self._persons[quote.known.person_id]
        patience = Patience.of_seconds(quote.known.stale_seconds)
        finding = look(replace(watched, holds=self._holds(quote)), person.known.calendar, self.now, patience)
        if finding.next_check_at is not None:
            self._alarm("check", quote.known.id, finding.next_check_at)
        elif Hold.with_us in finding.holds:
            self._look_again(quote, nurturing.WITH_US_REST)
        elif finding.holds:
            self._look_again(quote, nurturing.BUSY_REST)
        if finding.reason is not None:
            self._act(quote, person, finding)

    def _look_again(self, quote: _Quote, rest: timedelta) -> None:
        stale_after = timedelta(seconds=quote.known.stale_seconds)
        self._alarm("check", quote.known.id, self.now + min(stale_after, rest))

    def _act(self, quote: _Quote, person: _Person, finding: Finding) -> None:
        live = self._live_of(person.known.id)
        if live is not None and not _gives_way(live, quote, finding):
            self._look_again(quote, nurturing.BUSY_REST)
            return
        if quote.reached >= nurturing.MOST_TALKS:
            self._block("talked_in_vain", person.known.id, quote.known.id, None)
            return
        verdict = self._ask(person, quote.known.lead_id)
        if not verdict.allowed:
            self._stopped(verdict, person.known.id, quote.known.id)
        if verdict.until is not None:
            self._alarm("check", quote.known.id, verdict.until)
            return
        if not verdict.allowed:
            return  # a pause of the campaign has no end we know of
        if live is not None:
            self._leave(live, "at_hand")
        for reason in finding.reasons:
            if reason is not Reason.undelivered and self._enrol(quote.known, person, Start(reason.value), quote):
                self._cancel("check", quote.known.id)
                self._go_on(self._enrolments[self._next_id - 1])
                return

    def _enrol(self, about: QuoteAhead | Booked, person: _Person, start: Start, quote: _Quote | None) -> bool:
        """A new enrolment; not when this quiet was enrolled in this cadence before, or he is in one."""
        key, plan = self.ahead.cadences[person.known.campaign_id][start]
        base = quote.watched.base if quote is not None else self.now
        if self._live_of(person.known.id) is not None or (quote is not None and (key, base) in quote.began):
            return False
        if quote is not None:
            quote.began.add((key, base))
            if start is Start.expired_winback:
                quote.watched = replace(quote.watched, won_back=True)
        made = EnrolmentAhead(
            self._next_id, person.known.id, about.lead_id, about.line_id, quote.known.id if quote else None, key, plan,
            start.value, EnrolmentState.active, self.now, base,
        )
        self._enrolments[made.id] = begun = _Enrolment.of(made)
        self._of_person.setdefault(person.known.id, []).append(begun)
        self._next_id += 1
        self._alarm("longest", made.id, self.now + enrolling.LONGEST)
        return True

    def _live_of(self, person_id: int) -> _Enrolment | None:
        return next((
            one for one in self._of_person.get(person_id, ()) if one.state is not EnrolmentState.exited
        ), None)

    def _quote_ends(self, quote: _Quote) -> None:
        """Its time is over."""
        if not quote.is_open:
            return
        quote.watched = replace(quote.watched, is_open=False, ended_at=self.now)
        self._cancel("check", quote.known.id)
        live = self._live_of(quote.known.person_id)
        if live is not None and live.known.quote_id == quote.known.id:
            self._leave(live, "expired")
        if not quote.last_word:
            self._alarm("check", quote.known.id, self.now)

    def _moved_by_person(self, person_id: int) -> None:
        for quote in self._open_of.get(person_id, ()):
            if quote.is_open and quote.watched.base < self.now:
                self._new_base(quote)

    def _new_base(self, quote: _Quote) -> None:
        signing_at = self.now if quote.watched.signing_at is not None else None
        quote.watched = replace(quote.watched, base=self.now, signing_at=signing_at)

    # Inside a cadence

    def _ways(self, enrolment: _Enrolment) -> frozenset[Way]:
        known = self._persons[enrolment.known.person_id].known
        ways = known.ways
        if known.replies_until is not None and self.now >= known.replies_until:
            ways -= {Way.whatsapp}
        return ways if not enrolment.no_number else ways - {Way.sms, Way.call_task, Way.whatsapp}

    def _inside(self, enrolment: _Enrolment) -> Inside:
        known = enrolment.known
        quote = self._quotes.get(known.quote_id or 0)
        opened = quote.watched.opened_at if quote is not None else None
        conditions = {
            Skip.opened: opened is not None and opened >= known.created_at,
            Skip.not_opened: quote is not None and opened is None,
            Skip.talked: "talked" in enrolment.outcomes, Skip.replied: "replied" in enrolment.outcomes,
        }
        ends = quote.watched.valid_until if quote is not None and known.reason not in enrolling.AFTERWARDS else None
        steps = sorted(enrolment.steps.values(), key=lambda one: one.n)
        return Inside(
            plan=known.plan, enrolled_at=known.created_at, valid_until=ends,
            past=tuple(
                Past(one.n, one.began_at or one.planned_at, one.ended_at or one.planned_at,
                     skipped=one.state is StepState.skipped and one.began_at is None)
                for one in steps if one.state in (StepState.done, StepState.skipped)
            ),
            running=next((one.n for one in steps if one.state is StepState.waiting), None),
            calls=enrolment.calls, messages=enrolment.messages, not_before=enrolment.not_before,
            other_band=enrolment.other_band, again=enrolment.again, ways=self._ways(enrolment),
            true=frozenset(name for name, holds in conditions.items() if holds), resumed_at=enrolment.resumed_at,
        )  # fmt: skip

    def _go_on(self, enrolment: _Enrolment) -> None:
        if not self._ways(enrolment):
            self._leave(enrolment, "no_way")
            return
        times = self._times(self._persons[enrolment.known.person_id])
        while enrolment.state in enrolling.INSIDE:
            decision = next_step(self._inside(enrolment), times, self.now)
            for n, _ in decision.skipped:
                self._skip(self._row(enrolment, n, self.now, self.now))
            if decision.word is Word.exit:
                self._leave(enrolment, decision.reason)
            elif decision.word is Word.do and decision.due_at and decision.not_after:
                step = self._row(enrolment, decision.n, decision.due_at, decision.not_after)
                if self._plan(enrolment, step, is_call=decision.way is Way.call_task):
                    continue  # it was left out: the next one
            return

    def _row(self, enrolment: _Enrolment, n: int, due_at: datetime, not_after: datetime) -> _Step:
        step = enrolment.steps.get(n)
        if step is None:
            step = enrolment.steps[n] = _Step(n, StepState.planned, self.now, due_at, not_after)
        step.state, step.planned_at, step.due_at, step.not_after = StepState.planned, self.now, due_at, not_after
        step.hurried = False
        return step

    def _skip(self, step: _Step) -> None:
        step.state, step.ended_at = StepState.skipped, self.now

    def _plan(self, enrolment: _Enrolment, step: _Step, *, is_call: bool) -> bool:
        verdict = self._consult(enrolment, step)
        if verdict.word == "deny":
            return self._refused(enrolment, step, verdict)
        if verdict.until is not None and verdict.until > step.due_at:
            self._put_off(enrolment, step, verdict.until, verdict)
            return False
        self._plan_announcement(enrolment, step)
        if is_call and step.due_at <= self.now:
            self._call(enrolment, step)
        else:
            self._alarm("step", enrolment.known.id, step.due_at, step.n)
        return False

    # Announcements: the verbs of `enrolling` and `announcing`

    def _plan_announcement(self, enrolment: _Enrolment, step: _Step) -> None:
        plan = enrolment.known.plan.step(step.n)
        if plan is None or step.tries or step.announced_at is not None:
            return
        at = announced_at(plan, step.due_at, self.now)
        if at is None:
            self._cancel("announce", enrolment.known.id, step.n)
        else:
            self._alarm("announce", enrolment.known.id, at, step.n)

    def _announce(self, enrolment: _Enrolment, step: _Step) -> None:
        known, plan, inside = enrolment.known, enrolment.known.plan.step(step.n), self._inside(enrolment)
        person = self._persons[known.person_id]
        if plan is None or step.state is not StepState.planned or enrolment.state not in enrolling.INSIDE:
            return
        if step.due_at < self.now + timedelta(minutes=LEAST_NOTICE) or left_out(plan, inside)[1] is None:
            return
        expired = inside.valid_until is not None and inside.valid_until <= step.due_at
        if expired or any(one in inside.true for one in plan.stop_on):
            return
        if Way.sms not in inside.ways or person.busy or self.ahead.nurture_off:
            return
        snapshot = self._snapshot(person, known.lead_id, Purpose.commercial)
        if not may_contact(once_announced(snapshot, self.now), step.due_at).allowed:
            return
        text = may_contact(replace(snapshot, channel=Channel.sms), self.now)
        if text.until is not None and text.until + timedelta(minutes=LEAST_NOTICE) <= step.due_at:
            self._alarm("announce", known.id, text.until, step.n)
        elif text.allowed:
            step.announced_at = self.now
            person.tries.append(Try(self.now, Purpose.commercial, "sms"))
            self.contacts.append(Contacted(self.now, "text", person.known.id))

    def _with_call(self, person: _Person, one: Try, step: _Step | None) -> Try:
        """A try as it counts about this step's call, which it may have announced: the two are one, for so long."""
        rule = person.known.guard.pack.announcement
        if step is None or one.at != step.announced_at or one.channel != "sms" or rule is None:
            return one
        return replace(one, with_call=one.at > self.now - timedelta(hours=rule.within_hours))

    def _consult(self, enrolment: _Enrolment, step: _Step) -> Verdict:
        known, plan = enrolment.known, enrolment.known.plan.step(step.n)
        purpose = Purpose(plan.needs) if plan is not None else Purpose.commercial
        return self._ask(self._persons[known.person_id], known.lead_id, purpose=purpose, about=step)

    def _refused(self, enrolment: _Enrolment, step: _Step, verdict: Verdict) -> bool:
        rule = verdict.rules[0]
        self._stopped(verdict, enrolment.known.person_id, enrolment.known.quote_id)
        if rule == "campaign.paused":
            return False  # as long as nobody lets it go on
        if rule.startswith(enrolling.ENDING) and rule not in enrolling.OF_THE_NUMBER:
            self._leave(enrolment, rule)
            return False
        self._skip(step)
        return True

    def _put_off(self, enrolment: _Enrolment, step: _Step, until: datetime, verdict: Verdict | None = None) -> None:
        known = enrolment.known
        plan = known.plan.step(step.n)
        calendar = self._persons[known.person_id].known.calendar
        step.due_at, step.not_after = until, add(calendar, until, plan.not_after if plan else 480, Unit.bmin)
        if verdict is not None:
            self._stopped(verdict, known.person_id, known.quote_id)
        self._alarm("step", known.id, until, step.n)
        self._plan_announcement(enrolment, step)

    def _step_due(self, enrolment: _Enrolment, step: _Step) -> None:
        known = enrolment.known
        if step.state is not StepState.planned or enrolment.state not in enrolling.INSIDE:
            return
        quote = self._quotes.get(known.quote_id or 0)
        if quote is not None and quote.watched.valid_until <= self.now and known.reason not in enrolling.AFTERWARDS:
            self._leave(enrolment, "expired")
        elif self.now > step.not_after:
            self._replan(enrolment, step)
        else:
            self._do(enrolment, step)

    def _do(self, enrolment: _Enrolment, step: _Step) -> None:
        plan, inside = enrolment.known.plan.step(step.n), self._inside(enrolment)
        if plan is None:
            return
        _, way = left_out(plan, inside)
        if stop := [one for one in plan.stop_on if one in inside.true]:
            self._leave(enrolment, stop[0].value)
            return
        if way is None:
            self._skip(step)
            self._go_on(enrolment)
            return
        verdict = self._consult(enrolment, step)
        if verdict.word == "deny":
            if self._refused(enrolment, step, verdict):
                self._go_on(enrolment)
        elif verdict.until is not None:
            self._put_off(enrolment, step, verdict.until, verdict)
        elif way is Way.call_task:
            self._call(enrolment, step)
        else:
            self._text(enrolment, step, way, plan.template or "offer_again")

    def _replan(self, enrolment: _Enrolment, step: _Step) -> None:
        calendar = self._persons[enrolment.known.person_id].known.calendar
        at = next_business(calendar, self.now) + spread(enrolment.known.id)
        verdict = self._consult(enrolment, step)
        if verdict.word == "deny":
            if self._refused(enrolment, step, verdict):
                self._go_on(enrolment)
            return
        self._put_off(enrolment, step, max(at, verdict.until or at))

    def _text(self, enrolment: _Enrolment, step: _Step, way: Way, template: str) -> None:
        if not self._has_link(enrolment, template):
            self._skip(step)
        else:
            self._send(enrolment, way)
            step.state, step.began_at, step.ended_at = StepState.done, self.now, self.now
        self._go_on(enrolment)

    def _has_link(self, enrolment: _Enrolment, template: str) -> bool:
        quote = self._quotes.get(enrolment.known.quote_id or 0)
        if quote is None or template in ("missed_you", "how_is_it"):
            return True
        return quote.known.can_send and quote.is_open

    def _send(self, enrolment: _Enrolment, way: Way) -> None:
        person = self._persons[enrolment.known.person_id]
        person.tries.append(Try(self.now, Purpose.commercial, "mail" if way is Way.email else way.value))
        self.contacts.append(Contacted(self.now, "mail" if way is Way.email else "text", person.known.id))
        enrolment.messages += 1

    def _missed_text(self, enrolment: _Enrolment) -> None:
        if enrolment.state is not EnrolmentState.active or enrolment.messages >= MOST_MESSAGES:
            return
        if Way.sms not in self._ways(enrolment):
            return
        known = enrolment.known
        verdict = self._ask(self._persons[known.person_id], known.lead_id)
        if verdict.until is not None and verdict.until - self.now <= stepping.MISSED_WITHIN:
            self._alarm("text", known.id, verdict.until)
        if not verdict.allowed:
            return
        left = enrolment.outcomes[-1:] == [Disposition.voicemail_left.value] and known.quote_id is not None
        if self._has_link(enrolment, "offer_again" if left else "missed_you"):
            self._send(enrolment, Way.sms)

    # Calls

    def _call(self, enrolment: _Enrolment, step: _Step) -> None:
        known = enrolment.known
        person, plan = self._persons[known.person_id], known.plan.step(step.n)
        if person.busy:
            self._put_off(enrolment, step, self.now + enrolling.WITH_US_REST)
            return
        if known.line_id is None or plan is None:
            self._skip(step)
            self._go_on(enrolment)
            return
        enrolment.state = EnrolmentState.awaiting_agent
        step.state, step.began_at, step.tries = StepState.waiting, self.now, step.tries + 1
        step.band = band_of(self.now, person.known.zone)
        calendar = person.known.calendar
        life = (plan.life, Unit.bmin) if plan.life else (enrolling.UNWORKED_HOURS, Unit.bh)
        self._waits(enrolment, step, add(calendar, self.now, *life))
        if not plan.wait_for_completion:
            self._go_on(enrolment)

    def _waits(self, enrolment: _Enrolment, step: _Step, until: datetime | None, *, held: bool = False) -> None:
        """It waits for whoever is there first. `held`: somebody is at it already, and it is counted no more."""
        person = self._persons[enrolment.known.person_id]
        person.busy += 1
        step.dialled = held
        if held:
            outcome = self._outcome(person, enrolment.known.key, step.n, step.tries)
            step.outcome = outcome.value
            seconds = self._seconds(enrolment.known.line_id, outcome)
            self._alarm("over", enrolment.known.id, self.now + timedelta(seconds=seconds), step.n)
            return
        if until is not None:
            self._alarm("unworked", enrolment.known.id, until, step.n)
        if (at := self._somebody(enrolment)) is not None:
            self._alarm("dial", enrolment.known.id, at, step.n)

    def _somebody(self, enrolment: _Enrolment) -> datetime | None:
        known = enrolment.known
        at = None if self.ahead.nurture_off else self.ahead.there(known.line_id, self.now)
        if at is None or at > self.now:
            rule = "nurture.off" if self.ahead.nurture_off else "unstaffed"
            self._block(rule, known.person_id, known.quote_id, at)
        return at

    def _dial(self, enrolment: _Enrolment, step: _Step) -> None:
        known = enrolment.known
        if step.state is not StepState.waiting:
            return
        person = self._persons[known.person_id]
        verdict = self._ask(person, known.lead_id, about=step)
        step.dialled = True
        if not verdict.allowed:
            self._stopped(verdict, known.person_id, known.quote_id)
            self._end_call(enrolment, step, Disposition.not_permitted)
            return
        outcome = self._outcome(person, known.key, step.n, step.tries)
        seconds = self._seconds(known.line_id, outcome)
        person.tries[:] = [self._with_call(person, one, step) for one in person.tries]
        self._dialled(person, seconds)
        step.outcome = outcome.value
        self._alarm("over", known.id, self.now + timedelta(seconds=seconds), step.n)

    def _outcome(self, person: _Person, key: str, n: int, tries: int) -> Disposition:
        known = person.known
        chance = Caller(known.zone, rates=self._rates_of(known)).chance(self.now)
        return drawn(chance, self.ahead.mix, lots_of(self.seed, known.id, key, n, tries))

    def _seconds(self, line_id: int | None, outcome: Disposition) -> int:
        line = self.ahead.lines.get(line_id or 0)
        return line.handle_seconds if line is not None and ANSWERED.get(outcome) else UNANSWERED_SECONDS

    def _dialled(self, person: _Person, seconds: int, purpose: Purpose = Purpose.commercial) -> None:
        person.tries.append(Try(self.now, purpose, "call"))
        self.contacts.append(Contacted(self.now, "call", person.known.id, seconds))

    def _call_over(self, enrolment: _Enrolment, step: _Step) -> None:
        self._end_call(enrolment, step, Disposition(step.outcome))

    def _end_call(self, enrolment: _Enrolment, step: _Step, outcome: Disposition) -> None:
        """What `nurturing.task_closed` does for a cadence's own call."""
        known = enrolment.known
        person, quote = self._persons[known.person_id], self._quotes.get(known.quote_id or 0)
        person.busy -= 1
        if ANSWERED.get(outcome):
            self._moved_by_person(known.person_id)
        self._remember(person, outcome)
        self._count_answer(person, outcome)
        self._sequel(enrolment, step, outcome)
        if quote is None or not quote.is_open:
            return
        if outcome not in nurturing.UNREACHED:
            self._new_base(quote)
        quote.last_word = quote.last_word or outcome in FINAL
        if outcome in FINAL or outcome in nurturing.NOT_HIS:
            self._cancel("check", quote.known.id)
            return
        live = self._live_of(known.person_id)
        if live is None or live.known.quote_id != quote.known.id:
            stale_after = timedelta(seconds=quote.known.stale_seconds)
            rest = stale_after if outcome not in nurturing.UNREACHED else min(stale_after, nurturing.BUSY_REST)
            self._alarm("check", quote.known.id, self.now + rest)

    def _remember(self, person: _Person, outcome: Disposition) -> None:
        """What the guard sees of it from now on."""
        if outcome is Disposition.do_not_call:
            person.barred.append(Barred("asked"))
        elif outcome is Disposition.wrong_number:
            person.barred.append(Barred("wrong_number"))
        elif outcome is Disposition.not_interested:
            person.refused_at = self.now

    def _count_answer(self, person: _Person, outcome: Disposition) -> None:
        known = person.known
        answered, band = ANSWERED.get(outcome), band_of(self.now, known.zone)
        if answered is None or not band:
            return
        rates = self._rates.setdefault(known.line, {})
        place = (Caller(known.zone).weekday(self.now), band)
        rates[place] = rates.get(place, Counted()).plus(answered, self.now)

    def _sequel(self, enrolment: _Enrolment, step: _Step, outcome: Disposition) -> None:
        known = enrolment.known
        self._cancel("unworked", known.id, step.n)
        if step.state is not StepState.waiting:
            return
        before = [one for one in enrolment.outcomes if one not in ("talked", "replied")]
        calendar = self._persons[known.person_id].known.calendar
        sequel = after_outcome(outcome, before, calendar, self.now, known.plan.outcomes)
        enrolment.outcomes.append(outcome.value)
        enrolment.calls += sequel.counts
        enrolment.not_before, enrolment.other_band = sequel.earliest, sequel.other_band
        enrolment.no_number = enrolment.no_number or sequel.no_number
        enrolment.again = step.n if sequel.then == "again" else None
        step.outcome = outcome.value
        if sequel.then == "again":
            step.state = StepState.canceled
        else:
            step.state, step.ended_at = StepState.done, self.now
        if enrolment.state is EnrolmentState.exited:
            return
        self._follow(enrolment, sequel.then, sequel.reason, outcome)

    def _follow(self, enrolment: _Enrolment, then: str, reason: str, outcome: Disposition) -> None:
        known = enrolment.known
        person = self._persons[known.person_id]
        if then in ("next", "again") and enrolment.state is not EnrolmentState.paused:
            enrolment.state = EnrolmentState.active
            if outcome in nurturing.TEXT_AFTER and enrolment.outcomes.count(outcome.value) == 1:
                self._alarm("text", known.id, self.now)
            self._go_on(enrolment)
        elif then == "exit":
            self._leave(enrolment, "reached" if outcome in nurturing.LED_ON else reason)
        elif then == "review":
            self._rest(enrolment, "unclassified", None)
        elif then == "pause" and outcome is Disposition.callback:
            if person.promised:
                self._rest(enrolment, "promise", None)
            else:
                self._leave(enrolment, "reached")
        elif then == "pause":
            days = nurturing.INFORMATION_DAYS
            self._rest(enrolment, reason, add(person.known.calendar, self.now, days, Unit.bd))

    def _unworked(self, enrolment: _Enrolment, step: _Step) -> None:
        """Nobody has taken the call."""
        if step.state is not StepState.waiting or enrolment.state is not EnrolmentState.awaiting_agent or step.dialled:
            return
        known = enrolment.known
        plan = known.plan.step(step.n)
        if plan is not None and not plan.life and not step.hurried:
            step.hurried = True
            calendar = self._persons[known.person_id].known.calendar
            self._alarm("unworked", known.id, add(calendar, self.now, enrolling.UNWORKED_HOURS, Unit.bh), step.n)
            return
        self._withdraw(enrolment, step)
        self._skip(step)
        enrolment.state = EnrolmentState.active
        self._go_on(enrolment)

    def _withdraw(self, enrolment: _Enrolment, step: _Step) -> bool:
        """Whether the call waited, and waits no more."""
        if step.dialled:
            return False
        self._persons[enrolment.known.person_id].busy -= 1
        for kind in ("dial", "unworked"):
            self._cancel(kind, enrolment.known.id, step.n)
        return True

    # Ends and rests

    def _leave(self, enrolment: _Enrolment, reason: str) -> None:
        if enrolment.state is EnrolmentState.exited:
            return
        known = enrolment.known
        enrolment.state = EnrolmentState.exited
        quote = self._quotes.get(known.quote_id or 0)
        for kind in ("resume", "longest"):
            self._cancel(kind, known.id)
        self._drop_plans(enrolment)
        if reason == "reached" and quote is not None:
            quote.reached += 1
        if reason == "done" and quote is not None:
            self._alarm("check", quote.known.id, self.now + enrolling.DONE_REST)

    def _drop_plans(self, enrolment: _Enrolment) -> None:
        for step in enrolment.steps.values():
            if step.state is StepState.planned:
                for kind in ("step", "announce"):
                    self._cancel(kind, enrolment.known.id, step.n)
            elif step.state is not StepState.waiting or not self._withdraw(enrolment, step):
                continue
            step.state = StepState.canceled

    def _rest(self, enrolment: _Enrolment, reason: str, until: datetime | None) -> None:
        if enrolment.state is EnrolmentState.exited:
            return
        known = enrolment.known
        if enrolment.state is not EnrolmentState.paused:
            self._drop_plans(enrolment)
            enrolment.state = EnrolmentState.paused
        enrolment.paused_reason = reason
        self._cancel("resume", known.id)
        if until is not None:
            self._alarm("resume", known.id, until)

    def _resume(self, enrolment: _Enrolment, why: Sequence[str] = ()) -> None:
        if enrolment.state is not EnrolmentState.paused or (why and enrolment.paused_reason not in why):
            return
        self._cancel("resume", enrolment.known.id)
        enrolment.state, enrolment.paused_reason, enrolment.resumed_at = EnrolmentState.active, "", self.now
        self._go_on(enrolment)

    # Calls that stand already

    def _dial_booked(self, booked: Booked) -> None:
        person = self._persons[booked.person_id]
        purpose = Purpose.commercial if booked.commercial else Purpose.requested
        verdict = self._ask(person, booked.lead_id, purpose=purpose)
        if verdict.until is not None:
            self._stopped(verdict, booked.person_id, None)
            self._alarm("booked", booked.task_id, verdict.until)
            return
        if not verdict.allowed:
            self._stopped(verdict, booked.person_id, None)
            return
        at = self.ahead.there(booked.line_id, self.now)
        if at is None or at > self.now:
            self._block("unstaffed", booked.person_id, None, at)
            if at is not None:
                self._alarm("booked", booked.task_id, at)
            return
        outcome = self._outcome(person, f"task {booked.task_id}", 0, 0)
        seconds = self._seconds(booked.line_id, outcome)
        self._dialled(person, seconds, purpose)
        person.busy += 1
        self._alarm("booked_over", booked.task_id, self.now + timedelta(seconds=seconds))
        self._booked[booked.task_id] = replace(booked, outcome=outcome)

    def _booked_over(self, booked: Booked) -> None:
        person, outcome = self._persons[booked.person_id], booked.outcome or Disposition.no_answer
        person.busy = self._waiting(booked.person_id)
        if ANSWERED.get(outcome):
            self._moved_by_person(booked.person_id)
        self._remember(person, outcome)
        self._count_answer(person, outcome)
        was_promised = booked.promised and person.promised
        person.promised = person.promised and not booked.promised
        live = self._live_of(booked.person_id)
        if live is not None and outcome in FINAL:
            self._leave(live, outcome.value)
        elif live is not None:
            self._resume(live, ("talk", "inbound", "promise"))
        elif was_promised and not ANSWERED.get(outcome) and self._no_show(booked, person):
            self._go_on(self._enrolments[self._next_id - 1])

    def _no_show(self, booked: Booked, person: _Person) -> bool:
        """Whether he comes into the cadence for who was not there when it was arranged."""
        allowed = self._ask(person, booked.lead_id).word != "deny"
        return allowed and bool(person.known.guard.phone) and self._enrol(booked, person, Start.no_show, None)


def _gives_way(live: _Enrolment, quote: _Quote, finding: Finding) -> bool:
    at_hand: Iterable[str] = [one.value for one in nurturing.AT_HAND]
    return (
        finding.reason in nurturing.AT_HAND and live.known.quote_id == quote.known.id
        and live.known.reason not in at_hand and live.state is EnrolmentState.active
        and live.known.idle_base != quote.watched.base
    )
