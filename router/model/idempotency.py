"""Idempotency: the same key gives the same answer, and one effect."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Base


class IdempotencyKey(Base):
    """The answer given under a key. `request_sha256` guards against another body under the same key."""

    __tablename__ = "idempotency"
    scope: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_sha256: Mapped[bytes]
    answer: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
