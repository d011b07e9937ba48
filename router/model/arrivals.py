"""Arrivals: calls that came in, from the first ring until they end or become a call of ours."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Moves, Numbered, State, table

LONGEST_LINE = 200
"""So many wait in a pool at most; who calls then is told so, instead of waiting in vain."""
MOST_AN_HOUR = 30
"""A number that calls more often within an hour is not answered."""
LONGEST_MESSAGE = 120
"""Seconds of a spoken message."""
CALL_BACK_AFTER = 5
"""Who has waited so many seconds and hangs up is called back; before that he may have mistaken the number."""
ASK_AGAIN = 20
"""A waiting caller hears of his place every so many seconds."""


class ArrivalState(State):
    """`waiting`: on the line, for an agent; `talking`: with one; `message`: asked for a spoken message outside opening
    hours; `callback`: he keeps his place and is called back; `left`: he hung up before anybody was with him; `refused`:
    not answered, or told that nobody can; `ended`: over, as it should be."""

    waiting = "waiting"
    talking = "talking"
    message = "message"
    callback = "callback"
    left = "left"
    refused = "refused"
    ended = "ended"

    @classmethod
    def moves(cls) -> Moves:
        return _ARRIVAL_MOVES


_ARRIVAL_MOVES = table(
    (ArrivalState.waiting, "talking callback left ended"),
    (ArrivalState.talking, "ended waiting"),
    (ArrivalState.message, "ended"),
    (ArrivalState.callback, "ended"),
)


class Arrival(Numbered):
    """`ref` is our own unguessable name of the call: the addresses its carrier asks at carry it. `caller` is E.164, ""
    for who hides his number; `dialled` is what he called, which need not be one of ours. `heard_at` is when the carrier
    last asked what he shall hear. `hung_up_at`
    is when the line itself was free again, whatever became of his request."""

    __tablename__ = "arrivals"
    __table_args__ = (
        Index("ix_arrivals_live", "heard_at", postgresql_where=text("hung_up_at is null")),
        Index("ix_arrivals_waiting", "task_id", postgresql_where=text("state = 'waiting'")),
        Index(None, "caller", "created_at"),
        Index(None, "lead_id"),
    )
    carrier_id: Mapped[str] = mapped_column(unique=True)
    ref: Mapped[str] = mapped_column(unique=True)
    state: Mapped[ArrivalState]
    caller: Mapped[str]
    dialled: Mapped[str]
    locale: Mapped[str]
    created_at: Mapped[datetime]
    heard_at: Mapped[datetime]
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id"), default=None)
    queue_id: Mapped[int | None] = mapped_column(ForeignKey("queues.id"), default=None)
    lead_id: Mapped[int | None] = mapped_column(ForeignKey("leads.id"), default=None)
    task_id: Mapped[int | None] = mapped_column(ForeignKey("tasks.id"), default=None)
    reason: Mapped[str] = mapped_column(default="")
    ended_at: Mapped[datetime | None] = mapped_column(default=None)
    hung_up_at: Mapped[datetime | None] = mapped_column(default=None)
