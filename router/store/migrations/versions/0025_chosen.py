"""Time and custody bought one by one: their accounts, and what keepers have got; the company's own seals;
parties that rest; and certificates of evidence that last."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    accounts()
    deposits()
    seals()
    for name in ("failing_since", "paused_until", "trying_until"):
        op.add_column("signing_accounts", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    for name in ("pauses", "failures"):
        op.add_column("signing_accounts", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
        op.alter_column("signing_accounts", name, server_default=None)
    op.add_column("archives", sa.Column("edition", sa.BigInteger(), nullable=True))
    # Certificates that were made before are archived in the next night.
    op.add_column("attestations", sa.Column("archive_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("update attestations set archive_at = created_at")
    op.create_index("ix_attestations_archive_at", "attestations", ["archive_at"],
                    postgresql_where=sa.text("archive_at is not null"))
    kinds = (
        *("leg", "end_room", "end_leg", "message", "hold", "seal", "put_through", "line", "fetch", "mail", "archive"),
        *("entrust", "enquire", "revoke", "remind", "attest", "deposit"),
    )
    op.drop_constraint(op.f("ck_deliveries_deliverykind"), "deliveries", type_="check")
    listed = ", ".join(f"'{kind}'" for kind in kinds)
    op.create_check_constraint(op.f("ck_deliveries_deliverykind"), "deliveries", f"kind in ({listed})")


def accounts() -> None:
    """Accounts: one chosen one for each campaign and service at most."""
    op.create_table(
        "trust_accounts",
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "service",
            sa.Enum("time", "custody", name="servicename", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("settings", postgresql.JSONB(), nullable=False),
        sa.Column("chosen", sa.Boolean(), nullable=False),
        *(sa.Column(name, sa.DateTime(timezone=True)) for name in ("failing_since", "paused_until", "trying_until")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("pauses", "failures")),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_trust_accounts_campaign_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trust_accounts")),
        sa.UniqueConstraint("campaign_id", "service", "url", name=op.f("uq_trust_accounts_campaign_id_service_url")),
    )
    op.create_index("one_chosen_trust_account", "trust_accounts", ["campaign_id", "service"], unique=True,
                    postgresql_where=sa.text("chosen"))


def deposits() -> None:
    """What keepers were given: once for each signing."""
    op.create_table(
        "deposits",
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("signing_id", "account_id")),
        sa.Column("ordered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("keeper", "given", "reference")),
        sa.Column("record", sa.LargeBinary(), nullable=True),
        *(sa.Column(name, sa.DateTime(timezone=True), nullable=True) for name in ("kept_at", "received_at")),
        sa.ForeignKeyConstraint(["account_id"], ["trust_accounts.id"], name=op.f("fk_deposits_account_id")),
        sa.ForeignKeyConstraint(["sha256"], ["blobs.sha256"], name=op.f("fk_deposits_sha256")),
        sa.ForeignKeyConstraint(["signing_id"], ["signings.id"], name=op.f("fk_deposits_signing_id")),
        sa.PrimaryKeyConstraint("signing_id", name=op.f("pk_deposits")),
    )


def seals() -> None:
    """The seal that is set up now is written down at the next start."""
    op.create_table(
        "seals",
        *(sa.Column(name, sa.LargeBinary(), nullable=False) for name in ("sha256", "chain")),
        *(sa.Column(name, sa.DateTime(timezone=True), nullable=False) for name in ("first_used_at", "last_used_at")),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_seals")),
    )
