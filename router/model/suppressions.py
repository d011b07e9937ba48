"""Suppressions: whom not to contact, and why. In force in every campaign from the commit that writes them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Numbered


class Suppression(Numbered):
    """What it is about: a number (`phone`, E.164), a person (`contact_id`, and whoever he was found to be the same as),
    or the pair of both, when only this person is not to be sought at this number. `channel` narrows it to one, "" is
    all. `until` (aware) ends it by itself; `lifted_at` is when somebody did, `lifted_by` which supervisor.

    `address` is an e-mail address as `router.model.addresses.folded` has it; such a row has no number ("") and no
    person, and says nothing of those who have none."""

    __tablename__ = "suppressions"
    __table_args__ = (
        Index(None, "contact_id", postgresql_where=text("contact_id is not null")),
        Index("one_suppression_per_address", "address", "reason", unique=True,
              postgresql_where=text("address <> '' and lifted_at is null")),
    )
    phone: Mapped[str] = mapped_column(index=True)
    reason: Mapped[str]
    created_at: Mapped[datetime]
    lifted_at: Mapped[datetime | None] = mapped_column(default=None)
    contact_id: Mapped[int | None] = mapped_column(ForeignKey("contacts.id"), default=None)
    channel: Mapped[str] = mapped_column(default="", server_default=text("''"))
    until: Mapped[datetime | None] = mapped_column(default=None)
    lifted_by: Mapped[int | None] = mapped_column(ForeignKey("agents.id"), default=None)
    address: Mapped[str] = mapped_column(default="")


class About(StrEnum):
    """Whom a reason concerns. `both` is the number and the person, each by itself; `pair` only the two together."""

    number = "number"
    person = "person"
    both = "both"
    pair = "pair"


@dataclass(frozen=True)
class Scope:
    """How far a reason reaches: `lasts` is None for ever, `channel` "" for all of them."""

    about: About
    lasts: timedelta | None = None
    channel: str = ""


REACHES = {
    "asked": Scope(About.both),
    "stop": Scope(About.both),
    "complaint": Scope(About.person),
    "legal_hold": Scope(About.person),
    "wrong_number": Scope(About.pair),
    "invalid": Scope(About.number),
    "dropped_call": Scope(About.number, timedelta(hours=72), "call"),
}
"""Why somebody is not contacted, and how far that reaches. `asked`: he does not want to be called. `stop`: his stop
word. `invalid`: there is nobody at this number. `dropped_call`: his telephone rang, and nobody was there."""

INVALID_SOFT = 2
"""So many times in a row that a carrier says a number cannot be reached; then it counts as invalid."""
