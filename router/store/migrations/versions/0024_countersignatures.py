"""The company's countersignature on what a customer has signed, and certificates of evidence that tell of it."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    countersignatures()
    editions()
    op.add_column("campaigns", sa.Column("countersign", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.alter_column("campaigns", "countersign", server_default=None)
    op.alter_column("archives", "until", nullable=True)


def countersignatures() -> None:
    """One for each signing that asks for it."""
    name = "countersignatures"
    states = ("waiting", "approved", "made", "refused")
    state = sa.Enum(*states, name="countersignaturestate", native_enum=False, create_constraint=True, length=32)
    op.create_table(
        name,
        *(sa.Column(key, sa.BigInteger(), nullable=False) for key in ("signing_id", "campaign_id", "lead_id")),
        sa.Column("state", state, nullable=False),
        sa.Column("asked_at", TIME, nullable=False),
        sa.Column("agent_id", sa.BigInteger()),
        *(sa.Column(key, sa.Text(), nullable=False) for key in ("name", "role", "reason", "note")),
        *(sa.Column(key, sa.Text(), nullable=False) for key in ("level", "time_source")),
        *(sa.Column(key, TIME) for key in ("decided_at", "made_at", "told_at")),
        *(sa.Column(key, sa.LargeBinary()) for key in ("sha256", "copy_hash")),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}")),
        *(sa.ForeignKeyConstraint([f"{one}_id"], [f"{one}s.id"], name=op.f(f"fk_{name}_{one}_id"))
          for one in ("signing", "campaign", "lead", "agent")),
        sa.ForeignKeyConstraint(["sha256"], ["blobs.sha256"], name=op.f(f"fk_{name}_sha256")),
        *(sa.UniqueConstraint(key, name=op.f(f"uq_{name}_{key}")) for key in ("signing_id", "sha256", "copy_hash")),
    )
    op.create_index("ix_countersignatures_waiting", name, ["id"], postgresql_where=sa.text("state = 'waiting'"))
    op.create_index(op.f("ix_countersignatures_campaign_id"), name, ["campaign_id"])


def editions() -> None:
    """A certificate is made once more when the company has decided; both bear the same code."""
    op.add_column("attestations", sa.Column("edition", sa.BigInteger(), nullable=False, server_default="1"))
    op.alter_column("attestations", "edition", server_default=None)
    op.drop_constraint(op.f("pk_attestations"), "attestations", type_="primary")
    op.create_primary_key(op.f("pk_attestations"), "attestations", ["signing_id", "edition"])
    op.drop_constraint(op.f("uq_attestations_code"), "attestations", type_="unique")
    op.create_index(op.f("ix_attestations_code"), "attestations", ["code"])
