"""What is published stays as it was; lists whose rows are lines of quotes."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0012"


def upgrade() -> None:
    published()
    lines()


def published() -> None:
    """Versions of cadences, packs and rules are appended, never changed: who began under one goes on under it."""
    for table in ("cadence_versions", "packs", "rulesets"):
        op.execute(
            f"create trigger {table}_append_only before update or delete on {table} "
            "for each statement execute function refuse_change()"
        )


ROWS_BECOME = "taken attached kept updated line duplicate refused"


def lines() -> None:
    """A row of a list may be a further line of a quote."""
    for column in ("expected", "outcome"):
        op.drop_constraint(op.f(f"ck_import_rows_{column}"), "import_rows", type_="check")
        op.create_check_constraint(
            op.f(f"ck_import_rows_{column}"), "import_rows", sa.column(column).in_(ROWS_BECOME.split())
        )
