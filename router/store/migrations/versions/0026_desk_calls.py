"""Announcing again: the moment a text has told of a call, and the text before it."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    # Of calls announced before this nobody noted the moment: they are not announced again.
    op.add_column("steps", sa.Column("announced_for", sa.DateTime(timezone=True), nullable=True))
    op.add_column("steps", sa.Column("first_announcement_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(
        op.f("fk_steps_first_announcement_id"), "steps", "attempts", ["first_announcement_id"], ["id"]
    )
    op.create_index(
        "ix_steps_first_announcement_id", "steps", ["first_announcement_id"], unique=True,
        postgresql_where=sa.text("first_announcement_id is not null"),
    )
