"""Offers: products are suggested, discounts approved, and terms agreed on; old quotes keep their documents."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"

QUOTES_ARE = (
    "draft", "awaiting", "approved", "frozen", "sent", "opened", "signed", "completed", "withdrawn", "declined",
    "expired", "superseded", "void", "signed_elsewhere",
)
"""States of quotes, which two more have joined."""


def upgrade() -> None:
    campaigns()
    quotes()


def campaigns() -> None:
    """What their contracts say, and how far their agents may go."""
    op.add_column("campaigns", sa.Column("terms", postgresql.JSONB(), nullable=False, server_default="{}"))
    op.add_column("campaigns", sa.Column("discount_bp", sa.BigInteger(), nullable=False, server_default="10000"))
    op.add_column("campaigns", sa.Column("catalogue_only", sa.Boolean(), nullable=False, server_default="false"))
    op.add_column("campaigns", sa.Column("line_minutes", sa.BigInteger(), nullable=False, server_default="30"))
    for column in ("terms", "discount_bp", "catalogue_only", "line_minutes"):
        op.alter_column("campaigns", column, server_default=None)
    op.add_column("agents", sa.Column("discount_bp", sa.BigInteger(), nullable=True))


def quotes() -> None:
    op.drop_constraint(op.f("ck_quotes_quotestate"), "quotes", type_="check")
    said = ", ".join(f"'{one}'" for one in QUOTES_ARE)
    op.create_check_constraint(op.f("ck_quotes_quotestate"), "quotes", f"state IN ({said})")
    op.add_column("quotes", sa.Column("terms", postgresql.JSONB(), nullable=False, server_default="{}"))
    op.add_column("quotes", sa.Column("discount_bp", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("quotes", sa.Column("over_limit", sa.Boolean(), nullable=False, server_default="false"))
    for column in ("terms", "discount_bp", "over_limit"):
        op.alter_column("quotes", column, server_default=None)
    for column, kind, noun, key in (
        ("call_id", sa.BigInteger(), "calls", "id"), ("approved_by", sa.BigInteger(), "agents", "id"),
        ("foreign_pdf_sha256", sa.LargeBinary(), "blobs", "sha256"),
    ):
        op.add_column("quotes", sa.Column(column, kind, nullable=True))
        op.create_foreign_key(op.f(f"fk_quotes_{column}"), "quotes", noun, [column], [key])
    op.create_index("ix_quotes_awaiting", "quotes", ["id"], postgresql_where=sa.text("state = 'awaiting'"))
