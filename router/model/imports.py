"""Imports: lists of persons uploaded as files, looked at first, then taken in row by row."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Enum, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Base, Moves, Numbered, State, table

MOST_BYTES = 10 * 1024 * 1024
MOST_ROWS = 50_000
CHUNK = 64
"""Rows a transaction: the journal's readers wait for every open writer."""


BLANKS = " \t\r\n\u00a0"
"""What is left out around a cell by which rows belong together."""


class ImportKind(StrEnum):
    """What a list holds: persons to be called, or quotes that were made elsewhere."""

    leads = "leads"
    quotes = "quotes"


class ImportState(State):
    """`receiving`: its rows are being stored. `checking` is the dry run; `checked` has its result."""

    receiving = "receiving"
    uploaded = "uploaded"
    checking = "checking"
    checked = "checked"
    running = "running"
    paused = "paused"
    done = "done"
    canceled = "canceled"

    @classmethod
    def moves(cls) -> Moves:
        return _IMPORT_MOVES


_IMPORT_MOVES = table(
    (ImportState.receiving, "uploaded canceled"),
    (ImportState.uploaded, "checking canceled"),
    (ImportState.checking, "checked canceled"),
    (ImportState.checked, "checking running canceled"),
    (ImportState.running, "paused done canceled"),
    (ImportState.paused, "running canceled"),
)

WORKING = (ImportState.checking, ImportState.running)


class Outcome(StrEnum):
    """What became of a row, or would: a lead to be called, or a quote to be watched; a lead beside one that waits
    already; a quote nothing is done about; one changed by it; a further line of the quote of a row before; known from a
    list before; not taken, for a reason."""

    taken = "taken"
    attached = "attached"
    kept = "kept"
    updated = "updated"
    line = "line"
    duplicate = "duplicate"
    refused = "refused"


OUTCOMES: Mapping[ImportKind, tuple[Outcome, ...]] = {
    ImportKind.leads: (Outcome.taken, Outcome.attached, Outcome.duplicate, Outcome.refused),
    ImportKind.quotes: (Outcome.taken, Outcome.kept, Outcome.updated, Outcome.line, Outcome.duplicate,
                         Outcome.refused),
}
"""What may become of the rows of each kind."""


class Import(Numbered):
    """A file of at most MOST_BYTES and MOST_ROWS. `mapping` says which column (from 0) holds which field, `basis` the
    consent stated for the whole list: source and date. `sha256` is the file's. `place` is the number of the last row
    the present run is through with, `counts` what became of the rows until there, by outcome and by reason."""

    __tablename__ = "imports"
    __table_args__ = (
        Index("ix_imports_work", "id", postgresql_where=text("state in ('checking', 'running')")),
    )
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    queue_id: Mapped[int] = mapped_column(ForeignKey("queues.id"))
    agent_id: Mapped[int] = mapped_column(ForeignKey("agents.id"))
    state: Mapped[ImportState]
    file_name: Mapped[str]
    sha256: Mapped[bytes]
    encoding: Mapped[str]
    delimiter: Mapped[str]
    headers: Mapped[list[str]]
    total: Mapped[int]
    created_at: Mapped[datetime]
    mapping: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    basis: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    place: Mapped[int] = mapped_column(default=0)
    counts: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    checked: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    checked_at: Mapped[datetime | None] = mapped_column(default=None)
    kind: Mapped[ImportKind] = mapped_column(default=ImportKind.leads)
    ended_at: Mapped[datetime | None] = mapped_column(default=None)


class ImportRow(Base):
    """One row of the file, `number` counted from 1 without the header. `expected` and `reason` are of the last dry run
    until `outcome` says what became of it. `phone` is E.164, as soon as it could be read, `reference` the number of the
    quote, `field` the one whose cell is at fault."""

    __tablename__ = "import_rows"
    __table_args__ = (
        Index("ix_import_rows_phone", "import_id", "phone", "number"),
        Index("ix_import_rows_reference", "import_id", "reference", "number",
              postgresql_where=text("reference <> ''")),
    )
    import_id: Mapped[int] = mapped_column(ForeignKey("imports.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    cells: Mapped[list[str]]
    phone: Mapped[str] = mapped_column(default="")
    expected: Mapped[Outcome | None] = mapped_column(
        Enum(Outcome, native_enum=False, create_constraint=True, length=32, name="expected"), default=None
    )
    outcome: Mapped[Outcome | None] = mapped_column(default=None)
    reason: Mapped[str] = mapped_column(default="")
    lead_id: Mapped[int | None] = mapped_column(ForeignKey("leads.id"), default=None)
    quote_id: Mapped[int | None] = mapped_column(ForeignKey("quotes.id"), default=None)
    reference: Mapped[str] = mapped_column(default="")
    field: Mapped[str] = mapped_column(default="")

    def cell(self, mapping: Mapping[str, int], field: str) -> str:
        """What stands in the field's column; "" when it has none."""
        place = mapping.get(field)
        return self.cells[place].strip() if place is not None and place < len(self.cells) else ""
