"""Replay: a recorded stretch played again by the very `match` that routes real people, as it was or with a change.

Each item comes when it came. Whom it rings at may refuse it, see `router.model.ringing`; what comes of that is what the
house does: his back-off, his turn, the pair that is not made again for a while, his pause after so many misses. Whoever
accepts it does so after as long as it rang in reality, and is busy with it for as long as its agent was. Whom an agent
handed on waits again when that agent has done with him; a colleague who was asked is busy with it too, and may take it
over. Agents can do what they could then.

Who waits is taken over by another queue, or given up, as the queues' timetables say. What a supervisor had paused waits
until it went on. How long people stay says `router.model.lots`.
"""

import heapq
import math
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from router.model.abilities import Ability
from router.model.forecast import EVERY, Happened
from router.model.giving import stopped_by
from router.model.lots import Lot
from router.model.recording import Answer, Asked, End, Item, Presence, Recording, Ring, Row, Span, Terms, held_by
from router.model.ringing import Answers
from router.model.routing import ORDINARY, Channel, Head, Match, match, takes, why_not
from router.model.seats import Seat
from router.model.simulation import Day, Decide, Pairs

TOLD_EACH = 1_000
"""After so many more items it is told how far it has come."""


class Ended(NamedTuple):
    """What became of an item, after so many seconds in line."""

    end: End
    waited_s: float


class Course(msgspec.Struct, frozen=True):
    """What became of each item, in the recording's order, when which agent was busy, and when the house had paused
    him."""

    ended: Sequence[Ended]
    busy: Mapping[int, Sequence[Span]]
    away: Mapping[int, Sequence[Span]]


def as_recorded(recording: Recording) -> Course:
    """What came of it in reality."""
    busy: dict[int, list[Span]] = {}
    for item in recording.items:
        for agent, span in held_by(item):
            busy.setdefault(agent, []).append(span)
    away = {desk.id: [(rest.begins, rest.ends) for rest in desk.rests] for desk in recording.desks}
    return Course([Ended(item.end, item.waited_s) for item in recording.items], busy, away)


def replay(
    recording: Recording, drawn: Sequence[Lot], decide: Decide = match,
    tell: Callable[[int, int], None] | None = None,
) -> Course:
    """Plays it again, each pool by itself. `drawn` are the lots of its items; `tell` hears now and then how many of all
    items have come."""
    ended: list[Ended | None] = [None] * len(recording.items)
    busy, away = defaultdict[int, list[Span]](list), defaultdict[int, list[Span]](list)
    answers = Answers(recording.items, recording.desks)
    came = 0

    def has_come(more: int) -> None:
        nonlocal came
        came += more
        if tell is not None and (came % TOLD_EACH == 0 or came == len(ended)):
            tell(came, len(ended))

    for pool in sorted({item.pool for item in recording.items}):
        played = _Replay(pool, recording, drawn, answers, decide, has_come)
        for number, one in played.run().items():
            ended[number] = one
        for agent, seat in played.seats.items():
            busy[agent] += seat.busy
            away[agent] += seat.away
    return Course([one for one in ended if one is not None], busy, away)


(
    _COMES, _GOES, _DAWNS, _ARRIVES, _LEAVES, _TOGETHER, _CLOSES, _WIDENS, _LOOKS, _REFUSED, _RETURNS, _AGAIN,
    _OVERFLOWS, _EXPIRES, _FORESEES, _ASKS, _HEARS, _BECOMES, _SWITCHES,
) = range(19)


class _Replay(Day):
    """One pool, once. Items are known by their place in the recording."""

    def __init__(
        self, pool: int, recording: Recording, drawn: Sequence[Lot], answers: Answers, decide: Decide,
        tell: Callable[[int], None],
    ) -> None:
        super().__init__(decide, ORDINARY)
        self._recording, self._items, self._lots, self._until = recording, recording.items, drawn, recording.until
        self._answers, self._tell = answers, tell
        self.seats = {desk.id: Seat(desk, pool) for desk in recording.desks if pool in desk.pools}
        self._queue: dict[int, int] = {}
        self._terms: dict[int, Terms] = {}
        self._standing: dict[int, Hashable] = {}
        self._newest_first: set[Hashable] = set()
        self._ringing: dict[int, tuple[Match, Ring | None]] = {}
        self._rang: dict[int, list[int]] = {}
        self._without: dict[int, dict[int, float]] = {}
        self._released: set[int] = set()
        self._came: dict[int, float] = {}
        self._with: dict[int, Seat] = {}
        self._ended: dict[int, Ended] = {}
        self._paused: set[int | None] = set()
        # What is known beforehand is in the line of events first: of two things at once a pause is the first.
        for seat in self.seats.values():
            for span, then in zip_longest(seat.desk.spans, seat.desk.spans[1:]):
                self._push(span.begins, _COMES, (seat, span))
                if then is None or then.begins > span.ends:
                    self._push(span.ends, _GOES, (seat, span.pauses))
            for at, ability in seat.desk.later:
                self._push(at, _BECOMES, (seat, ability))
        for what, spans in _paused(recording, pool).items():
            for begins, ends in spans:
                self._push(begins, _SWITCHES, (what, True))
                self._push(ends, _SWITCHES, (what, False))
        for midnight in recording.midnights:
            self._push(midnight, _DAWNS, None)
        self._happened = Happened()
        if any(item.pool == pool and item.tier >= ORDINARY.nurture_from for item in self._items):
            self._push(0.0, _FORESEES, None)
        self._onward = _onward(self._items, pool)
        follow = set(self._onward.values())
        for number, item in enumerate(self._items):
            if item.pool == pool and number not in follow:
                self._push(max(item.at, 0.0), _ARRIVES, number)

    def run(self) -> dict[int, Ended]:
        """Until the stretch ends."""
        handlers: tuple[Callable[[float, Any], None], ...] = (
            self._comes, self._goes, self._dawns, self._arrives, self._leaves, self._together, self._closes,
            self._widens, self._looks, self._refused, self._returns, self._again,
            self._overflows, self._expires, self._foresees, self._asks, self._hears, self._becomes, self._switches,
        )
        while self._events and self._events[0][0] <= self._until:
            now = self._events[0][0]
            while self._events and self._events[0][0] == now:  # one round for all that happens at once
                _, _, what, which = heapq.heappop(self._events)
                handlers[what](now, which)
            while self._in_line and self._free and self._round(now):
                pass
        for number in (*self._in_line, *self._ringing):
            self._ends(self._until, number, End.waiting)
        for number in self._onward.values():
            if number not in self._ended:
                self._tell(1)  # what it goes on with was not answered, or is not over
                self._ended[number] = Ended(End.withdrawn, 0.0)
        for seat in self.seats.values():
            seat.ends(self._until)
        return self._ended

    def _at(self, at: float, what: int, which: object) -> None:
        """To the microsecond, as moments are recorded: sums of floats would come a little sooner or later."""
        self._push(round(at, 6), what, which)

    def _foresees(self, now: float, _: None) -> None:
        """What is expected, as the house asks now and then."""
        self._policy = self._happened.foreseen(now)
        self._push(now + EVERY.total_seconds(), _FORESEES, None)

    # --- agents --------------------------------------------------------------------------------------------------

    def _comes(self, now: float, which: tuple[Seat, Presence]) -> None:
        seat, span = which
        seat.comes(now, span)
        self._offer(now, seat)

    def _goes(self, now: float, which: tuple[Seat, bool]) -> None:
        seat, pauses = which
        seat.goes(now, pauses)
        self._offer(now, seat)

    def _becomes(self, now: float, which: tuple[Seat, Ability]) -> None:
        seat, ability = which
        seat.becomes(ability)
        self._offer(now, seat)

    def _returns(self, now: float, which: tuple[Seat, float]) -> None:
        """From the pause that began then."""
        seat, began = which
        if seat.paused_at == began:
            seat.returns(now)
            self._offer(now, seat)

    def _dawns(self, now: float, _: None) -> None:
        for seat in self.seats.values():
            seat.taken, seat.busy_s, seat.idle_s = 0, 0.0, 0.0
            self._offer(now, seat)

    def _offer(self, now: float, seat: Seat) -> None:
        candidate = seat.free(now, self._policy)
        if candidate is not None:
            self._free[seat.desk.id] = candidate
        else:
            self._free.pop(seat.desk.id, None)

    # --- who comes and waits -------------------------------------------------------------------------------------

    def _arrives(self, now: float, number: int) -> None:
        self._tell(1)
        item = self._items[number]
        if item.fresh:
            self._happened.arrives(now, item.terms.needs, item.tier)
        self._queue[number], self._terms[number] = item.queue, item.terms
        self._stand(now, number)
        self._ages(now, number)
        if item.prefers is not None and (until := self._kept_until(number)) > now:
            self._at(until, _LOOKS, None)
        stays = self._lots[number].stays_s
        if stays < math.inf:
            self._at(max(self._came_at(number) + stays, now), _LEAVES, number)

    def _came_at(self, number: int) -> float:
        return self._came.get(number, self._items[number].at)

    def _kept_until(self, number: int) -> float:
        """For its agent, as long after it came as in reality."""
        item = self._items[number]
        return item.prefers_until + self._came_at(number) - item.at

    def _ages(self, now: float, number: int) -> None:
        """What becomes of him if he waits in this queue for long."""
        item, queue = self._items[number], self._queue[number]
        timetable, since = self._recording.timetable(queue), _since(item)
        if timetable.expire_s and item.expires:
            self._at(max(since + timetable.expire_s, now), _EXPIRES, (number, queue))
        if (at := timetable.overflows_at(since, now)) < math.inf:
            self._at(max(at, now), _OVERFLOWS, (number, queue))
        for row in self._terms[number].rows:
            if (at := since + row.from_s) > now:
                self._at(at, _WIDENS, (number, queue))

    def _waits_in(self, number: int, queue: int) -> bool:
        return number in self._in_line and self._queue[number] == queue

    def _expires(self, now: float, which: tuple[int, int]) -> None:
        number, queue = which
        if self._waits_in(number, queue):
            self._in_line.remove(number)
            self._ends(now, number, End.expired)

    def _overflows(self, now: float, which: tuple[int, int]) -> None:
        number, queue = which
        onward = self._recording.timetable(queue).overflow
        if onward is not None and self._waits_in(number, queue):
            self._queue[number], self._terms[number] = onward, self._recording.timetable(onward).terms
            self._stand_anew(now, number)
            self._ages(now, number)

    def _stand(self, now: float, number: int) -> None:
        """In its lane, by its age, at its rank: nearly always at one end."""
        item = self._items[number]
        terms, since = self._terms[number], _since(item) * 1_000
        row = sum(round(_since(item) + one.from_s, 6) <= now for one in terms.rows)
        relaxed = terms.rows[row - 1] if row else Row(0.0, terms.needs)
        rank = (-since if terms.newest_first else since) - relaxed.credit_s * 1_000
        head = Head(
            number, item.tier, rank, relaxed.needs, since, item.channel, terms.rules,
            None if number in self._released else item.prefers, self._kept_until(number) * 1_000,
        )
        key = self._queue[number], id(terms), row, item.tier, item.kind
        lane = self._lanes.setdefault(key, deque())
        if terms.newest_first:
            self._newest_first.add(key)
        place = 0 if lane and rank < lane[0].rank else len(lane)
        while place and lane[place - 1].rank > rank:
            place -= 1
        lane.insert(place, head)
        self._standing[number] = key
        self._in_line.add(number)

    def _stand_anew(self, now: float, number: int) -> None:
        """Where it belongs by now, and nowhere else."""
        lane = self._lanes[self._standing[number]]
        place = next((place for place, head in enumerate(lane) if head.id == number), None)
        if place is not None:
            del lane[place]
        self._stand(now, number)

    def _widens(self, now: float, which: tuple[int, int]) -> None:
        number, queue = which
        if self._waits_in(number, queue):
            self._stand_anew(now, number)

    def _looks(self, now: float, seat: Seat | None) -> None:
        """Something is kept for nobody any more, or a back-off is over; the round that follows sees it."""
        if seat is not None:
            self._offer(now, seat)

    def _leaves(self, now: float, number: int) -> None:
        end = End.withdrawn if self._items[number].end is End.withdrawn else End.abandoned
        if number in self._in_line:
            self._in_line.remove(number)
            self._ends(now, number, end)
        elif (ringing := self._ringing.pop(number, None)) is not None:
            self._ends(now, number, end)
            seat = self.seats[ringing[0].agent]
            seat.rings_no_more(now, self._items[number].channel)
            self._offer(now, seat)

    def _ends(self, now: float, number: int, end: End) -> None:
        self._ended[number] = Ended(end, round(now - self._came_at(number), 6))

    # --- who is with whom ----------------------------------------------------------------------------------------

    def _heads(self, now: float, most: int) -> list[Head]:
        """As the house reads them: where the newest is first, those who have waited longest are looked at too."""
        heads: list[Head] = []
        for key, lane in self._lanes.items():
            while lane and lane[0].id not in self._in_line:
                lane.popleft()
            if not lane or self._stops(lane[0].id):
                continue
            heads += islice(self._may_go(self._waiting(lane), now * 1_000), most)
            if key in self._newest_first and len(lane) > most:
                last = (head for head in reversed(lane) if head.id in self._in_line)
                seen = {head.id for head in heads}
                heads += (head for head in islice(self._may_go(last, now * 1_000), most) if head.id not in seen)
        return heads

    def _may_go(self, lane: Iterable[Head], now: float) -> Iterator[Head]:
        """Who waits in the lane, but for what is kept for an agent who is there and busy, and what all of the free have
        just refused."""
        for head in lane:
            if head.id in self._without and not self._anybody(head):
                continue
            if head.prefers is None or now >= head.prefers_until or not self._could_take(head.prefers, head):
                yield head
            elif head.prefers in self._free:
                yield replace(head, prefers_here=True)

    def _switches(self, now: float, which: tuple[int | None, bool]) -> None:
        """A queue's campaign is paused or goes on, or all nurture."""
        what, pauses = which
        (self._paused.add if pauses else self._paused.discard)(what)

    def _stops(self, number: int) -> bool:
        """Whether a supervisor has paused it, and all of its lane."""
        item, paused = self._items[number], self._paused
        return bool(paused) and bool(stopped_by(
            item.kind, item.tier, nurture_off=None in paused, campaign_paused=self._queue[number] in paused
        ))

    def _anybody(self, head: Head) -> bool:
        """Whether one of the free may take it who has not just refused it."""
        return any(
            one.id not in self._without[head.id] and why_not(head, one) is None for one in self._free.values()
        )

    def _excluded(self, heads: Sequence[Head]) -> Pairs:
        return {(head.id, agent) for head in heads for agent in self._without.get(head.id, ())}

    def _could_take(self, agent: int, head: Head) -> bool:
        """Whether he is there, be he busy, and could take it: nobody waits for who could not."""
        seat = self.seats.get(agent)
        if seat is None or not seat.serves or agent in self._without.get(head.id, ()):
            return False
        return why_not(head, seat.unburdened()) is None

    def _begin(self, now: float, head: Head, pair: Match) -> None:
        self._in_line.remove(head.id)
        seat = self.seats[pair.agent]
        seat.is_given(now, head.channel)
        seat.rings_since = now
        rang = self._rang.setdefault(head.id, [])
        lot = self._lots[head.id]
        refusal = self._answers.to(self._items[head.id], pair.agent, rang, lot.name)
        rang.append(pair.agent)
        self._ringing[head.id] = pair, refusal
        self._offer(now, seat)
        if refusal is not None:
            self._at(now + refusal.seconds, _REFUSED, head.id)
        elif lot.ring_s:
            self._at(now + lot.ring_s, _TOGETHER, head.id)
        else:
            self._together(now, head.id)

    def _refused(self, now: float, number: int) -> None:
        pair, ring = self._ringing.pop(number, (None, None))
        if pair is None or ring is None:
            return  # he left while it rang
        seat, item = self.seats[pair.agent], self._items[number]
        self._exclude(now, number, pair.agent)
        if ring.answer is Answer.rejected and item.prefers == pair.agent:
            self._released.add(number)
        if seat.refuses(now, item.channel, ring.answer, pair.costs_turn):
            self._rests(now, seat, self._lots[number].name)
        self._at(seat.rests_until, _LOOKS, seat)
        self._offer(now, seat)
        self._stand_anew(now, number)
        self._ages(now, number)

    def _again(self, now: float, which: tuple[int, int]) -> None:
        """It may be offered to him again."""
        number, agent = which
        if self._without[number][agent] <= now:
            del self._without[number][agent]

    def _rests(self, now: float, seat: Seat, lot: str) -> None:
        """The house has paused him: he comes back as he did, or as others did."""
        seconds = self._answers.rest_s(seat.desk.id, seat.rests - 1, lot)
        if seconds is not None:
            self._at(now + seconds, _RETURNS, (seat, now))

    def _together(self, now: float, number: int) -> None:
        ringing = self._ringing.pop(number, None)
        if ringing is None:
            return  # he left while it rang
        pair, _ = ringing
        seat = self.seats[pair.agent]
        seat.accepts(now, pair.costs_turn)
        unreached = self._items[number].end is End.unreached
        self._ends(now, number, End.unreached if unreached else End.answered)
        self._offer(now, seat)
        self._with[number] = seat
        for asked in self._items[number].asked:
            self._at(now + asked.after_s, _ASKS, (number, asked))
        self._at(now + self._lots[number].handle_s, _CLOSES, number)

    def _asks(self, now: float, which: tuple[int, Asked]) -> None:
        """A colleague is asked, as in reality, or whoever is free instead; if nobody is, the agent goes on alone."""
        number, asked = which
        colleague = self._colleague(asked.agent, self._items[number].channel)
        if number in self._with and colleague is not None:
            colleague.is_given(now, self._items[number].channel)
            self._offer(now, colleague)
            self._at(now + asked.for_s, _HEARS, (number, asked, colleague))

    def _colleague(self, agent: int, channel: Channel) -> Seat | None:
        free = sorted(self._free.values(), key=lambda one: (one.id != agent, one.idle_since, one.id))
        return next((self.seats[one.id] for one in free if channel in takes(one, self._policy)), None)

    def _hears(self, now: float, which: tuple[int, Asked, Seat]) -> None:
        """The colleague was asked for long enough: he takes it over, or leaves."""
        number, asked, colleague = which
        if asked.takes_over and number in self._with:
            colleague.takes_over()
            colleague, self._with[number] = self._with[number], colleague
        self._is_free(now, (number, colleague))

    def _closes(self, now: float, number: int) -> None:
        """The two have done with each other; its person may have been handed on, and waits again."""
        seat, onward = self._with.pop(number), self._onward.get(number)
        if onward is None:
            self._happened.is_done(now, self._items[number].tier)
        self._is_free(now, (number, seat))
        if onward is not None:
            self._came[onward] = now
            self._arrives(now, onward)
            if self._items[onward].handed:
                self._exclude(now, onward, seat.desk.id)

    def _exclude(self, now: float, number: int, agent: int) -> None:
        """He is not offered it again for a while."""
        until = round(now + self._recording.timetable(self._queue[number]).exclude_s, 6)
        self._without.setdefault(number, {})[agent] = until
        self._at(until, _AGAIN, (number, agent))

    def _is_free(self, now: float, which: tuple[int, Seat]) -> None:
        number, seat = which
        seat.has_done(now, self._items[number].channel)
        self._offer(now, seat)


def _onward(items: Sequence[Item], pool: int) -> Mapping[int, int]:
    """Which item goes on with which: the later parts of a task by the ones before."""
    found: dict[int, int] = {}
    last: dict[int, int] = {}
    for number, item in enumerate(items):
        if item.pool == pool:
            if item.follows and item.task in last:
                found[last[item.task]] = number
            last[item.task] = number
    return found


def _paused(recording: Recording, pool: int) -> Mapping[int | None, Sequence[Span]]:
    """When which queue's campaign was paused; None: all nurture."""
    found: dict[int | None, Sequence[Span]] = {None: recording.nurture_paused}
    found.update((queue, one.paused) for queue, one in recording.timetables.items() if one.pool == pool)
    return found


def _since(item: Item) -> float:
    return item.at if item.since is None else item.since
