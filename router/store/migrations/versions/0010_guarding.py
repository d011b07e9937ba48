"""Guarding: whom not to contact and why, where people live, do-not-call registers and published country packs."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    for column in ("zone", "zone_source", "country", "subdivision", "postcode"):
        op.add_column("contacts", sa.Column(column, sa.Text(), server_default=sa.text("''"), nullable=False))
    op.create_index(
        "ix_contacts_merged_into", "contacts", ["merged_into"], postgresql_where=sa.text("merged_into is not null")
    )
    op.add_column("suppressions", sa.Column("channel", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("suppressions", sa.Column("until", sa.DateTime(timezone=True), nullable=True))
    for table, column, other in (
        ("suppressions", "contact_id", "contacts"), ("suppressions", "lifted_by", "agents"),
        ("attempts", "contact_id", "contacts"), ("attempts", "receipt_id", "receipts"),
    ):
        op.add_column(table, sa.Column(column, sa.BigInteger(), nullable=True))
        op.create_foreign_key(op.f(f"fk_{table}_{column}"), table, other, [column], ["id"])
    op.create_index(
        "ix_suppressions_contact_id", "suppressions", ["contact_id"],
        postgresql_where=sa.text("contact_id is not null"),
    )
    op.create_index(
        "ix_attempts_receipt_id", "attempts", ["receipt_id"], postgresql_where=sa.text("receipt_id is not null")
    )
    op.create_index("ix_legs_numbers", "legs", ["address", "id"], postgresql_where=sa.text("role = 'customer'"))
    op.create_index(
        "ix_tasks_refused", "tasks", ["contact_id"], postgresql_where=sa.text("disposition = 'not_interested'")
    )
    op.create_table(
        "register_imports",
        sa.Column("register", sa.Text(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "state",
            sa.Enum("receiving", "current", "replaced", "failed", name="registerstate", native_enum=False,
                    create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("agent_id", sa.BigInteger(), nullable=True),
        sa.Column("numbers", sa.BigInteger(), nullable=False),
        sa.Column("unread", sa.BigInteger(), nullable=False),
        sa.Column("current_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_register_imports_agent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_register_imports")),
    )
    op.create_index(
        "one_current_import_per_register", "register_imports", ["register"], unique=True,
        postgresql_where=sa.text("state = 'current'"),
    )
    op.create_table(
        "register_numbers",
        sa.Column("import_id", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["import_id"], ["register_imports.id"], name=op.f("fk_register_numbers_import_id")),
        sa.PrimaryKeyConstraint("import_id", "digest", name=op.f("pk_register_numbers")),
    )
    op.create_table(
        "packs",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_by", sa.BigInteger(), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(["published_by"], ["agents.id"], name=op.f("fk_packs_published_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_packs")),
        sa.UniqueConstraint("key", "version", name=op.f("uq_packs_key_version")),
    )
