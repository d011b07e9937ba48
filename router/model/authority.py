"""The company's signing authority: one row, made once, its keys encrypted."""

from datetime import datetime

from sqlalchemy import CheckConstraint, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Base


class AuthorityRow(Base):
    """`sealed_keys` is the encrypted set of keys; `root_certificate` is public, PEM."""

    __tablename__ = "authority"
    __table_args__ = (CheckConstraint("id = 1", name="only_one"),)
    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    root_certificate: Mapped[bytes]
    sealed_keys: Mapped[bytes]
    created_at: Mapped[datetime]
