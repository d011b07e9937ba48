"""Documents that outlast their certificates, and lists of revoked certificates."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    authority()
    archives()
    kinds = ("leg", "end_room", "end_leg", "message", "hold", "seal", "put_through", "line", "fetch", "mail", "archive")
    op.drop_constraint(op.f("ck_deliveries_deliverykind"), "deliveries", type_="check")
    listed = ", ".join(f"'{kind}'" for kind in kinds)
    op.create_check_constraint(op.f("ck_deliveries_deliverykind"), "deliveries", f"kind in ({listed})")


def authority() -> None:
    """What the authority publishes; the rest is filled in at the next start."""
    op.add_column("authority", sa.Column("issuing_certificate", sa.LargeBinary(), nullable=True))
    for column in ("seal_until", "issuing_until", "root_left_at"):
        op.add_column("authority", sa.Column(column, sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "crls",
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_update", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("issuer in ('root', 'issuing')", name=op.f("ck_crls_issuer")),
        sa.PrimaryKeyConstraint("issuer", name=op.f("pk_crls")),
    )
    op.create_table(
        "revocations",
        sa.Column("serial", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_revocations")),
    )


def archives() -> None:
    """Versions of sealed documents. What has been sealed so far is due at once."""
    op.create_table(
        "archives",
        sa.Column("signing_id", sa.BigInteger(), nullable=False),
        sa.Column("base_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("time_source", sa.Text(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(["base_sha256"], ["blobs.sha256"], name=op.f("fk_archives_base_sha256")),
        sa.ForeignKeyConstraint(["sha256"], ["blobs.sha256"], name=op.f("fk_archives_sha256")),
        sa.ForeignKeyConstraint(["signing_id"], ["signings.id"], name=op.f("fk_archives_signing_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_archives")),
        sa.UniqueConstraint("sha256", name=op.f("uq_archives_sha256")),
        sa.UniqueConstraint("signing_id", "base_sha256", name=op.f("uq_archives_signing_id_base_sha256")),
    )
    op.add_column("signings", sa.Column("archive_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("update signings set archive_at = now() where sealed_sha256 is not null")
    op.create_index(
        op.f("ix_signings_archive_at"), "signings", ["archive_at"], unique=False,
        postgresql_where=sa.text("archive_at is not null"),
    )
