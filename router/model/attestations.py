"""Attestations: the certificate of evidence of a signing, a sealed PDF of its own beside the signed offer."""

import base64
from datetime import datetime

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Base

CODE_LENGTH = 12
"""Characters of the code printed on a certificate: 60 bits, in base 32 (RFC 4648 §6)."""
GROUP = 4


class Attestation(Base):
    """A signing's certificate, made once as it is sealed (edition 1) and once more when the company has decided on its
    countersignature (edition 2). `code` is printed on both; who types it where documents are checked holds the
    certificate, or was told by who does. `archive_at` is when it is to get its next archive timestamp; `level` and
    `time_source` are the best that it, or its newest archive, has reached."""

    __tablename__ = "attestations"
    __table_args__ = (
        Index("ix_attestations_archive_at", "archive_at", postgresql_where=text("archive_at is not null")),
    )
    signing_id: Mapped[int] = mapped_column(ForeignKey("signings.id"), primary_key=True)
    edition: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[bytes] = mapped_column(ForeignKey("blobs.sha256"), unique=True)
    code: Mapped[str] = mapped_column(index=True)
    level: Mapped[str]
    time_source: Mapped[str]
    created_at: Mapped[datetime]
    archive_at: Mapped[datetime | None] = mapped_column(default=None)


def code_of(mac: bytes) -> str:
    """The code that is made of a MAC."""
    return base64.b32encode(mac)[:CODE_LENGTH].decode()


def grouped(code: str) -> str:
    """As it is printed: in groups of four."""
    return "-".join(code[at : at + GROUP] for at in range(0, len(code), GROUP))


def read_code(typed_text: str) -> str | None:
    """The code somebody typed, with or without blanks and hyphens, 0 and 1 for O and I; None when it is none."""
    typed = "".join(char for char in typed_text.upper() if char not in " -\u00a0").translate(str.maketrans("01", "OI"))
    good = len(typed) == CODE_LENGTH and typed.isascii() and set(typed) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
    return typed if good else None
