"""Time: alarms that may be too late, recurring work, and the canary."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("alarms", sa.Column("not_after", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_alarms_ended", "alarms", ["ended_at"], unique=False,
        postgresql_where=sa.text("state in ('done','canceled')"),
    )
    op.create_table(
        "recurring",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recurring")),
        sa.UniqueConstraint("name", name=op.f("uq_recurring_name")),
    )
    op.create_table(
        "canaries",
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_canaries")),
    )
    op.create_index("ix_canaries_done_at", "canaries", ["done_at"], unique=False)
