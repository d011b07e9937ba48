"""What is published stays as it was; lists whose rows are lines of quotes."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0012"


def upgrade() -> None:
    published()
    lines()
    trunks()


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


def trunks() -> None:
    """Our numbers whose calls fail at the carrier, and until when nobody is dialled on them."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "trunks",
        sa.Column("caller_id", sa.Text(), nullable=False),
        sa.Column("failing_since", moment, nullable=True),
        sa.Column("paused_until", moment, nullable=True),
        sa.Column("trying_until", moment, nullable=True),
        sa.Column("pauses", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trunks")),
        sa.UniqueConstraint("caller_id", name=op.f("uq_trunks_caller_id")),
    )
