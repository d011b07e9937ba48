"""Asking a colleague before a customer is handed over."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    consultations()


def consultations() -> None:
    """Consultations: one live one for each call, and for each colleague who is asked."""
    names = {
        "call_id": "calls", "task_id": "tasks", "lead_id": "leads", "agent_id": "agents", "asked_by": "agents",
        "leg_id": "legs",
    }
    op.create_table(
        "consultations",
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in names),
        sa.Column(
            "state",
            sa.Enum("ringing", "joined", "completed", "ended", name="consultationstate", native_enum=False,
                    create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        *(
            sa.ForeignKeyConstraint([name], [f"{table}.id"], name=op.f(f"fk_consultations_{name}"))
            for name, table in names.items()
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consultations")),
    )
    for of, column in (("call", "call_id"), ("agent", "agent_id")):
        op.create_index(f"one_live_consultation_per_{of}", "consultations", [column], unique=True,
                        postgresql_where=sa.text("state in ('ringing','joined')"))
    for column in ("call_id", "leg_id"):
        op.create_index(op.f(f"ix_consultations_{column}"), "consultations", [column], unique=False)
