"""Quotes that were made elsewhere, and the lists they come in."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


QUOTES_ARE = (
    "draft frozen sent opened signed completed withdrawn declined expired superseded void signed_elsewhere"
)
"""States of quotes, which one more has joined."""
ROWS_BECOME = "taken attached kept updated duplicate refused"
"""Outcomes of a list's rows, which two more have joined."""


def _is_one_of(table: str, column: str, name: str, words: str) -> None:
    op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
    said = ", ".join(f"'{word}'" for word in words.split())
    op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, f"{column} IN ({said})")


def upgrade() -> None:
    op.alter_column("quotes", "agent_id", nullable=True)
    op.add_column("quotes", sa.Column("external_number", sa.Text(), nullable=True))
    op.add_column("quotes", sa.Column("queue_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f("fk_quotes_queue_id"), "quotes", "queues", ["queue_id"], ["id"])
    op.add_column("quotes", sa.Column("paced_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "one_quote_per_external_number", "quotes", ["campaign_id", "external_number"], unique=True,
        postgresql_where=sa.text("external_number is not null"),
    )
    op.create_index(
        "ix_quotes_paced", "quotes", ["campaign_id", "paced_at"], postgresql_where=sa.text("paced_at is not null")
    )
    _is_one_of("quotes", "state", "quotestate", QUOTES_ARE)
    kind = sa.Enum("leads", "quotes", name="importkind", native_enum=False, create_constraint=True, length=32)
    op.add_column("imports", sa.Column("kind", kind, server_default=sa.text("'leads'"), nullable=False))
    op.alter_column("imports", "kind", server_default=None)
    for column in ("expected", "outcome"):
        _is_one_of("import_rows", column, column, ROWS_BECOME)
    for column in ("reference", "field"):
        op.add_column("import_rows", sa.Column(column, sa.Text(), server_default=sa.text("''"), nullable=False))
        op.alter_column("import_rows", column, server_default=None)
    op.add_column("import_rows", sa.Column("quote_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f("fk_import_rows_quote_id"), "import_rows", "quotes", ["quote_id"], ["id"])
    op.create_index(
        "ix_import_rows_reference", "import_rows", ["import_id", "reference", "number"],
        postgresql_where=sa.text("reference <> ''"),
    )
