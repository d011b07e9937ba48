"""Recordings: what the journal says of a stretch of time, as values that can be played again.

All times are seconds since the stretch began. What was before it, or at its edges, is played along but not counted: at
the moment from which on is counted the desks should be as they were.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

import msgspec

from router.model.abilities import Ability
from router.model.hours import Opening, spans_from
from router.model.routing import PLAIN, Channel, Needs, Rules
from router.model.tasks import TIER_PROMISE, TaskKind, occupies

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
    """An agent, with what he could do at first and from when on something else (`later`), when he was there, and when
    the house had paused him."""

    id: int
    spans: tuple[Presence, ...]
    login: str = ""
    ability: Ability = Ability()
    later: tuple[tuple[float, Ability], ...] = ()
    rests: tuple[Rest, ...] = ()

    @property
    def pools(self) -> set[int]:
        """Those he worked in at any time."""
        return {one.pool for one in (self.ability, *(able for _, able in self.later))}


class Timetable(msgspec.Struct, frozen=True):
    """What becomes of who waits in a queue, and the `terms` of who comes into it from another, all as of today. Whom an
    agent has refused he is not offered again for `exclude_s`. Whoever has waited `overflow_s` (0: no such time), or is
    there while it is closed, is taken over by the queue `overflow`, if there is one; whoever has waited `expire_s` (0:
    no such time) is given up. While its campaign was `paused` only who waits himself is given to anybody."""

    exclude_s: float = 60.0
    overflow: int | None = None
    overflow_s: float = 0.0
    expire_s: float = 0.0
    closed: tuple[Span, ...] = ()
    terms: Terms = Terms()
    pool: int = 1
    paused: tuple[Span, ...] = ()

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
    `midnights` are those within it, `nurture_paused` is when all nurture was. `queues` are all that share agents, each
    with its key, "campaign/queue", `timetables` their own; `asked` are those of them that are counted."""

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
    nurture_paused: tuple[Span, ...] = ()

    def timetable(self, queue: int) -> Timetable:
        """The queue's own; a patient one where nothing is known of it."""
        return self.timetables.get(queue, PATIENT)


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


def without(spans: Iterable[Span], gaps: Iterable[Span]) -> list[Span]:
    """What is left of these spans outside the gaps."""
    left = list(spans)
    for begins, ends in gaps:
        left = [
            piece for one in left for piece in ((one[0], min(one[1], begins)), (max(one[0], ends), one[1]))
            if piece[0] < piece[1]
        ]
    return left
