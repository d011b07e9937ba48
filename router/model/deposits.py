"""Deposits: evidence that somebody outside keeps, where we cannot change it."""

from datetime import datetime, timedelta

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Base

LATE_AFTER = timedelta(hours=1)
"""A deposit takes seconds: after this long something is wrong."""


class Deposit(Base):
    """A signing's evidence as it was given to a keeper, once, when its certificate was made. `sha256` are the very
    bytes, kept here too: with a keeper who got their digest alone they are what it proves. `reference` is the keeper's
    name of them, `record` his own word, as it came, and `kept_at` (aware) his clock's, where he says one; we had it
    `received_at`."""

    __tablename__ = "deposits"
    signing_id: Mapped[int] = mapped_column(ForeignKey("signings.id"), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("trust_accounts.id"))
    ordered_at: Mapped[datetime]
    sha256: Mapped[bytes | None] = mapped_column(ForeignKey("blobs.sha256"), default=None)
    keeper: Mapped[str] = mapped_column(default="")
    given: Mapped[str] = mapped_column(default="")
    reference: Mapped[str] = mapped_column(default="")
    record: Mapped[bytes | None] = mapped_column(default=None)
    kept_at: Mapped[datetime | None] = mapped_column(default=None)
    received_at: Mapped[datetime | None] = mapped_column(default=None)
