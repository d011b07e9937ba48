"""Promises with owners, and absences known before."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


PROMISES_ARE = (
    "held scheduled offered no_answer kept kept_by_inbound broken_by_customer missed_by_us canceled moved lapsed"
)
"""States of promises, which one more has joined."""
OPEN_PROMISE = "state in ('scheduled','offered','no_answer')"


def upgrade() -> None:
    op.create_table(
        "absences",
        sa.Column("agent_id", sa.BigInteger(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_absences_ends_after_it_begins")),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_absences_agent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_absences")),
    )
    op.create_index("ix_absences_agent", "absences", ["agent_id", "ends_at"])
    op.add_column(
        "campaigns", sa.Column("remind_minutes", sa.BigInteger(), server_default=sa.text("60"), nullable=False)
    )
    op.alter_column("campaigns", "remind_minutes", server_default=None)
    modes = sa.Enum(
        "personal_strict", "personal_preferred", "team", name="promisemode", native_enum=False, create_constraint=True,
        length=32,
    )
    op.add_column("promises", sa.Column("mode", modes, server_default=sa.text("'team'"), nullable=False))
    op.add_column("promises", sa.Column("agent_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f("fk_promises_agent_id"), "promises", "agents", ["agent_id"], ["id"])
    op.add_column("promises", sa.Column("slot_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("promises", sa.Column("tries", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("promises", sa.Column("at_risk", sa.Text(), server_default=sa.text("''"), nullable=False))
    for column in ("mode", "tries", "at_risk"):
        op.alter_column("promises", column, server_default=None)
    op.execute("update promises set slot_at = starts_at")
    op.drop_constraint(op.f("ck_promises_promisestate"), "promises", type_="check")
    states = ", ".join(f"'{state}'" for state in PROMISES_ARE.split())
    op.create_check_constraint(op.f("ck_promises_promisestate"), "promises", f"state in ({states})")
    op.drop_index("one_open_promise_per_contact", "promises")
    op.create_index(
        "one_open_promise_per_contact", "promises", ["contact_id"], unique=True, postgresql_where=sa.text(OPEN_PROMISE)
    )
    op.create_index(op.f("ix_promises_contact_id_id"), "promises", ["contact_id", "id"])
    op.create_index("ix_promises_owed", "promises", ["agent_id", "starts_at"], postgresql_where=sa.text(OPEN_PROMISE))
    op.create_index(
        "ix_promises_missed", "promises", ["ended_at"], postgresql_where=sa.text("state = 'missed_by_us'")
    )
    op.create_index(
        "ix_promises_tzdata", "promises", ["tzdata"], postgresql_where=sa.text("state = 'scheduled'")
    )
