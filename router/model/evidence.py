"""Evidence: what happened in a signing, each event bound to the one before it."""

import hashlib
import json
from datetime import datetime
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


def link(previous: bytes, seq: int, at: datetime, kind: str, data: dict[str, Any]) -> bytes:
    """The SHA-256 that binds an event to its predecessor: over canonical JSON (sorted keys, no spaces, UTF-8)."""
    body = {"previous": previous.hex(), "seq": seq, "at": at.isoformat(timespec="microseconds"), "kind": kind, "data": data}
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).digest()
