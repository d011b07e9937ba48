"""Consultations: an agent in a call asks a colleague before he hands the person over."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Moves, Numbered, State, table


class ConsultationState(State):
    """`ringing`: the colleague's telephone rings. `joined`: he is in the room, alone with who asked him as long as the
    customer is on hold. `completed`: he has taken the customer over; `ended`: he has not."""

    ringing = "ringing"
    joined = "joined"
    completed = "completed"
    ended = "ended"

    @classmethod
    def moves(cls) -> Moves:
        return _CONSULTATION_MOVES


_CONSULTATION_MOVES = table(
    (ConsultationState.ringing, "joined ended"),
    (ConsultationState.joined, "completed ended"),
)

LIVE = (ConsultationState.ringing, ConsultationState.joined)


class Consultation(Numbered):
    """`agent_id` is the colleague, who holds a call's load as long as it lives; `asked_by` asks him. It moves under the
    lock of its call. `outcome` is how it ended: what the telephone told (`router.ports.LegOutcome`), "declined" or
    "left" by the colleague, "taken_back" or "asker_left" by who asked, "call_ended" by the customer."""

    __tablename__ = "consultations"
    __table_args__ = (
        Index("one_live_consultation_per_call", "call_id", unique=True, postgresql_where=text(
            "state in ('ringing','joined')")),
        Index("one_live_consultation_per_agent", "agent_id", unique=True, postgresql_where=text(
            "state in ('ringing','joined')")),
        Index(None, "call_id"),
        Index(None, "leg_id"),
    )
    call_id: Mapped[int] = mapped_column(ForeignKey("calls.id"))
    task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id"))
    lead_id: Mapped[int] = mapped_column(ForeignKey("leads.id"))
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"))
    asked_by: Mapped[int] = mapped_column(ForeignKey("agents.id"))
    leg_id: Mapped[int] = mapped_column(ForeignKey("legs.id"))
    state: Mapped[ConsultationState]
    created_at: Mapped[datetime]
    joined_at: Mapped[datetime | None] = mapped_column(default=None)
    ended_at: Mapped[datetime | None] = mapped_column(default=None)
    outcome: Mapped[str] = mapped_column(default="")
