"""Brochures of a campaign, and what is handed to people in talks, with its openings."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023"
down_revision = "0022"
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("handout_days", sa.BigInteger(), nullable=False, server_default="30"))
    op.alter_column("campaigns", "handout_days", server_default=None)
    brochures()
    handouts()
    items()


def brochures() -> None:
    op.create_table(
        "brochures",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("names", postgresql.JSONB(), nullable=False),
        sa.Column("agent_id", sa.BigInteger(), nullable=True),
        sa.Column("retired_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_brochures_agent_id")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_brochures_campaign_id")),
        sa.ForeignKeyConstraint(["sha256"], ["blobs.sha256"], name=op.f("fk_brochures_sha256")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_brochures")),
    )
    op.create_index(op.f("ix_brochures_sha256"), "brochures", ["sha256"])
    op.create_index(
        "one_brochure_per_file", "brochures", ["campaign_id", "sha256"], unique=True,
        postgresql_where=sa.text("retired_at is null"),
    )


def handouts() -> None:
    op.create_table(
        "handouts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("lead_id", sa.BigInteger(), nullable=False),
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("agent_id", sa.BigInteger(), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("press", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("delivery_id", sa.BigInteger(), nullable=True),
        sa.Column("delivered_at", TIME, nullable=True),
        sa.Column("failed_at", TIME, nullable=True),
        *(
            sa.ForeignKeyConstraint([column], [f"{table}.id"], name=op.f(f"fk_handouts_{column}"))
            for column, table in (
                ("agent_id", "agents"), ("campaign_id", "campaigns"), ("delivery_id", "deliveries"),
                ("lead_id", "leads"), ("task_id", "tasks"),
            )
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_handouts")),
        *(
            sa.UniqueConstraint(column, name=op.f(f"uq_handouts_{column}"))
            for column in ("delivery_id", "press", "token_hash")
        ),
    )
    for column in ("lead_id", "task_id"):
        op.create_index(op.f(f"ix_handouts_{column}"), "handouts", [column])


def items() -> None:
    op.create_table(
        "handout_items",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("handout_id", sa.BigInteger(), nullable=False),
        sa.Column("brochure_id", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("opens", sa.BigInteger(), nullable=False),
        sa.Column("first_opened_at", TIME, nullable=True),
        sa.Column("last_opened_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["brochure_id"], ["brochures.id"], name=op.f("fk_handout_items_brochure_id")),
        sa.ForeignKeyConstraint(["handout_id"], ["handouts.id"], name=op.f("fk_handout_items_handout_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_handout_items")),
        sa.UniqueConstraint("handout_id", "place", name=op.f("uq_handout_items_handout_id_place")),
    )
