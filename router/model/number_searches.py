"""Number searches: an offer's link did not arrive, or the number is somebody else's; the person's own is sought."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
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
    """One for each signing whose link did not arrive by any way: it is the quote's owner's (`agent_id`), and of
    interest as long as the offer is open and nobody has opened it. And one for a person whose number was somebody
    else's (`queue_id`): it is that line's, whoever works on it, until the link of an offer of his is lost as well."""

    __tablename__ = "number_searches"
    __table_args__ = (
        Index("ix_number_searches_owner", "agent_id", postgresql_where=text("state = 'open'")),
        Index("ix_number_searches_line", "queue_id", postgresql_where=text("state = 'open' and signing_id is null")),
        Index("one_open_search_of_a_person", "contact_id", unique=True, postgresql_where=text(
            "state = 'open' and signing_id is null")),
        CheckConstraint("signing_id is not null or queue_id is not null", name="has_an_owner"),
        CheckConstraint("(signing_id is null) = (quote_id is null)", name="is_about_the_signings_quote"),
    )
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    lead_id: Mapped[int] = mapped_column(ForeignKey("leads.id"))
    contact_id: Mapped[int] = mapped_column(ForeignKey("contacts.id"))
    state: Mapped[SearchState]
    created_at: Mapped[datetime]
    quote_id: Mapped[int | None] = mapped_column(ForeignKey("quotes.id"), default=None)
    signing_id: Mapped[int | None] = mapped_column(ForeignKey("signings.id"), unique=True, default=None)
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"), default=None)
    queue_id: Mapped[int | None] = mapped_column(ForeignKey("queues.id"), default=None)
    ended_at: Mapped[datetime | None] = mapped_column(default=None)
