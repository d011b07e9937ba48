"""Number searches: an offer's link did not arrive, or the number is somebody else's; the person's own is sought."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Moves, Numbered, State, table


class SearchState(State):
    """`dropped`: whoever looked for it says that there is none; `lapsed`: nobody needs it any more."""

    open = "open"
    found = "found"
    dropped = "dropped"
    lapsed = "lapsed"

    @classmethod
    def moves(cls) -> Moves:
        return _SEARCH_MOVES


SEARCH_LOOK = "numbersearch.look"
"""The alarm at which it is asked whether a number is still needed."""
LOOK_AGAIN = timedelta(days=1)
"""What nobody tells of, e.g. that a request was closed, is seen after so long."""
SOUGHT_FOR = timedelta(days=30)
"""A person's number is looked for so long. Who asked a month ago to be called does not expect it any more, and the
guard, too, forgets after a month what was tried. An offer's is looked for as long as the offer is open."""


_SEARCH_MOVES = table((SearchState.open, "found dropped lapsed"))


class NumberSearch(Numbered):
    """One for each signing whose link did not arrive by any way: it is the quote's owner's (`agent_id`), and of
    interest as long as the offer is open and nobody has opened it. And one for a person whose number was somebody
    else's (`queue_id`): it is that line's, whoever works on it, until the link of an offer of his is lost as well."""

    __tablename__ = "number_searches"
    __table_args__ = (
        Index("ix_number_searches_owner", "agent_id", postgresql_where=text("state = 'open'")),
        Index("ix_number_searches_contact", "contact_id", postgresql_where=text("state = 'open'")),
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


class Lapse(StrEnum):
    """Why a number is needed no more: its person was forgotten, is not to be contacted, has got another number, is
    known by that of somebody he was found to be, has nothing open with us any more, or his offer (`resent`) has reached
    him or has another link; or the time is over."""

    erased = "erased"
    suppressed = "suppressed"
    renumbered = "renumbered"
    merged = "merged"
    resent = "resent"
    closed = "closed"
    too_long = "too_long"


@dataclass(frozen=True)
class Standing:
    """How it stands about a search. `waits`: something of the person's is open; `ended`: something was closed since the
    search began. `offer_open`: so is the offer it is about; `undelivered`: its link has not arrived."""

    erased: bool
    suppressed: bool
    renumbered: bool
    merged: bool
    waits: bool
    ended: bool
    offer_open: bool
    undelivered: bool


def lapse(search: NumberSearch, standing: Standing, now: datetime) -> Lapse | None:
    """Why the search is over, if it is. A request that came to nothing but the wrong number is open still: it is what
    the person is looked for."""
    if standing.erased:
        return Lapse.erased
    if standing.suppressed:
        return Lapse.suppressed
    if search.signing_id is not None:
        return _lapse_of_offer(standing)
    if standing.renumbered:
        return Lapse.renumbered
    if standing.merged:
        return Lapse.merged
    if standing.ended and not standing.waits:
        return Lapse.closed
    return Lapse.too_long if now >= search.created_at + SOUGHT_FOR else None


def _lapse_of_offer(standing: Standing) -> Lapse | None:
    if not standing.offer_open:
        return Lapse.closed
    return None if standing.undelivered else Lapse.resent
