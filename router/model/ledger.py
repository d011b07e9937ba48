"""The ledger: one chain over the events of all signings, so that a whole signing cannot be removed unseen; and the
timestamps on its head.

A line of it is plain text, `<n> <signing> <seq> <event's hash> <previous line's hash>`, hashes in hexadecimal; a line's
hash is the SHA-256 of these characters. So anybody can follow it with sha256sum.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Base
from router.model.evidence import GENESIS


class Entry(Base):
    """One line. It knows no row of a signing, so that it outlives what it tells of. Rows are never changed."""

    __tablename__ = "ledger"
    __table_args__ = (Index("one_entry_per_event", "signing_id", "seq", unique=True),)
    n: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    signing_id: Mapped[int]
    seq: Mapped[int]
    event_hash: Mapped[bytes]
    previous: Mapped[bytes]
    hash: Mapped[bytes]


class Waiting(Base):
    """An event that is to be entered. Signing never waits for the ledger: it is written a moment after the commit."""

    __tablename__ = "ledger_waiting"
    signing_id: Mapped[int] = mapped_column(ForeignKey("signings.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)


class Stamp(Base):
    """A timestamp (RFC 3161 token, DER) on a digest: of the ledger's line `n`, or of a list of files without one. `at`
    is what the token says."""

    __tablename__ = "stamps"
    digest: Mapped[bytes] = mapped_column(primary_key=True)
    token: Mapped[bytes]
    time_source: Mapped[str]
    at: Mapped[datetime]
    created_at: Mapped[datetime]
    n: Mapped[int | None] = mapped_column(ForeignKey("ledger.n"), default=None, unique=True)


def line(n: int, signing_id: int, seq: int, event_hash: bytes, previous: bytes) -> str:
    return f"{n} {signing_id} {seq} {event_hash.hex()} {previous.hex()}"


def hash_of(said: str) -> bytes:
    return hashlib.sha256(said.encode()).digest()


def said(entry: Entry) -> str:
    return line(entry.n, entry.signing_id, entry.seq, entry.event_hash, entry.previous)


def broken_at(entries: Iterable[Entry], previous: bytes = GENESIS, n: int = 1) -> int | None:
    """The number of the first entry that does not follow from the one before it; None when all do."""
    for place, entry in enumerate(entries, n):
        if entry.n != place or entry.previous != previous or entry.hash != hash_of(said(entry)):
            return place
        previous = entry.hash
    return None
