"""Stations: an agent stays on the line in a room of his own, where one customer after the other is called to him."""

from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Moves, Numbered, State, table

LONGEST_LEG = timedelta(hours=4)
"""The carrier ends his telephone then, whatever is going on."""
STANDS_AT_MOST = LONGEST_LEG - timedelta(minutes=30)
"""So that no conversation begins that the carrier would soon cut off."""


class StationState(State):
    """`opening`: his telephone rings; `standing`: he is in his room; `ended`: he is not on the line any more."""

    opening = "opening"
    standing = "standing"
    ended = "ended"

    @classmethod
    def moves(cls) -> Moves:
        return _STATION_MOVES


_STATION_MOVES = table(
    (StationState.opening, "standing ended"),
    (StationState.standing, "ended"),
)


class Station(Numbered):
    """One telephone of the agent's in a room of its own, over many calls. `ref` and `room_ref` are unguessable:
    callbacks carry them. It is moved under its agent's lock, and no call joins it without that lock.

    `ends_at` is when his shift ends, or the carrier's limit nears; a call under way then is finished. `paused_at` is
    since when he has been seen not to want any work. `outcome` is why it ended: what the telephone told
    (`router.ports.LegOutcome`), or "left", "off", "paused", "gone", "time", "room_ended", "handed_over", "stuck",
    "unsure"."""

    __tablename__ = "stations"
    __table_args__ = (
        Index("one_live_station_per_agent", "agent_id", unique=True, postgresql_where=text("ended_at is null")),
        Index(None, "agent_id", "id"),
    )
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"))
    state: Mapped[StationState]
    room: Mapped[str]
    room_ref: Mapped[str] = mapped_column(unique=True)
    ref: Mapped[str] = mapped_column(unique=True)
    address: Mapped[str]
    opened_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    carrier_id: Mapped[str] = mapped_column(default="")
    standing_at: Mapped[datetime | None] = mapped_column(default=None)
    paused_at: Mapped[datetime | None] = mapped_column(default=None)
    ended_at: Mapped[datetime | None] = mapped_column(default=None)
    outcome: Mapped[str] = mapped_column(default="")
