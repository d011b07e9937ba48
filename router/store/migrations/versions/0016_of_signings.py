"""What was sent about a signing is found by the signing."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_index(
        op.f("ix_deliveries_signing_id"), "deliveries", ["signing_id"],
        postgresql_where=sa.text("signing_id is not null"),
    )
