"""Suppressions: whom not to contact, and why. By number, across campaigns."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Numbered


class Suppression(Numbered):
    __tablename__ = "suppressions"
    phone: Mapped[str] = mapped_column(index=True)
    reason: Mapped[str]
    created_at: Mapped[datetime]
    lifted_at: Mapped[datetime | None] = mapped_column(default=None)
