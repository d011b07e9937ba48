"""Certificates of evidence, the one ledger of all signings, and timestamps of our own."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    kinds = (
        *("leg", "end_room", "end_leg", "message", "hold", "seal", "put_through", "line", "fetch", "mail", "archive"),
        "entrust", "enquire", "revoke", "remind", "attest",
    )
    op.drop_constraint(op.f("ck_deliveries_deliverykind"), "deliveries", type_="check")
    listed = ", ".join(f"'{kind}'" for kind in kinds)
    op.create_check_constraint(op.f("ck_deliveries_deliverykind"), "deliveries", f"kind in ({listed})")
    attestations()
    ledger()


def attestations() -> None:
    op.create_table(
        "attestations",
        sa.Column("signing_id", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("time_source", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["sha256"], ["blobs.sha256"], name=op.f("fk_attestations_sha256")),
        sa.ForeignKeyConstraint(["signing_id"], ["signings.id"], name=op.f("fk_attestations_signing_id")),
        sa.PrimaryKeyConstraint("signing_id", name=op.f("pk_attestations")),
        sa.UniqueConstraint("code", name=op.f("uq_attestations_code")),
        sa.UniqueConstraint("sha256", name=op.f("uq_attestations_sha256")),
    )


def ledger() -> None:
    """What happened so far is entered at the next start."""
    op.create_table(
        "ledger",
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("signing_id", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("event_hash", sa.LargeBinary(), nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_ledger")),
    )
    op.create_index("one_entry_per_event", "ledger", ["signing_id", "seq"], unique=True)
    op.execute(
        "create trigger ledger_append_only before update or delete on ledger "
        "for each statement execute function refuse_change()"
    )
    op.create_table(
        "ledger_waiting",
        sa.Column("signing_id", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["signing_id"], ["signings.id"], name=op.f("fk_ledger_waiting_signing_id")),
        sa.PrimaryKeyConstraint("signing_id", "seq", name=op.f("pk_ledger_waiting")),
    )
    op.execute("insert into ledger_waiting (signing_id, seq) select signing_id, seq from evidence")
    op.create_table(
        "stamps",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.Column("time_source", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["n"], ["ledger.n"], name=op.f("fk_stamps_n")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_stamps")),
        sa.UniqueConstraint("n", name=op.f("uq_stamps_n")),
    )
