"""Recordings: what the journal says of a stretch of time, as values that can be played again.

All times are seconds since the stretch began. What was before it, or at its edges, is played along but not counted: at
the moment from which on is counted the desks should be as they were.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from router.model.agents import PAUSED_BY_MISSES, PAUSED_BY_ONCE, WILLING, Wish
from router.model.consultations import ConsultationState
from router.model.hours import Opening, spans_from
from router.model.routing import ONE_OF_EACH, PLAIN, Channel, Needs, Rules
from router.model.tasks import TIER_FRESH, TIER_PROMISE, TRANSFERRED, TaskKind, TaskState, occupies

Span = tuple[float, float]


class End(StrEnum):
    """What became of who came in line. `abandoned`: he left. `expired`: he was given up, for he had waited too long.
    `withdrawn`: there was no more to wait for. `unreached`: he was called, and did not pick up. `waiting`: nobody had
    come to him when the stretch ended."""

    answered = "answered"
    abandoned = "abandoned"
    expired = "expired"
    withdrawn = "withdrawn"
    unreached = "unreached"
    waiting = "waiting"


class Answer(StrEnum):
    """How an agent did not take what rang at him: he missed it, rejected it (or let its preview pass), or had taken it
    and was `unreachable`: his telephone was busy, silent or gone."""

    missed = "missed"
    rejected = "rejected"
    unreachable = "unreachable"


class Ring(NamedTuple):
    """It rang at this agent, or was with him in vain, for so many seconds, and came to nothing."""

    agent: int
    answer: Answer
    seconds: float


class Asked(NamedTuple):
    """A colleague was asked about a talk that had lasted `after_s`, for so many seconds, and then `takes_over` or
    not."""

    after_s: float
    agent: int
    for_s: float
    takes_over: bool


class Row(msgspec.Struct, frozen=True):
    """From this age on a task needs only this, and counts as having waited so much longer."""

    from_s: float
    needs: Needs
    credit_s: float = 0.0


class Terms(msgspec.Struct, frozen=True):
    """What a task waits under: what its queue needs, the rules it is given out by, and what is in time."""

    needs: Needs = {}
    rules: Rules = PLAIN
    rows: tuple[Row, ...] = ()
    newest_first: bool = False
    target_s: float = 20.0


class Item(msgspec.Struct, frozen=True):
    """One wait of a task, and what became of it. It came in line `at`, its age counts from `since`. `waited_s` is how
    long it stood in line until it was answered, or ended. `ring_s` is from the ring that was accepted until the two
    were together, `handle_s` from then until its agent was free again; None where that never was. It was kept for the
    agent `prefers` until `prefers_until`. `counted`: it came in the time asked for, where somebody waits."""

    task: int
    at: float
    end: End
    waited_s: float
    terms: Terms = Terms()
    queue: int = 1
    pool: int = 1
    kind: TaskKind = TaskKind.call
    tier: int = 0
    since: float | None = None
    ring_s: float | None = None
    handle_s: float | None = None
    agent: int | None = None
    prefers: int | None = None
    prefers_until: float = 0.0
    counted: bool = True
    rings: tuple[Ring, ...] = ()
    on_line: bool = False
    fresh: bool = True
    follows: bool = False
    handed: bool = False
    asked: tuple[Asked, ...] = ()

    @property
    def channel(self) -> Channel:
        return occupies(self.kind)

    @property
    def expires(self) -> bool:
        """Whether it is given up when it has waited for too long."""
        return self.kind in (TaskKind.call, TaskKind.nurture) and self.tier != TIER_PROMISE and not self.on_line


class Presence(msgspec.Struct, frozen=True):
    """An agent was there from then until then, but for what the house had paused him. `pauses`: he only paused
    afterwards, and kept his turn. `says`: he said so himself at its beginning; else his browser was back. `once`: he
    wanted only one more."""

    begins: float
    ends: float
    pauses: bool = False
    says: bool = True
    once: bool = False


class Rest(NamedTuple):
    """The house had paused an agent, until what he did next; `once`: after the only one he wanted, else after what he
    had missed."""

    begins: float
    ends: float
    once: bool = False


class Desk(msgspec.Struct, frozen=True):
    """An agent, with what he can do, when he was there, and when the house had paused him."""

    id: int
    spans: tuple[Presence, ...]
    login: str = ""
    pool: int = 1
    skills: Needs = {}
    capacity: Mapping[Channel, int] = ONE_OF_EACH
    weight: float = 1.0
    most: int = 0
    rests: tuple[Rest, ...] = ()


class Timetable(msgspec.Struct, frozen=True):
    """What becomes of who waits in a queue, and the `terms` of who comes into it from another, all as of today. Whom an
    agent has refused he is not offered again for `exclude_s`. Whoever has waited `overflow_s` (0: no such time), or is
    there while it is closed, is taken over by the queue `overflow`, if there is one; whoever has waited `expire_s` (0:
    no such time) is given up."""

    exclude_s: float = 60.0
    overflow: int | None = None
    overflow_s: float = 0.0
    expire_s: float = 0.0
    closed: tuple[Span, ...] = ()
    terms: Terms = Terms()
    pool: int = 1

    def overflows_at(self, since: float, now: float) -> float:
        """From when on somebody who waits there at `now`, and began to at `since`, is taken over."""
        if self.overflow is None:
            return math.inf
        closes = next((max(begins, now) for begins, ends in self.closed if ends > now), math.inf)
        return min(closes, since + self.overflow_s if self.overflow_s else math.inf)


PATIENT = Timetable()


def closed_spans(opening: Opening, starts: float, until: float) -> tuple[Span, ...]:
    """When a queue is closed in a stretch that begins at `starts` (seconds since 1970)."""
    begins = datetime.fromtimestamp(starts, UTC)
    found: list[Span] = []
    so_far = 0.0
    for span in spans_from(opening, begins, begins + timedelta(seconds=until)):
        opens = (span.start - begins).total_seconds()
        if opens > so_far:
            found.append((so_far, opens))
        so_far = (span.end - begins).total_seconds()
    return (*found, (so_far, math.inf)) if so_far < until else tuple(found)


class Recording(msgspec.Struct, frozen=True):
    """A stretch that begins at `starts` (seconds since 1970) and ends at `until`; counted is from `begins` to `ends`.
    `midnights` are those within it. `queues` are all that share agents, each with its key, "campaign/queue",
    `timetables` their own; `asked` are those of them that are counted."""

    items: tuple[Item, ...]
    desks: tuple[Desk, ...]
    until: float
    begins: float = 0.0
    ends: float = 0.0
    midnights: tuple[float, ...] = ()
    queues: Mapping[int, str] = {}
    asked: frozenset[int] = frozenset()
    timetables: Mapping[int, Timetable] = {}
    starts: float = 0.0

    def timetable(self, queue: int) -> Timetable:
        """The queue's own; a patient one where nothing is known of it."""
        return self.timetables.get(queue, PATIENT)


# --- from facts ------------------------------------------------------------------------------------------------------


class Told(NamedTuple):
    """A fact of a task: which state it took, whose it was then, and the reason that was given. It came from the queue
    `before` into another, and took no other state if that is None."""

    at: float
    state: TaskState | None
    agent: int | None = None
    tier: int | None = None
    reason: str = ""
    queue: int | None = None
    before: int | None = None


class Consulted(NamedTuple):
    """A fact of a consultation about a task: which state it took, and the colleague."""

    at: float
    state: ConsultationState
    agent: int


class Work(msgspec.Struct, frozen=True):
    """A task as it stands in the database. `since` is when its person began to wait, `rang_in` is when he was first on
    the telephone."""

    task: int
    queue: int
    pool: int
    kind: TaskKind
    tier: int
    since: float
    terms: Terms
    prefers: int | None = None
    prefers_until: float = 0.0
    rang_in: float = math.inf


class Wished(NamedTuple):
    """A fact of an agent: what he wanted from then on, or the house wanted of him for a `reason`."""

    at: float
    agent: int
    wish: Wish
    reason: str = ""

    @property
    def by_house(self) -> bool:
        """Whether the house paused him for what he missed, or had wanted only once."""
        return self.wish is Wish.paused and self.reason in (PAUSED_BY_MISSES, PAUSED_BY_ONCE)


@dataclass
class _Stay:
    """A wait while it is read: when and where it began, rang at its agent, was accepted, brought the two together and
    ended."""

    at: float
    tier: int | None
    queue: int
    reason: str
    follows: bool = False
    rang: float | None = None
    accepted: float | None = None
    together: float | None = None
    agent: int | None = None
    end: End = End.waiting
    ended: float | None = None
    rings: list[Ring] = field(default_factory=list)

    def rings_in_vain(self, at: float, reason: str) -> None:
        """It goes back to the line, whyever; of who refused it that is kept."""
        answer = _answer(reason)
        if answer is not None and self.agent is not None and self.rang is not None and at > 0:
            self.rings.append(Ring(self.agent, answer, round(at - max(self.rang, 0.0), 6)))
        self.rang = self.accepted = self.agent = None


_ANSWERS = {"rejected": Answer.rejected, "skipped": Answer.rejected, "missed": Answer.missed}
_AGENT_GONE = "agent_gone"
"""His browser did not answer any more: taken back from him, which is no answer of his."""


def _answer(reason: str) -> Answer | None:
    if reason.startswith("agent_") and reason != _AGENT_GONE:
        return Answer.unreachable
    return _ANSWERS.get(reason)


def items_of(
    work: Work, told: Iterable[Told], recording: Recording, consulted: Sequence[Consulted] = ()
) -> list[Item]:
    """The waits of a task, from all of its facts and its consultations' in order. Sent back before anybody was with its
    person it waits on. What happens after it was answered, e.g. a transfer, is no second wait to be counted."""
    stays = _stays(work, told)
    answered = next((n for n, stay in enumerate(stays) if stay.together is not None), len(stays))
    return [
        _item(work, stay, recording, _asked(stay, consulted), last=stay is stays[-1], counted=n <= answered)
        for n, stay in enumerate(stays) if stay.ended is None or stay.ended > 0
    ]


def _asked(stay: _Stay, consulted: Iterable[Consulted]) -> tuple[Asked, ...]:
    """Whom it was asked of while the two were together. One is asked at a time."""
    found: list[Asked] = []
    rang: float | None = None
    for at, state, agent in consulted:
        if stay.together is None or at < stay.together or (stay.ended is not None and at > stay.ended):
            continue
        if state is ConsultationState.ringing:
            rang = at
        elif rang is not None and state in (ConsultationState.completed, ConsultationState.ended) and at > 0:
            after_s, begins = max(rang, 0.0) - max(stay.together, 0.0), max(rang, 0.0)
            found.append(Asked(
                round(after_s, 6), agent, round(at - begins, 6), state is ConsultationState.completed
            ))
            rang = None
    return tuple(found)


def _stays(work: Work, told: Iterable[Told]) -> list[_Stay]:
    facts = list(told)
    queue = next((one.before for one in facts if one.before is not None), work.queue)
    found: list[_Stay] = []
    stay: _Stay | None = None
    for at, state, agent, tier, reason, onward, _ in facts:
        queue = queue if onward is None else onward
        if state is None:
            continue
        if stay is None:
            if state in (TaskState.scheduled, *_ENDS):
                continue
            stay = _Stay(at, tier, queue, reason)
            found.append(stay)
        match state:
            case TaskState.queued if stay.together is not None:
                stay.end, stay.ended = End.answered, at
                stay = _Stay(at, tier, queue, reason, follows=True)
                found.append(stay)
            case TaskState.queued:
                stay.rings_in_vain(at, reason)
            case TaskState.reserved:
                stay.rang, stay.agent = at, agent
            case TaskState.connecting:
                stay.accepted, stay.agent = at, agent
            case TaskState.engaged:
                stay.together, stay.agent = at, agent
            case TaskState.wrapping:
                pass
            case _:
                stay.end, stay.ended = _ended(stay, state), at
                stay = None
    return found


_ENDS = {
    TaskState.closed: End.unreached, TaskState.abandoned: End.abandoned, TaskState.expired: End.expired,
    TaskState.withdrawn: End.withdrawn, TaskState.scheduled: End.withdrawn,
}


def _ended(stay: _Stay, state: TaskState) -> End:
    return End.answered if stay.together is not None else _ENDS[state]


def _item(
    work: Work, stay: _Stay, recording: Recording, asked: tuple[Asked, ...], *, last: bool, counted: bool
) -> Item:
    ended = recording.until if stay.ended is None else stay.ended
    begun = stay.together if stay.together is not None else stay.accepted if stay.end is End.unreached else None
    rang = begun if stay.rang is None else stay.rang
    end = End.answered if stay.together is not None else stay.end
    tier = work.tier if stay.tier is None else stay.tier
    ring_s = handle_s = None
    if begun is not None and rang is not None:
        # Of what was under way when the stretch began only the rest is played.
        ring_s, handle_s = max(begun, 0.0) - max(rang, 0.0), ended - max(begun, 0.0)
    return Item(
        task=work.task, at=stay.at, end=end, waited_s=(ended if begun is None else begun) - stay.at,
        terms=work.terms if last and stay.queue == work.queue else recording.timetable(stay.queue).terms,
        queue=stay.queue, pool=work.pool, kind=work.kind, tier=tier, ring_s=ring_s,
        since=min(work.since, stay.at) if last else stay.at, handle_s=handle_s, agent=stay.agent,
        prefers=work.prefers if last else None, prefers_until=work.prefers_until if last else 0.0,
        counted=counted and tier <= TIER_FRESH and stay.queue in recording.asked
        and recording.begins <= stay.at < recording.ends, rings=tuple(stay.rings),
        on_line=work.rang_in <= stay.at, fresh=not stay.reason, follows=stay.follows,
        handed=stay.follows and stay.reason == TRANSFERRED, asked=asked,
    )


def busy_of(item: Item) -> Span | None:
    """From its ring until its agent was free again."""
    if item.agent is None or item.ring_s is None or item.handle_s is None:
        return None
    begun = item.at + item.waited_s
    return max(begun - item.ring_s, 0.0), max(begun, 0.0) + item.handle_s


def held_by(item: Item) -> list[tuple[int, Span]]:
    """Who was busy with it when: its agent, the colleagues who were asked, and whoever of them took it over."""
    span = busy_of(item)
    if span is None or item.agent is None:
        return []
    begins, ends = span
    talk = ends - (item.handle_s or 0.0)
    found: list[tuple[int, Span]] = []
    holder = item.agent
    for one in item.asked:
        rang, over = talk + one.after_s, talk + one.after_s + one.for_s
        if one.takes_over:
            found.append((holder, (begins, over)))
            holder, begins = one.agent, rang
        else:
            found.append((one.agent, (rang, over)))
    return [*found, (holder, (begins, ends))]


def presence_of(
    wished: Iterable[Wished], busy: Iterable[Span], until: float, silences: Sequence[Span] = ()
) -> tuple[Presence, ...]:
    """When an agent was there, from his facts in order: the last one before the stretch too. While the house had paused
    him he was there as far as he himself had said. While his browser was silent he was not; whoever was given something
    was there, whatever he had said."""
    found = _said(wished, until)
    for silence in silences:
        found = [piece for one in found for piece in _without(one, silence)]
    for begins, ends in busy:
        if not any(one.begins <= begins < one.ends for one in found):
            found.append(Presence(begins, ends, pauses=True))
    return _joined(one for one in found if one.begins < one.ends)


def _said(wished: Iterable[Wished], until: float) -> list[Presence]:
    """From when until when he himself said he was there."""
    found: list[Presence] = []
    since: float | None = None
    once = rests = False
    for one in wished:
        at = max(one.at, 0.0)
        if one.by_house and since is not None:
            rests = once
            continue
        if one.wish in WILLING and since is not None and not rests and once == (one.wish is Wish.ready_once):
            continue
        if since is not None:
            found.append(Presence(since, at, pauses=one.wish is not Wish.off, once=once))
        since = at if one.wish in WILLING else None
        once, rests = one.wish is Wish.ready_once, False
    if since is not None:
        found.append(Presence(since, until, once=once))
    return found


def rests_of(wished: Iterable[Wished], until: float) -> tuple[Rest, ...]:
    """When the house paused an agent in the stretch, from his facts in order, until what he did next."""
    found: list[Rest] = []
    since: Wished | None = None
    for one in wished:
        if since is not None:
            found.append(Rest(since.at, one.at, since.reason == PAUSED_BY_ONCE))
        since = one if one.by_house else None
    if since is not None:
        found.append(Rest(since.at, until, since.reason == PAUSED_BY_ONCE))
    return tuple(rest for rest in found if 0 <= rest.begins < rest.ends)


def without(spans: Iterable[Span], gaps: Iterable[Span]) -> list[Span]:
    """What is left of these spans outside the gaps."""
    left = list(spans)
    for begins, ends in gaps:
        left = [
            piece for one in left for piece in ((one[0], min(one[1], begins)), (max(one[0], ends), one[1]))
            if piece[0] < piece[1]
        ]
    return left


def _without(one: Presence, silence: Span) -> list[Presence]:
    begins, ends = silence
    if ends <= one.begins or begins >= one.ends:
        return [one]
    back = replace(one, begins=ends, says=one.says and begins <= one.begins)
    return [replace(one, ends=begins, pauses=True), back]


def _joined(spans: Iterable[Presence]) -> tuple[Presence, ...]:
    """In order, and those that overlap in one."""
    joined: list[Presence] = []
    for one in sorted(spans, key=lambda one: (one.begins, one.ends)):
        if joined and one.begins < joined[-1].ends:
            last = max(joined[-1], one, key=lambda each: each.ends)
            joined[-1] = replace(joined[-1], ends=last.ends, pauses=last.pauses)
        else:
            joined.append(one)
    return tuple(joined)
