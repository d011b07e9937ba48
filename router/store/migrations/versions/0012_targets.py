"""What agents are to reach in a week."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    targets()


def targets() -> None:
    """An agent's target, and what counts towards it in a campaign."""
    op.add_column("agents", sa.Column("week_target", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("campaigns", sa.Column("target_counts", sa.Text(), nullable=False, server_default="sold"))
    op.alter_column("agents", "week_target", server_default=None)
    op.alter_column("campaigns", "target_counts", server_default=None)
