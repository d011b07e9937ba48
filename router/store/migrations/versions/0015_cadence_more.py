"""What is published stays as it was."""

from alembic import op

revision = "0015"
down_revision = "0012"


def upgrade() -> None:
    published()


def published() -> None:
    """Versions of cadences, packs and rules are appended, never changed: who began under one goes on under it."""
    for table in ("cadence_versions", "packs", "rulesets"):
        op.execute(
            f"create trigger {table}_append_only before update or delete on {table} "
            "for each statement execute function refuse_change()"
        )
