"""Agents: users who work tasks, what they want and what they are."""

import enum
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.abilities import Ability
from router.model.base import Numbered
from router.model.levels import levels_of
from router.model.routing import Candidate, Channel

HEARTBEAT_LEASE = timedelta(seconds=15)
"""How long an answer to the stream's ping counts: three pings of 5 s."""
BACK_OFF = timedelta(seconds=5)
"""So long nothing rings at an agent who has just missed or rejected something."""
MISSES_UNTIL_PAUSE = 2
"""After so many misses in a row the agent is paused, visibly, one click from being back."""
PAUSED_BY_MISSES = "missed"
PAUSED_BY_ONCE = "once"
"""Why the house has paused an agent: he missed too much, or wanted only one more."""


class Role(enum.StrEnum):
    agent = "agent"
    supervisor = "supervisor"
    admin = "admin"

    def covers(self, other: "Role") -> bool:
        order = list(Role)
        return order.index(self) >= order.index(other)


class Wish(enum.StrEnum):
    """What the agent wants. The house itself only ever pauses him: after missed rings, or after `ready_once`."""

    off = "off"
    ready = "ready"
    ready_once = "ready_once"
    paused = "paused"


WILLING = (Wish.ready, Wish.ready_once)
"""Who wants this may be given something."""


class Agent(Numbered):
    """The loads count the tasks held by channel; they move under the row's lock, and the database keeps each within its
    capacity. `skills` are spelled out (`router.model.levels`). `address` is where his leg rings: E.164 or
    `client:name`. `shifts` are his weekly hours in the form of a queue's `hours`; none means whenever his queues are
    open.

    `idle_since` is when he last became eligible, moved on by the time in which he was not: idle time counts only
    eligible time. While he is not, `idle_kept_ms` remembers what he had waited. `turn_kept_at` is since when he holds
    what costs him no turn. `taken`, `busy_ms` (with people) and `idle_ms` count his day, which ends at `day_ends`;
    `most_a_day` is how many tasks he is given in it (0: any), `weight` his share of them, `week_target` what he is to
    reach in a week (0: nothing is asked). `help_at` is since when he asks a supervisor to help, `help_by` who has said
    he comes, `pause_reason` why he is paused or off ("" when he did so himself), `focus` the task his desk shows
    first. `discount_bp` is how far below the catalogue he may go by himself, in basis points; None leaves it to the
    campaign."""

    __tablename__ = "agents"
    __table_args__ = (
        CheckConstraint("call_load between 0 and call_capacity", name="call_load_within_capacity"),
        CheckConstraint("chat_load between 0 and chat_capacity", name="chat_load_within_capacity"),
        CheckConstraint("video_load between 0 and video_capacity", name="video_load_within_capacity"),
        CheckConstraint("call_capacity <= 1 and video_capacity <= 1", name="one_voice_at_a_time"),
        Index("ix_agents_free", "pool", "idle_since", postgresql_where=text("wish in ('ready','ready_once')")),
        Index("ix_agents_profile", "pool", text("hash_array_extended(skills, 0)"), "call_load", "chat_load",
              "video_load", "idle_since", "id", postgresql_where=text("wish in ('ready','ready_once')")),
    )
    login: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    role: Mapped[Role]
    password_hash: Mapped[str]
    address: Mapped[str]
    locale: Mapped[str] = mapped_column(default="es")
    skills: Mapped[list[str]] = mapped_column(default_factory=list)
    pool: Mapped[int] = mapped_column(default=1)
    call_capacity: Mapped[int] = mapped_column(default=1)
    chat_capacity: Mapped[int] = mapped_column(default=1)
    video_capacity: Mapped[int] = mapped_column(default=1)
    call_load: Mapped[int] = mapped_column(default=0)
    chat_load: Mapped[int] = mapped_column(default=0)
    video_load: Mapped[int] = mapped_column(default=0)
    wish: Mapped[Wish] = mapped_column(default=Wish.off)
    misses: Mapped[int] = mapped_column(default=0)
    idle_since: Mapped[datetime | None] = mapped_column(default=None)
    heartbeat_at: Mapped[datetime | None] = mapped_column(default=None)
    back_off_until: Mapped[datetime | None] = mapped_column(default=None)
    disabled_at: Mapped[datetime | None] = mapped_column(default=None)
    shifts: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    weight: Mapped[float] = mapped_column(default=1.0)
    most_a_day: Mapped[int] = mapped_column(default=0)
    week_target: Mapped[int] = mapped_column(default=0)
    taken: Mapped[int] = mapped_column(default=0)
    busy_ms: Mapped[int] = mapped_column(default=0)
    idle_ms: Mapped[int] = mapped_column(default=0)
    day_ends: Mapped[datetime | None] = mapped_column(default=None)
    idle_kept_ms: Mapped[int] = mapped_column(default=0)
    busy_since: Mapped[datetime | None] = mapped_column(default=None)
    turn_kept_at: Mapped[datetime | None] = mapped_column(default=None)
    help_at: Mapped[datetime | None] = mapped_column(default=None)
    help_by: Mapped[int | None] = mapped_column(ForeignKey("agents.id"), default=None)
    pause_reason: Mapped[str] = mapped_column(default="")
    focus: Mapped[int | None] = mapped_column(default=None)
    discount_bp: Mapped[int | None] = mapped_column(default=None)

    @property
    def load(self) -> int:
        """How many tasks he holds, whatever their channel."""
        return self.call_load + self.chat_load + self.video_load

    @property
    def ability(self) -> Ability:
        """What he can do."""
        return Ability(self.pool, levels_of(self.skills), self._capacity, self.weight, self.most_a_day)

    @property
    def _capacity(self) -> dict[Channel, int]:
        return {channel: getattr(self, f"{channel.value}_capacity") for channel in Channel}

    def candidate(self, now: datetime) -> Candidate:
        """The agent as routing looks at him at `now` (aware)."""
        today = self.day_ends is not None and self.day_ends > now
        spent = self.busy_ms + self.idle_ms
        return Candidate(
            self.id, (self.idle_since or now).timestamp() * 1000, levels_of(self.skills),
            {channel: held for channel in Channel if (held := getattr(self, f"{channel.value}_load"))},
            self._capacity, self.busy_ms / spent if today and spent else 0.0, self.taken if today else 0, self.weight,
            self.most_a_day,
        )

    def there(self, now: datetime) -> bool:
        """Whether he is at work at `now` (aware), be he busy: he wants to be, and his browser answers."""
        return self.wish in WILLING and self.present(now)

    def present(self, now: datetime) -> bool:
        """Whether his browser has answered within its lease at `now` (aware)."""
        return self.heartbeat_at is not None and self.heartbeat_at > now - HEARTBEAT_LEASE
