"""Blobs: documents as rows, named by their SHA-256."""

from datetime import datetime

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Base

MAX_BYTES = 25 * 1024 * 1024


class Blob(Base):
    __tablename__ = "blobs"
    __table_args__ = (CheckConstraint(f"octet_length(content) <= {MAX_BYTES}", name="size"),)
    sha256: Mapped[bytes] = mapped_column(primary_key=True)
    media_type: Mapped[str]
    content: Mapped[bytes]
    created_at: Mapped[datetime]
