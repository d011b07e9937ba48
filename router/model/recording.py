"""Recordings: what the journal says of a stretch of time, as values that can be played again.

All times are seconds since the stretch began. What was before it, or at its edges, is played along but not counted: at
the moment from which on is counted the desks should be as they were.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import msgspec

from router.model.agents import WILLING, Wish
from router.model.routing import ONE_OF_EACH, PLAIN, Channel, Needs, Rules
from router.model.tasks import TIER_FRESH, TaskKind, TaskState, occupies

Span = tuple[float, float]


class End(StrEnum):
    """What became of who came in line. `abandoned`: he left, or was given up. `withdrawn`: there was no more to wait
    for. `unreached`: he was called, and did not pick up. `waiting`: nobody had come to him when the stretch ended."""

    answered = "answered"
    abandoned = "abandoned"
    withdrawn = "withdrawn"
    unreached = "unreached"
    waiting = "waiting"


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

    @property
    def channel(self) -> Channel:
        return occupies(self.kind)


class Presence(msgspec.Struct, frozen=True):
    """An agent was there from then until then. `pauses`: he only paused afterwards, and kept his turn."""

    begins: float
    ends: float
    pauses: bool = False


class Desk(msgspec.Struct, frozen=True):
    """An agent, with what he can do and when he was there."""

    id: int
    spans: tuple[Presence, ...]
    login: str = ""
    pool: int = 1
    skills: Needs = {}
    capacity: Mapping[Channel, int] = ONE_OF_EACH
    weight: float = 1.0
    most: int = 0


class Recording(msgspec.Struct, frozen=True):
    """A stretch that ends at `until`; counted is from `begins` to `ends`. `midnights` are those within it. `queues` are
    all that share agents, each with its key, "campaign/queue"; `asked` those of them that are counted."""

    items: tuple[Item, ...]
    desks: tuple[Desk, ...]
    until: float
    begins: float = 0.0
    ends: float = 0.0
    midnights: tuple[float, ...] = ()
    queues: Mapping[int, str] = {}
    asked: frozenset[int] = frozenset()


# --- from facts ------------------------------------------------------------------------------------------------------


class Told(NamedTuple):
    """A fact of a task: which state it took, whose it was then."""

    at: float
    state: TaskState
    agent: int | None = None
    tier: int | None = None


class Work(msgspec.Struct, frozen=True):
    """A task as it stands in the database. `since` is when its person began to wait."""

    task: int
    queue: int
    pool: int
    kind: TaskKind
    tier: int
    since: float
    terms: Terms
    prefers: int | None = None
    prefers_until: float = 0.0


class Wished(NamedTuple):
    """A fact of an agent: what he wanted from then on."""

    at: float
    agent: int
    wish: Wish


@dataclass
class _Stay:
    """A wait while it is read: when it began, rang at its agent, was accepted, brought the two together and ended."""

    at: float
    tier: int | None = None
    rang: float | None = None
    accepted: float | None = None
    together: float | None = None
    agent: int | None = None
    end: End = End.waiting
    ended: float | None = None


def items_of(work: Work, told: Iterable[Told], recording: Recording) -> list[Item]:
    """The waits of a task, from all of its facts in order. Sent back before anybody was with its person it waits on.
    What happens after it was answered, e.g. a transfer, is no second wait to be counted."""
    stays = _stays(told)
    answered = next((n for n, stay in enumerate(stays) if stay.together is not None), len(stays))
    return [
        _item(work, stay, recording, work.since if stay is stays[-1] else stay.at, counted=n <= answered)
        for n, stay in enumerate(stays) if stay.ended is None or stay.ended > 0
    ]


def _stays(told: Iterable[Told]) -> list[_Stay]:
    found: list[_Stay] = []
    stay: _Stay | None = None
    for at, state, agent, tier in told:
        if stay is None:
            if state in (TaskState.scheduled, *_ENDS):
                continue
            stay = _Stay(at, tier)
            found.append(stay)
        match state:
            case TaskState.queued if stay.together is not None:
                stay.end, stay.ended = End.answered, at
                stay = _Stay(at, tier)
                found.append(stay)
            case TaskState.queued:
                stay.rang = stay.accepted = stay.agent = None
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
    TaskState.closed: End.unreached, TaskState.abandoned: End.abandoned, TaskState.expired: End.abandoned,
    TaskState.withdrawn: End.withdrawn, TaskState.scheduled: End.withdrawn,
}


def _ended(stay: _Stay, state: TaskState) -> End:
    return End.answered if stay.together is not None else _ENDS[state]


def _item(work: Work, stay: _Stay, recording: Recording, since: float, *, counted: bool) -> Item:
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
        task=work.task, at=stay.at, end=end, waited_s=(ended if begun is None else begun) - stay.at, terms=work.terms,
        queue=work.queue, pool=work.pool, kind=work.kind, tier=tier, since=min(since, stay.at), ring_s=ring_s,
        handle_s=handle_s, agent=stay.agent, prefers=work.prefers, prefers_until=work.prefers_until,
        counted=counted and tier <= TIER_FRESH and work.queue in recording.asked
        and recording.begins <= stay.at < recording.ends,
    )


def busy_of(item: Item) -> Span | None:
    """From its ring until its agent was free again."""
    if item.agent is None or item.ring_s is None or item.handle_s is None:
        return None
    begun = item.at + item.waited_s
    return max(begun - item.ring_s, 0.0), max(begun, 0.0) + item.handle_s


def presence_of(
    wished: Iterable[Wished], busy: Iterable[Span], until: float, silences: Sequence[Span] = ()
) -> tuple[Presence, ...]:
    """When an agent was there, from his facts in order: the last one before the stretch too. While his browser was
    silent he was not; whoever was given something was there, whatever he had said."""
    found: list[Presence] = []
    since: float | None = None
    for at, _, wish in wished:
        if wish in WILLING:
            since = max(at, 0.0) if since is None else since
        elif since is not None:
            found.append(Presence(since, max(at, 0.0), pauses=wish is Wish.paused))
            since = None
    if since is not None:
        found.append(Presence(since, until))
    for silence in silences:
        found = [piece for one in found for piece in _without(one, silence)]
    for begins, ends in busy:
        if not any(one.begins <= begins < one.ends for one in found):
            found.append(Presence(begins, ends, pauses=True))
    return _joined(one for one in found if one.begins < one.ends)


def _without(one: Presence, silence: Span) -> list[Presence]:
    begins, ends = silence
    if ends <= one.begins or begins >= one.ends:
        return [one]
    return [Presence(one.begins, begins, pauses=True), Presence(ends, one.ends, one.pauses)]


def _joined(spans: Iterable[Presence]) -> tuple[Presence, ...]:
    """In order, and those that overlap in one."""
    joined: list[Presence] = []
    for one in sorted(spans, key=lambda one: (one.begins, one.ends)):
        if joined and one.begins <= joined[-1].ends:
            last = max(joined[-1], one, key=lambda each: each.ends)
            joined[-1] = Presence(joined[-1].begins, last.ends, last.pauses)
        else:
            joined.append(one)
    return tuple(joined)
