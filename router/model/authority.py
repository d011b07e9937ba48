"""The company's signing authority: one row, made once, its keys encrypted; and what it says of its certificates."""

from datetime import datetime, timedelta

from sqlalchemy import CheckConstraint, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Base

ROOT, ISSUING = "root", "issuing"
"""Who issues certificates, and lists of revoked ones."""
LIST_LIFE = timedelta(days=7)
LIST_AGE = timedelta(hours=20)
"""How long a list is good, and how old it is when the next one is issued."""
OFFLINE_LIST_LIFE = timedelta(days=400)
"""How long the root's list is good when its key is not here."""
BACKDATED = timedelta(hours=1)
"""A list's time lies so much before its making, as a certificate's does: a reader's clock may be behind ours."""
EXPIRES_SOON = timedelta(days=60)


class AuthorityRow(Base):
    """`sealed_keys` is the encrypted set of keys; the certificates are public, PEM. `root_left_at` is when the root's
    key was taken offline. `seal_until`, `issuing_until` are when those certificates expire."""

    __tablename__ = "authority"
    __table_args__ = (CheckConstraint("id = 1", name="only_one"),)
    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    root_certificate: Mapped[bytes]
    sealed_keys: Mapped[bytes]
    created_at: Mapped[datetime]
    issuing_certificate: Mapped[bytes | None] = mapped_column(default=None)
    seal_until: Mapped[datetime | None] = mapped_column(default=None)
    issuing_until: Mapped[datetime | None] = mapped_column(default=None)
    root_left_at: Mapped[datetime | None] = mapped_column(default=None)


class Crl(Base):
    """The newest list of revoked certificates of an issuer, DER. Its number rises with every list."""

    __tablename__ = "crls"
    __table_args__ = (CheckConstraint("issuer in ('root', 'issuing')", name="issuer"),)
    issuer: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]
    content: Mapped[bytes]
    issued_at: Mapped[datetime]
    next_update: Mapped[datetime]


class Revocation(Base):
    """A certificate of the issuing authority that was taken back. `serial` in hexadecimal; `reason` as RFC 5280 §5.3.1
    names it, e.g. keyCompromise."""

    __tablename__ = "revocations"
    serial: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    reason: Mapped[str]
