"""The company's signing authority: one row, made once, its keys encrypted; and what it says of its certificates."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

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
USE_NOTED = timedelta(hours=1)
"""How exactly it is written down when a seal was last used."""
_UNTIL, _NOW = "In use until: ", "now"
SEAL_SLACK = timedelta(days=1)
"""So long after its last use a seal is still taken for the company's: what was under way was sealed by it."""


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


class Seal(Base):
    """A seal of the company's own under somebody else's root, since it was first used: certificate and issuers'
    (`chain`, PEM, its own first). What it sealed holds though another has taken its place."""

    __tablename__ = "seals"
    sha256: Mapped[bytes] = mapped_column(primary_key=True)
    chain: Mapped[bytes]
    first_used_at: Mapped[datetime]
    last_used_at: Mapped[datetime]


def seals_file(seals: Iterable[tuple[bytes, datetime | None]]) -> bytes:
    """Seals (PEM) as they are published, each under a line that says until when (aware) it was in use."""
    return b"\n".join(
        f"{_UNTIL}{until.astimezone(UTC).isoformat() if until else _NOW}\n".encode() + chain.strip() + b"\n"
        for chain, until in seals
    )


def seals_in(content: bytes) -> list[tuple[bytes, datetime | None]]:
    """The seals of such a file. Raises ValueError when it is none."""
    found = []
    for one in content.decode("ascii").split(_UNTIL)[1:]:
        until, _, chain = one.partition("\n")
        at = None if until == _NOW else datetime.fromisoformat(until)
        if "-----BEGIN CERTIFICATE-----" not in chain or (at is not None and at.tzinfo is None):
            raise ValueError("this is no list of seals")
        found.append((chain.encode(), at))
    if content.strip() and not found:
        raise ValueError("this is no list of seals")
    return found


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
