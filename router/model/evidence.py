"""Evidence: what happened in a signing, each event bound to the one before it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Base

GENESIS = b"\x00" * 32


class EvidenceEvent(Base):
    """One link of a signing's chain. Rows are never changed (a trigger refuses it)."""

    __tablename__ = "evidence"
    signing_id: Mapped[int] = mapped_column(ForeignKey("signings.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    kind: Mapped[str]
    data: Mapped[dict[str, Any]]
    previous: Mapped[bytes]
    hash: Mapped[bytes]


def canonical_json(value: Any) -> bytes:
    """Sorted keys, no spaces, UTF-8: the same value gives the same bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def instant(at: datetime) -> str:
    """An aware time as the chain writes it: UTC, ISO 8601, microseconds."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def link(previous: bytes, seq: int, at: datetime, kind: str, data: Mapping[str, Any]) -> bytes:
    """The SHA-256 that binds an event to its predecessor: over canonical JSON."""
    body = {"previous": previous.hex(), "seq": seq, "at": instant(at), "kind": kind, "data": data}
    return hashlib.sha256(canonical_json(body)).digest()


def broken_at(events: Iterable[EvidenceEvent]) -> int | None:
    """The place (1, 2, 3 …) of the first event that does not follow from the one before it; None when all do."""
    previous = GENESIS
    for place, event in enumerate(events, 1):
        expected = link(previous, place, event.at, event.kind, event.data)
        if event.seq != place or event.previous != previous or event.hash != expected:
            return place
        previous = event.hash
    return None


def exported(events: Iterable[EvidenceEvent]) -> list[dict[str, Any]]:
    """The chain as it leaves the house: anyone can compute the hashes again."""
    return [
        {"seq": event.seq, "at": instant(event.at), "kind": event.kind, "data": event.data,
         "previous": event.previous.hex(), "hash": event.hash.hex()}
        for event in events
    ]
