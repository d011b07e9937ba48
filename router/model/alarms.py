"""Alarms: due moments. Time is a column; sweeps ask the database what is due."""

from datetime import datetime

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Moves, Numbered, State, table

MAX_FAILURES = 5


class AlarmState(State):
    pending = "pending"
    done = "done"
    canceled = "canceled"
    parked = "parked"

    @classmethod
    def moves(cls) -> Moves:
        return _ALARM_MOVES


_ALARM_MOVES = table((AlarmState.pending, "done canceled parked"), (AlarmState.parked, "pending canceled"))


class Alarm(Numbered):
    """`kind` names the handler, `subject_id` the noun it is about. After `not_after` it is too late for what was meant:
    another handler is asked what to do instead. After five failures it is parked, visible; what is over (`ended_at`) is
    forgotten a month later."""

    __tablename__ = "alarms"
    __table_args__ = (
        Index("ix_alarms_due", "due_at", postgresql_where=text("state = 'pending'")),
        Index("ix_alarms_ended", "ended_at", postgresql_where=text("state in ('done','canceled')")),
        Index("ix_alarms_parked", "id", postgresql_where=text("state = 'parked'")),
        Index("one_pending_alarm", "kind", "subject_id", unique=True, postgresql_where=text("state = 'pending'")),
    )
    kind: Mapped[str]
    subject_id: Mapped[int]
    due_at: Mapped[datetime]
    state: Mapped[AlarmState] = mapped_column(default=AlarmState.pending)
    failures: Mapped[int] = mapped_column(default=0)
    not_after: Mapped[datetime | None] = mapped_column(default=None)
    ended_at: Mapped[datetime | None] = mapped_column(default=None)
