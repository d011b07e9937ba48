"""Seats: an agent as the house has him, while a recorded stretch is played again.

See the columns of `router.model.agents.Agent`, and `router.actions.presence` for what moves them. Times are seconds.
"""

from msgspec.structs import replace

from router.model.abilities import Ability
from router.model.agents import BACK_OFF, MISSES_UNTIL_PAUSE
from router.model.recording import Answer, Desk, Presence, Span
from router.model.routing import Candidate, Channel, Policy, takes


class Seat:
    """An agent's seat in a `pool`: he is given something there while he works for it. `there`: he himself wants to be,
    and his browser answers. `paused_at` is since when the house has paused him, `rings_since` since when something
    rings, `rests_until` when his back-off is over; `rests` counts his pauses for what he missed."""

    def __init__(self, desk: Desk, pool: int) -> None:
        self.desk, self.pool, self._ability = desk, pool, desk.ability
        self.there = self.once = False
        self.rings_since: float | None = None
        self.load: dict[Channel, int] = {}
        self.idle_since = self.idle_kept = 0.0
        self.turn_kept_at: float | None = None
        self.busy_since = 0.0
        self.busy: list[Span] = []
        self.taken, self.busy_s, self.idle_s = 0, 0.0, 0.0
        self.misses = self.rests = 0
        self.rests_until = 0.0
        self.paused_at: float | None = None
        self.away: list[Span] = []

    def candidate(self) -> Candidate:
        able, known = self._ability, self.busy_s + self.idle_s
        return Candidate(
            self.desk.id, self.idle_since * 1_000, able.skills, dict(self.load), able.capacity,
            self.busy_s / known if known else 0.0, self.taken, able.weight, able.most,
        )

    def unburdened(self) -> Candidate:
        """As if he held nothing."""
        return replace(self.candidate(), load={})

    def free(self, now: float, policy: Policy) -> Candidate | None:
        """The agent as routing looks at him, if he could be given anything."""
        if not self.serves or self.rings_since is not None or now < self.rests_until:
            return None
        candidate = self.candidate()
        return candidate if takes(candidate, policy) else None

    @property
    def works(self) -> bool:
        """Whether he is there, be he busy, and the house has not paused him."""
        return self.there and self.paused_at is None

    @property
    def serves(self) -> bool:
        """Whether he works, and for this pool."""
        return self.works and self._ability.pool == self.pool

    def becomes(self, ability: Ability) -> None:
        """He can do something else from now on."""
        self._ability = ability

    def comes(self, now: float, span: Presence) -> None:
        """He is there from now on, or says so anew: then his turn goes on."""
        goes_on = self.works
        self.there, self.once = True, span.once
        if span.says:
            self.misses, self.rests_until = 0, 0.0
            self._pause_ends(now)
        if self.works and not goes_on:
            self._begins_idle(now)

    def goes(self, now: float, pauses: bool) -> None:
        """He is not there any more."""
        if self.paused_at is None:
            self._stops_idle(now)
        if not pauses:
            self.idle_kept = 0.0
        self.there = False

    def is_paused(self, now: float) -> None:
        """The house pauses him."""
        self._stops_idle(now)
        self.paused_at = now

    def returns(self, now: float) -> None:
        """He says he is ready, as he did after the house had paused him."""
        self._pause_ends(now)
        self.misses, self.rests_until = 0, 0.0
        if self.there:
            self._begins_idle(now)

    def _begins_idle(self, now: float) -> None:
        self.idle_since, self.idle_kept = now - self.idle_kept, 0.0

    def _stops_idle(self, now: float) -> None:
        until = now if self.turn_kept_at is None else self.turn_kept_at
        self.idle_kept, self.turn_kept_at = max(0.0, until - self.idle_since), None

    def _pause_ends(self, now: float) -> None:
        if self.paused_at is not None:
            self.away.append((self.paused_at, now))
            self.paused_at = None

    def is_given(self, now: float, channel: Channel) -> None:
        """Something rings at him, or he is asked about it."""
        if not self.load:
            self.busy_since = now
            self.idle_s += now - self.idle_since
        self.load[channel] = self.load.get(channel, 0) + 1
        self.turn_kept_at = now if self.turn_kept_at is None else self.turn_kept_at

    def accepts(self, now: float, costs_turn: bool) -> None:
        self.rings_since, self.misses = None, 0
        self.taken += 1
        if costs_turn:
            self.turn_kept_at, self.idle_kept, self.idle_since = None, 0.0, now

    def takes_over(self) -> None:
        """He was asked, and goes on with it: that costs him no turn."""
        self.misses = 0
        self.taken += 1

    def refuses(self, now: float, channel: Channel, answer: Answer, costs_turn: bool) -> bool:
        """It came to nothing: that costs him his turn and a back-off. Whether the house pauses him for it."""
        rang = self.rings_since
        if answer is Answer.unreachable:
            self.accepts(now, costs_turn)
        misses = self.misses + 1 if answer is Answer.missed else 0
        self.rings_since, self.turn_kept_at = rang, None
        self.is_rid_of(now, channel)
        self.rings_since = None
        self.misses, self.rests_until = misses, now + BACK_OFF.total_seconds()
        if misses < MISSES_UNTIL_PAUSE or not self.works:
            return False
        self.is_paused(now)
        self.rests += 1
        return True

    def is_rid_of(self, now: float, channel: Channel) -> None:
        """He has done with it, or it was taken from him."""
        self.load[channel] -= 1
        if not self.load[channel]:
            del self.load[channel]
        if not self.load:
            if self.busy_since != self.rings_since:  # what only rang was nobody's time with people
                self.busy.append((self.busy_since, now))
            self.busy_s += now - self.busy_since
        if self.turn_kept_at is None:
            self.idle_since, self.idle_kept = now, 0.0
        else:
            self.idle_since += now - self.turn_kept_at
            self.turn_kept_at = None
        self.misses = 0

    def has_done(self, now: float, channel: Channel) -> None:
        """As `is_rid_of`, with nothing refused: whoever wanted only one more is paused, and no back-off is left."""
        self.is_rid_of(now, channel)
        self.rests_until = 0.0
        if self.once and self.works:
            self.is_paused(now)

    def rings_no_more(self, now: float, channel: Channel) -> None:
        """Whom it rang for has left."""
        self.has_done(now, channel)
        self.rings_since = None

    def ends(self, until: float) -> None:
        """The stretch is over."""
        self._pause_ends(until)
        if self.load:
            self.busy.append((self.busy_since, until))
