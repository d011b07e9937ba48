"""Entrusted: a signing that a third party of trust takes, and what it gave us as proof."""

from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Numbered

LINKS = "entrusted"
"""The vault's purpose of a signer's link at rest."""
FIRST_LOOK, LONGEST_PAUSE = timedelta(minutes=5), timedelta(hours=1)
PROOF_PATIENCE = timedelta(days=2)
"""How long after the signature the provider is asked for its proofs."""
SEARCH_PATIENCE = timedelta(minutes=2)
"""A request we are unsure of that cannot be found for so long was never made."""


def pause(looks: int) -> timedelta:
    """After so many looks (from 0) at a request nobody tells us about: five minutes, doubled, at most an hour."""
    return min(FIRST_LOOK * 2.0 ** min(looks, 10), LONGEST_PAUSE)


class Entrusted(Numbered):
    """One request at a provider, one for each signing. `ref` is our unguessable name of it there, `hook_key` of the
    address made for it alone. `foreign_id` is the provider's name, "" until it has answered; `sealed_link` the signer's
    link, encrypted. `status` is the provider's own last word, `rank` how far it had come: an earlier stage that is told
    later moves nothing. `hinted`: somebody told us of it before we knew its name. `over_at`: there is nothing more to
    ask.
    """

    __tablename__ = "entrusted"
    __table_args__ = (
        Index("one_entrusted_per_foreign_id", "account_id", "foreign_id", unique=True,
              postgresql_where=text("foreign_id <> ''")),
    )
    signing_id: Mapped[int] = mapped_column(ForeignKey("signings.id"), unique=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("signing_accounts.id"))
    ref: Mapped[str] = mapped_column(unique=True)
    hook_key: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    foreign_id: Mapped[str] = mapped_column(default="")
    sealed_link: Mapped[bytes | None] = mapped_column(default=None)
    status: Mapped[str] = mapped_column(default="")
    rank: Mapped[int] = mapped_column(default=0)
    asked: Mapped[int] = mapped_column(default=0)
    looks: Mapped[int] = mapped_column(default=0)
    hinted: Mapped[bool] = mapped_column(default=False)
    waiting: Mapped[bool] = mapped_column(default=False)
    signed_sha256: Mapped[bytes | None] = mapped_column(ForeignKey("blobs.sha256"), default=None, index=True)
    signed_at: Mapped[datetime | None] = mapped_column(default=None)
    proved_at: Mapped[datetime | None] = mapped_column(default=None)
    over_at: Mapped[datetime | None] = mapped_column(default=None)


class EntrustedProof(Numbered):
    """A document a provider gave us, kept the moment it came."""

    __tablename__ = "entrusted_proofs"
    __table_args__ = (UniqueConstraint("entrusted_id", "name"),)
    entrusted_id: Mapped[int] = mapped_column(ForeignKey("entrusted.id"))
    name: Mapped[str]
    media_type: Mapped[str]
    sha256: Mapped[bytes] = mapped_column(ForeignKey("blobs.sha256"), index=True)
    fetched_at: Mapped[datetime]
