"""Replay: a recorded stretch played again by the very `match` that routes real people, as it was or with a change.

Each item comes when it came. Whoever is given one accepts it, after as long as it rang in reality, and is busy with it
for as long as its agent was. What never came to anybody rings and lasts as long as one of the same queue that did,
drawn by the seed. Who left leaves after just as long. Of who was answered nobody knows how long he would have stayed:
that long at least, and from there on as the exponential distribution says whose mean is the likeliest for his queue,
all its waiting divided by those who left. Where nobody left, everybody stays. The draws belong to the items, so that
two policies are compared on the same day.
"""

import heapq
import math
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from random import Random
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from router.model.recording import Desk, End, Item, Recording, Row, Span, busy_of
from router.model.routing import ORDINARY, Candidate, Channel, Head, Match, match, takes, why_not
from router.model.simulation import Day, Decide
from router.model.tasks import TaskKind

Group = tuple[int, TaskKind]
"""A queue and a kind of task: alike enough for one to stand for another."""

TOLD_EACH = 1_000
"""After so many more items it is told how far it has come."""


# --- what was not recorded -------------------------------------------------------------------------------------------


class Patience(NamedTuple):
    """How long people of a group stay in the mean (seconds), from so many who left; None where nobody did."""

    mean_s: float | None
    left: int


class Lot(NamedTuple):
    """What an item brings with it, whoever takes it: seconds of ringing and of handling, and when it leaves the line
    if nobody has come by then."""

    ring_s: float
    handle_s: float
    stays_s: float


def patience(items: Iterable[Item]) -> dict[Group, Patience]:
    """The likeliest mean patience of each group: who was answered stayed that long at least."""
    found: dict[Group, tuple[float, int]] = {}
    for item in items:
        waited, left = found.get(_group(item), (0.0, 0))
        found[_group(item)] = waited + item.waited_s, left + (item.end is End.abandoned)
    return {group: Patience(waited / left if left else None, left) for group, (waited, left) in found.items()}


def lots(items: Sequence[Item], seed: int) -> list[Lot]:
    """What each item brings with it; the same for the same seed."""
    stays = patience(items)
    taken: dict[Group | None, list[tuple[float, float]]] = {}
    for item in items:
        if item.ring_s is not None and item.handle_s is not None:
            taken.setdefault(_group(item), []).append((item.ring_s, item.handle_s))
            taken.setdefault(None, []).append((item.ring_s, item.handle_s))
    return [_lot(item, seed, stays[_group(item)], taken) for item in items]


def _lot(
    item: Item, seed: int, stays: Patience, taken: Mapping[Group | None, Sequence[tuple[float, float]]]
) -> Lot:
    chance = Random(f"{seed}/{item.task}")  # noqa: S311  a draw, not a secret
    ring_s, handle_s = item.ring_s, item.handle_s
    if ring_s is None or handle_s is None:
        ring_s, handle_s = chance.choice(taken.get(_group(item)) or taken.get(None) or [(0.0, 0.0)])
    if item.end in (End.abandoned, End.withdrawn):
        return Lot(ring_s, handle_s, item.waited_s)
    more = math.inf if stays.mean_s is None else chance.expovariate(1 / stays.mean_s) if stays.mean_s else 0.0
    return Lot(ring_s, handle_s, item.waited_s + more)


def _group(item: Item) -> Group:
    return item.queue, item.kind


# --- the stretch played again ----------------------------------------------------------------------------------------


class Ended(NamedTuple):
    """What became of an item, after so many seconds in line."""

    end: End
    waited_s: float


class Course(msgspec.Struct, frozen=True):
    """What became of each item, in the recording's order, and when which agent was busy."""

    ended: Sequence[Ended]
    busy: Mapping[int, Sequence[Span]]


def as_recorded(recording: Recording) -> Course:
    """What came of it in reality."""
    busy: dict[int, list[Span]] = {}
    for item in recording.items:
        if item.agent is not None and (span := busy_of(item)) is not None:
            busy.setdefault(item.agent, []).append(span)
    return Course([Ended(item.end, item.waited_s) for item in recording.items], busy)


def replay(
    recording: Recording, drawn: Sequence[Lot], decide: Decide = match,
    tell: Callable[[int, int], None] | None = None,
) -> Course:
    """Plays it again, each pool by itself. `drawn` are the lots of its items; `tell` hears now and then how many of all
    items have come."""
    ended: list[Ended | None] = [None] * len(recording.items)
    busy: dict[int, list[Span]] = {}
    came = 0

    def has_come(more: int) -> None:
        nonlocal came
        came += more
        if tell is not None and (came % TOLD_EACH == 0 or came == len(ended)):
            tell(came, len(ended))

    for pool in sorted({item.pool for item in recording.items}):
        played = _Replay(pool, recording, drawn, decide, has_come)
        for number, one in played.run().items():
            ended[number] = one
        busy |= played.busy()
    return Course([one for one in ended if one is not None], busy)


class _Seat:
    """An agent's seat while the stretch is played; see the columns of `router.model.agents.Agent`."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.there = self.rings = False
        self.load: dict[Channel, int] = {}
        self.idle_since = self.idle_kept = 0.0
        self.turn_kept_at: float | None = None
        self.busy_since = 0.0
        self.busy: list[Span] = []
        self.taken, self.busy_s, self.idle_s = 0, 0.0, 0.0

    def candidate(self) -> Candidate:
        desk, known = self.desk, self.busy_s + self.idle_s
        return Candidate(
            desk.id, self.idle_since * 1_000, desk.skills, dict(self.load), desk.capacity,
            self.busy_s / known if known else 0.0, self.taken, desk.weight, desk.most,
        )

    def unburdened(self) -> Candidate:
        """As if he held nothing."""
        return replace(self.candidate(), load={})

    def comes(self, now: float) -> None:
        self.there, self.idle_since, self.idle_kept = True, now - self.idle_kept, 0.0

    def goes(self, now: float, pauses: bool) -> None:
        until = now if self.turn_kept_at is None else self.turn_kept_at
        self.idle_kept = max(0.0, until - self.idle_since) if pauses else 0.0
        self.there, self.turn_kept_at = False, None

    def is_given(self, now: float, channel: Channel) -> None:
        if not self.load:
            self.busy_since = now
            self.idle_s += now - self.idle_since
        self.load[channel] = self.load.get(channel, 0) + 1
        self.turn_kept_at = now if self.turn_kept_at is None else self.turn_kept_at
        self.rings = True

    def accepts(self, now: float, costs_turn: bool) -> None:
        self.rings = False
        self.taken += 1
        if costs_turn:
            self.turn_kept_at, self.idle_kept, self.idle_since = None, 0.0, now

    def is_rid_of(self, now: float, channel: Channel) -> None:
        self.load[channel] -= 1
        if not self.load[channel]:
            del self.load[channel]
        if not self.load:
            self.busy.append((self.busy_since, now))
            self.busy_s += now - self.busy_since
        if self.turn_kept_at is None:
            self.idle_since, self.idle_kept = now, 0.0
        else:
            self.idle_since += now - self.turn_kept_at
            self.turn_kept_at = None


_COMES, _GOES, _DAWNS, _ARRIVES, _LEAVES, _TOGETHER, _FREE, _WIDENS, _LOOKS = range(9)


class _Replay(Day):
    """One pool, once. Items are known by their place in the recording."""

    def __init__(
        self, pool: int, recording: Recording, drawn: Sequence[Lot], decide: Decide, tell: Callable[[int], None]
    ) -> None:
        super().__init__(decide, ORDINARY)
        self._items, self._lots, self._until, self._tell = recording.items, drawn, recording.until, tell
        self._seats = {desk.id: _Seat(desk) for desk in recording.desks if desk.pool == pool}
        self._rows: dict[int, int] = {}
        self._newest_first: set[Hashable] = set()
        self._ringing: dict[int, Match] = {}
        self._ended: dict[int, Ended] = {}
        # What is known beforehand is in the line of events first: of two things at once a pause is the first.
        for seat in self._seats.values():
            for span in seat.desk.spans:
                self._push(span.begins, _COMES, seat)
                self._push(span.ends, _GOES, (seat, span.pauses))
        for midnight in recording.midnights:
            self._push(midnight, _DAWNS, None)
        for number, item in enumerate(self._items):
            if item.pool == pool:
                self._push(max(item.at, 0.0), _ARRIVES, number)

    def run(self) -> dict[int, Ended]:
        """Until the stretch ends."""
        handlers: tuple[Callable[[float, Any], None], ...] = (
            self._comes, self._goes, self._dawns, self._arrives, self._leaves, self._together, self._is_free,
            self._widens, self._looks,
        )
        while self._events and self._events[0][0] <= self._until:
            now, _, what, which = heapq.heappop(self._events)
            handlers[what](now, which)
            while self._in_line and self._free and self._round(now):
                pass
        for number in (*self._in_line, *self._ringing):
            self._ends(self._until, number, End.waiting)
        return self._ended

    def busy(self) -> dict[int, list[Span]]:
        """When who was busy, until the stretch ended."""
        return {
            seat.desk.id: [*seat.busy, *([(seat.busy_since, self._until)] if seat.load else [])]
            for seat in self._seats.values()
        }

    def _at(self, at: float, what: int, which: object) -> None:
        """To the microsecond, as moments are recorded: sums of floats would come a little sooner or later."""
        self._push(round(at, 6), what, which)

    # --- agents --------------------------------------------------------------------------------------------------

    def _comes(self, now: float, seat: _Seat) -> None:
        seat.comes(now)
        self._offer(seat)

    def _goes(self, now: float, which: tuple[_Seat, bool]) -> None:
        seat, pauses = which
        seat.goes(now, pauses)
        self._offer(seat)

    def _dawns(self, now: float, _: None) -> None:
        for seat in self._seats.values():
            seat.taken, seat.busy_s, seat.idle_s = 0, 0.0, 0.0
            self._offer(seat)

    def _offer(self, seat: _Seat) -> None:
        candidate = seat.candidate()
        if seat.there and not seat.rings and takes(candidate, self._policy):
            self._free[seat.desk.id] = candidate
        else:
            self._free.pop(seat.desk.id, None)

    # --- who comes and waits -------------------------------------------------------------------------------------

    def _arrives(self, now: float, number: int) -> None:
        self._tell(1)
        item = self._items[number]
        begins = [_since(item) + row.from_s for row in item.terms.rows]
        self._stand(number, sum(at <= now for at in begins))
        for row, at in enumerate(begins, 1):
            if at > now:
                self._at(at, _WIDENS, (number, row))
        if item.prefers is not None and item.prefers_until > now:
            self._at(item.prefers_until, _LOOKS, number)
        stays = self._lots[number].stays_s
        if stays < math.inf:
            self._at(max(item.at + stays, now), _LEAVES, number)

    def _stand(self, number: int, row: int) -> None:
        """In its lane, by its rank: nearly always at one end."""
        item = self._items[number]
        terms, since = item.terms, _since(item) * 1_000
        relaxed = terms.rows[row - 1] if row else Row(0.0, terms.needs)
        rank = (-since if terms.newest_first else since) - relaxed.credit_s * 1_000
        head = Head(
            number, item.tier, rank, relaxed.needs, since, item.channel, terms.rules, item.prefers,
            item.prefers_until * 1_000,
        )
        key = self._key(item, row)
        lane = self._lanes.setdefault(key, deque())
        if terms.newest_first:
            self._newest_first.add(key)
        place = 0 if lane and rank < lane[0].rank else len(lane)
        while place and lane[place - 1].rank > rank:
            place -= 1
        lane.insert(place, head)
        self._rows[number] = row
        self._in_line.add(number)

    def _key(self, item: Item, row: int) -> Hashable:
        return id(item.terms), row, item.tier, item.kind

    def _widens(self, now: float, which: tuple[int, int]) -> None:
        number, row = which
        if number in self._in_line:
            lane = self._lanes[self._key(self._items[number], self._rows[number])]
            del lane[next(place for place, head in enumerate(lane) if head.id == number)]
            self._stand(number, row)

    def _looks(self, now: float, number: int) -> None:
        """It is kept for nobody any more; the round that follows sees it."""

    def _leaves(self, now: float, number: int) -> None:
        end = End.withdrawn if self._items[number].end is End.withdrawn else End.abandoned
        if number in self._in_line:
            self._in_line.remove(number)
            self._ends(now, number, end)
        elif (ringing := self._ringing.pop(number, None)) is not None:
            self._ends(now, number, end)
            seat = self._seats[ringing.agent]
            seat.rings = False
            self._is_free(now, (number, seat))

    def _ends(self, now: float, number: int, end: End) -> None:
        self._ended[number] = Ended(end, round(now - self._items[number].at, 6))

    # --- who is with whom ----------------------------------------------------------------------------------------

    def _heads(self, now: float, most: int) -> list[Head]:
        """As the house reads them: where the newest is first, those who have waited longest are looked at too."""
        heads: list[Head] = []
        for key, lane in self._lanes.items():
            while lane and lane[0].id not in self._in_line:
                lane.popleft()
            heads += islice(self._may_go(self._waiting(lane), now * 1_000), most)
            if key in self._newest_first and len(lane) > most:
                last = (head for head in reversed(lane) if head.id in self._in_line)
                seen = {head.id for head in heads}
                heads += (head for head in islice(self._may_go(last, now * 1_000), most) if head.id not in seen)
        return heads

    def _may_go(self, lane: Iterable[Head], now: float) -> Iterator[Head]:
        """Who waits in the lane, but for what is kept for an agent who is there and busy."""
        for head in lane:
            if head.prefers is None or now >= head.prefers_until or not self._could_take(head.prefers, head):
                yield head
            elif head.prefers in self._free:
                yield replace(head, prefers_here=True)

    def _could_take(self, agent: int, head: Head) -> bool:
        """Whether he is there, be he busy, and could take it: nobody waits for who could not."""
        seat = self._seats.get(agent)
        return seat is not None and seat.there and why_not(head, seat.unburdened()) is None

    def _begin(self, now: float, head: Head, pair: Match) -> None:
        self._in_line.remove(head.id)
        seat = self._seats[pair.agent]
        seat.is_given(now, head.channel)
        self._ringing[head.id] = pair
        if ring_s := self._lots[head.id].ring_s:
            self._offer(seat)
            self._at(now + ring_s, _TOGETHER, head.id)
        else:
            self._together(now, head.id)

    def _together(self, now: float, number: int) -> None:
        pair = self._ringing.pop(number, None)
        if pair is None:
            return  # he left while it rang
        seat = self._seats[pair.agent]
        seat.accepts(now, pair.costs_turn)
        unreached = self._items[number].end is End.unreached
        self._ends(now, number, End.unreached if unreached else End.answered)
        self._offer(seat)
        self._at(now + self._lots[number].handle_s, _FREE, (number, seat))

    def _is_free(self, now: float, which: tuple[int, _Seat]) -> None:
        number, seat = which
        seat.is_rid_of(now, self._items[number].channel)
        self._offer(seat)


def _since(item: Item) -> float:
    return item.at if item.since is None else item.since
