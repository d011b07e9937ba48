"""Calls and their legs."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Moves, Numbered, State, table


class CallState(State):
    """`agent_leg`: the agent's phone is being connected; `customer_leg`: he is in the room, the customer's rings."""

    agent_leg = "agent_leg"
    customer_leg = "customer_leg"
    talking = "talking"
    ended = "ended"

    @classmethod
    def moves(cls) -> Moves:
        return _CALL_MOVES


_CALL_MOVES = table(
    (CallState.agent_leg, "customer_leg ended"),
    (CallState.customer_leg, "talking ended"),
    (CallState.talking, "ended"),
)


class Call(Numbered):
    """One attempt to bring agent and customer into one named room. `room_ref` is unguessable: callbacks carry it.

    With a `station_id` the agent was in the room before, which is his station's: the call has no leg of his, waits in
    `agent_leg` only until the room is his alone, and leaves the room as it was."""

    __tablename__ = "calls"
    __table_args__ = (
        Index("one_live_call_per_agent", "agent_id", unique=True, postgresql_where=text("ended_at is null")),
        Index("one_live_call_per_task", "task_id", unique=True, postgresql_where=text("ended_at is null")),
        Index("one_call_per_room", "room", unique=True, postgresql_where=text("station_id is null")),
        Index("one_call_per_room_ref", "room_ref", unique=True, postgresql_where=text("station_id is null")),
        Index(None, "station_id", postgresql_where=text("station_id is not null")),
    )
    task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id"))
    lead_id: Mapped[int] = mapped_column(ForeignKey("leads.id"))
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"))
    state: Mapped[CallState]
    room: Mapped[str]
    room_ref: Mapped[str]
    created_at: Mapped[datetime]
    station_id: Mapped[int | None] = mapped_column(ForeignKey("stations.id"), default=None)
    talking_at: Mapped[datetime | None] = mapped_column(default=None)
    ended_at: Mapped[datetime | None] = mapped_column(default=None)
    outcome: Mapped[str] = mapped_column(default="")
    on_hold: Mapped[bool] = mapped_column(default=False)


class Leg(Numbered):
    """One telephone in the room. `stage` (`router.ports.LegStage`) only rises: a late callback undoes no hang-up.

    `came_in`: this person called us. His line is answered long before he is in the room, and outlives it."""

    __tablename__ = "legs"
    __table_args__ = (
        Index(None, "call_id"),
        Index("ix_legs_customers", "created_at", postgresql_where=text("role = 'customer'")),
        Index("ix_legs_numbers", "address", "id", postgresql_where=text("role = 'customer'")),
    )
    call_id: Mapped[int] = mapped_column(ForeignKey("calls.id"))
    role: Mapped[str]
    ref: Mapped[str] = mapped_column(unique=True)
    address: Mapped[str]
    created_at: Mapped[datetime]
    carrier_id: Mapped[str] = mapped_column(default="", index=True)
    stage: Mapped[int] = mapped_column(default=0)
    outcome: Mapped[str] = mapped_column(default="")
    joined_at: Mapped[datetime | None] = mapped_column(default=None)
    ended_at: Mapped[datetime | None] = mapped_column(default=None)
    came_in: Mapped[bool] = mapped_column(default=False)
