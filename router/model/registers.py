"""Do-not-call registers: which numbers a country's lists forbid, as of when."""

import hashlib
import re
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Base, Moves, Numbered, State, table
from router.model.errors import Invalid, NumberRefused
from router.model.phone import e164

NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


class RegisterState(State):
    """`receiving` while its numbers are stored; `current` once all are, until a newer one is: then `replaced`."""

    receiving = "receiving"
    current = "current"
    replaced = "replaced"
    failed = "failed"

    @classmethod
    def moves(cls) -> Moves:
        return _MOVES


_MOVES = table((RegisterState.receiving, "current failed"), (RegisterState.current, "replaced"))


class RegisterImport(Numbered):
    """One file of a register, named as the country packs name it. It says what the register said at `as_of` (aware).

    The guard asks the current one only: a new file counts when it is there as a whole, or not at all."""

    __tablename__ = "register_imports"
    __table_args__ = (
        Index("one_current_import_per_register", "register", unique=True, postgresql_where=text("state = 'current'")),
    )
    register: Mapped[str]
    as_of: Mapped[datetime]
    state: Mapped[RegisterState]
    created_at: Mapped[datetime]
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"), default=None)
    numbers: Mapped[int] = mapped_column(default=0)
    unread: Mapped[int] = mapped_column(default=0)
    current_at: Mapped[datetime | None] = mapped_column(default=None)


class RegisterNumber(Base):
    """A number of an import, by the beginning of the SHA-256 of its E.164."""

    __tablename__ = "register_numbers"
    import_id: Mapped[int] = mapped_column(ForeignKey("register_imports.id"), primary_key=True)
    digest: Mapped[bytes] = mapped_column(primary_key=True)


SEALED_FOR = "register"
"""The vault's purpose of what a register knows us by."""
UNREACHABLE_AFTER = 5
"""So many failures in a row, over some minutes, and a register counts as out of reach until it answers."""


class RegisterService(Numbered):
    """A register that is asked number by number, by the `adapter` of this name. `sealed` is the secret it knows us by,
    under the vault's purpose SEALED_FOR; `settings` are the adapter's own. Nobody asks a `closed` one."""

    __tablename__ = "register_services"
    register: Mapped[str] = mapped_column(unique=True)
    adapter: Mapped[str]
    url: Mapped[str]
    sealed: Mapped[bytes]
    settings: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    closed: Mapped[bool] = mapped_column(default=False)


class Inquiry(Base):
    """What a register is asked of one number, and what it said last: `listed`, as it was at `as_of`, until `until` if
    it says so (aware; none before the first answer).

    `due_at` is when it is asked, or asked again; none: nobody wants to know. `lease` rises with every claim. `phone`
    (E.164) is there only while the question is open; `reason` is why there was no answer, `failures` how often in a
    row."""

    __tablename__ = "inquiries"
    __table_args__ = (Index("ix_inquiries_due", "due_at", postgresql_where=text("due_at is not null")),)
    register: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(primary_key=True)
    phone: Mapped[str]
    due_at: Mapped[datetime | None]
    lease: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0)
    reason: Mapped[str] = mapped_column(default="")
    answered_at: Mapped[datetime | None] = mapped_column(default=None)
    as_of: Mapped[datetime | None] = mapped_column(default=None)
    until: Mapped[datetime | None] = mapped_column(default=None)
    listed: Mapped[bool] = mapped_column(default=False)


def digest_of(phone: str) -> bytes:
    """How a number in E.164 is kept and looked for: 16 bytes, so that ten million of them fit a small machine."""
    return hashlib.sha256(phone.encode()).digest()[:16]


def read_line(line: str, country: str) -> bytes | None:
    """The digest of a line's first cell: a number, or the SHA-256 (hex) of one in E.164. None for what is neither, such
    as a heading. `country` (ISO 3166) is assumed where a number is written without."""
    cell = re.split(r"[;,\t]", line, maxsplit=1)[0].strip().strip("\"'").strip()
    if _SHA256.fullmatch(cell):
        return bytes.fromhex(cell)[:16]
    try:
        return digest_of(e164(cell, country)) if cell else None
    except NumberRefused:
        return None  # nobody calls this kind of number anyway
    except Invalid:
        return None
