"""Inbox: messages from outside as they came, stored before they are understood."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Moves, Numbered, State, table


class InboxState(State):
    waiting = "waiting"
    done = "done"
    parked = "parked"

    @classmethod
    def moves(cls) -> Moves:
        return _INBOX_MOVES


_INBOX_MOVES = table((InboxState.waiting, "done parked"), (InboxState.parked, "waiting"))

MAX_FAILURES = 5


class InboxRow(Numbered):
    """Raw bytes with a dedupe key: the same event delivered twice is one row. After five failures it is parked.

    `fetching`: it only announces something, which is fetched first; then `answer` is what was fetched. `lease` rises
    with every try to fetch it, so that a late one finds another number. Some weeks after it was understood only its key
    is kept.
    """

    __tablename__ = "inbox"
    __table_args__ = (
        UniqueConstraint("source", "dedupe_key"),
        Index("ix_inbox_parked", "id", postgresql_where=text("state = 'parked'")),
        Index("ix_inbox_waiting", "id", postgresql_where=text("state = 'waiting'")),
        Index("ix_inbox_whole", "ended_at", postgresql_where=text("state = 'done' and body <> ''")),
        Index("ix_inbox_fetching", "due_at", postgresql_where=text("state = 'waiting' and fetching")),
    )
    source: Mapped[str]
    dedupe_key: Mapped[str]
    path: Mapped[str]
    headers: Mapped[dict[str, Any]]
    body: Mapped[bytes]
    received_at: Mapped[datetime]
    due_at: Mapped[datetime]
    state: Mapped[InboxState] = mapped_column(default=InboxState.waiting)
    failures: Mapped[int] = mapped_column(default=0)
    ended_at: Mapped[datetime | None] = mapped_column(default=None)
    fetching: Mapped[bool] = mapped_column(default=False)
    answer: Mapped[bytes | None] = mapped_column(default=None)
    lease: Mapped[int] = mapped_column(default=0)
