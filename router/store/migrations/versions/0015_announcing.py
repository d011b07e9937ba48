"""Announcing: the text that tells a person of a call before it, and the call's word of which text that was."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    for table, column in (("attempts", "announced_by"), ("steps", "announcement_id")):
        op.add_column(table, sa.Column(column, sa.BigInteger(), nullable=True))
        op.create_foreign_key(op.f(f"fk_{table}_{column}"), table, "attempts", [column], ["id"])
    op.create_index(
        "ix_attempts_announced_by", "attempts", ["announced_by"], postgresql_where=sa.text("announced_by is not null")
    )
    op.create_index(
        "ix_steps_announcement_id", "steps", ["announcement_id"], unique=True,
        postgresql_where=sa.text("announcement_id is not null"),
    )
