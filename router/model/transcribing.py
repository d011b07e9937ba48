"""Transcribing: the facts of a stretch of time become its recording."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from router.model.abilities import Ability
from router.model.agents import PAUSED_BY_MISSES, PAUSED_BY_ONCE, WILLING, Wish
from router.model.consultations import ConsultationState
from router.model.recording import Answer, Asked, End, Item, Presence, Recording, Rest, Ring, Span, Terms
from router.model.tasks import TIER_FRESH, TRANSFERRED, TaskKind, TaskState


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


class Changed(NamedTuple):
    """A fact of an agent: from then on he could do something else than before."""

    at: float
    before: Ability
    after: Ability


class Switched(NamedTuple):
    """A fact of what a supervisor pauses, and lets go on."""

    at: float
    pauses: bool


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


def abilities_of(
    changed: Sequence[Changed], now: Ability, until: float
) -> tuple[Ability, tuple[tuple[float, Ability], ...]]:
    """What an agent could do at first and later in the stretch, from all his changes since it began, those after it
    too; whoever has none was then as he is `now`."""
    first = changed[0].before if changed else now
    return first, tuple((one.at, one.after) for one in changed if one.at < until)


def elsewhere(
    first: Ability, later: Sequence[tuple[float, Ability]], pools: Collection[int], until: float
) -> list[Span]:
    """When an agent worked for none of these pools."""
    moments = [at for at, _ in later]
    able = [first, *(ability for _, ability in later)]
    return [
        (begins, ends) for one, begins, ends in zip(able, [0.0, *moments], [*moments, until], strict=True)
        if one.pool not in pools
    ]


def pauses_of(switched: Sequence[Switched], now: bool, until: float) -> tuple[Span, ...]:
    """When something was paused in the stretch, from all that was switched since it began, what came after it too;
    what was never switched is as it is `now`."""
    found: list[Span] = []
    was = not switched[0].pauses if switched else now
    since = 0.0
    for at, pauses in (*switched, Switched(math.inf, False)):
        if was:
            found.append((since, min(at, until)))
        since, was = at, pauses
    return tuple(span for span in found if span[0] < span[1])


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
