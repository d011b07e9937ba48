"""Suppressions: whom not to contact, and why. By number or by e-mail address, across campaigns."""

from datetime import datetime

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Numbered


class Suppression(Numbered):
    """`address` is an e-mail address as `router.model.addresses.folded` has it; such a row has no number (""), and says
    nothing of those who have none."""

    __tablename__ = "suppressions"
    __table_args__ = (
        Index("one_suppression_per_address", "address", "reason", unique=True,
              postgresql_where=text("address <> '' and lifted_at is null")),
    )
    phone: Mapped[str] = mapped_column(index=True)
    reason: Mapped[str]
    created_at: Mapped[datetime]
    lifted_at: Mapped[datetime | None] = mapped_column(default=None)
    address: Mapped[str] = mapped_column(default="")
