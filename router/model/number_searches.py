"""Number searches: the link of an offer did not arrive, and somebody is to find the number at which it would."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Moves, Numbered, State, table


class SearchState(State):
    """`dropped`: whoever looked for it says that there is none."""

    open = "open"
    found = "found"
    dropped = "dropped"

    @classmethod
    def moves(cls) -> Moves:
        return _SEARCH_MOVES


_SEARCH_MOVES = table((SearchState.open, "found dropped"))


class NumberSearch(Numbered):
    """One for each signing whose link did not arrive by any way. It is the quote's owner's (`agent_id`), and is of
    interest as long as the offer is open and nobody has opened it."""

    __tablename__ = "number_searches"
    __table_args__ = (Index("ix_number_searches_owner", "agent_id", postgresql_where=text("state = 'open'")),)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    lead_id: Mapped[int] = mapped_column(ForeignKey("leads.id"))
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id"))
    quote_id: Mapped[int] = mapped_column(ForeignKey("quotes.id"))
    signing_id: Mapped[int] = mapped_column(ForeignKey("signings.id"), unique=True)
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"))
    state: Mapped[SearchState]
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None] = mapped_column(default=None)
