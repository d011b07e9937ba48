"""What is published stays as it was; lists whose rows are lines of quotes."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    published()
    lines()
    trunks()
    number_searches()


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


def number_searches() -> None:
    """Who is to find the number at which an offer's link would arrive."""
    moment, number = sa.DateTime(timezone=True), sa.BigInteger()
    refers = {"campaign_id": "campaigns", "lead_id": "leads", "contact_id": "contacts", "quote_id": "quotes",
              "signing_id": "signings"}
    op.create_table(
        "number_searches",
        *(sa.Column(name, number, nullable=False) for name in refers),
        sa.Column("agent_id", number, nullable=True),
        sa.Column("state", sa.Enum("open", "found", "dropped", name="searchstate", native_enum=False,
                                   create_constraint=True, length=32), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("ended_at", moment, nullable=True),
        sa.Column("id", number, sa.Identity(always=False), nullable=False),
        *(sa.ForeignKeyConstraint([name], [f"{other}.id"], name=op.f(f"fk_number_searches_{name}"))
          for name, other in {**refers, "agent_id": "agents"}.items()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_number_searches")),
        sa.UniqueConstraint("signing_id", name=op.f("uq_number_searches_signing_id")),
    )
    op.create_index("ix_number_searches_owner", "number_searches", ["agent_id"],
                    postgresql_where=sa.text("state = 'open'"))
