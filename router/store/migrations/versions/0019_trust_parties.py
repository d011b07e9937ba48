"""Third parties of trust: their accounts, and what is entrusted to them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    accounts()
    entrusted()
    proofs()
    op.add_column("signings", sa.Column("account_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f("fk_signings_account_id"), "signings", "signing_accounts", ["account_id"], ["id"])
    kinds = (
        "leg", "end_room", "end_leg", "message", "hold", "seal", "put_through", "line", "fetch", "mail", "archive",
        "entrust", "enquire", "revoke", "remind",
    )
    op.drop_constraint(op.f("ck_deliveries_deliverykind"), "deliveries", type_="check")
    listed = ", ".join(f"'{kind}'" for kind in kinds)
    op.create_check_constraint(op.f("ck_deliveries_deliverykind"), "deliveries", f"kind in ({listed})")


def accounts() -> None:
    """Accounts: one chosen one for each campaign at most."""
    op.create_table(
        "signing_accounts",
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "provider",
            sa.Enum("docuseal", "docusign", "signaturit", name="providername", native_enum=False,
                    create_constraint=True, length=32),
            nullable=False,
        ),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("key", "url")),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("settings", postgresql.JSONB(), nullable=False),
        sa.Column("house_sends", sa.Boolean(), nullable=False),
        sa.Column("networks", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("chosen", sa.Boolean(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_signing_accounts_campaign_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signing_accounts")),
        sa.UniqueConstraint("key", name=op.f("uq_signing_accounts_key")),
        sa.UniqueConstraint("campaign_id", "provider", name=op.f("uq_signing_accounts_campaign_id_provider")),
    )
    op.create_index("one_chosen_signing_account", "signing_accounts", ["campaign_id"], unique=True,
                    postgresql_where=sa.text("chosen"))


def entrusted() -> None:
    """Requests at providers: one for each signing."""
    op.create_table(
        "entrusted",
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("signing_id", "account_id")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("ref", "hook_key")),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("foreign_id", sa.Text(), nullable=False),
        sa.Column("sealed_link", sa.LargeBinary()),
        sa.Column("status", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("rank", "asked", "looks")),
        *(sa.Column(name, sa.Boolean(), nullable=False) for name in ("hinted", "waiting")),
        sa.Column("signed_sha256", sa.LargeBinary()),
        *(sa.Column(name, sa.DateTime(timezone=True)) for name in ("signed_at", "proved_at", "over_at")),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(["signing_id"], ["signings.id"], name=op.f("fk_entrusted_signing_id")),
        sa.ForeignKeyConstraint(["account_id"], ["signing_accounts.id"], name=op.f("fk_entrusted_account_id")),
        sa.ForeignKeyConstraint(["signed_sha256"], ["blobs.sha256"], name=op.f("fk_entrusted_signed_sha256")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entrusted")),
        *(sa.UniqueConstraint(name, name=op.f(f"uq_entrusted_{name}")) for name in ("signing_id", "ref", "hook_key")),
    )
    op.create_index("one_entrusted_per_foreign_id", "entrusted", ["account_id", "foreign_id"], unique=True,
                    postgresql_where=sa.text("foreign_id <> ''"))
    op.create_index(op.f("ix_entrusted_signed_sha256"), "entrusted", ["signed_sha256"])


def proofs() -> None:
    """What providers gave us."""
    op.create_table(
        "entrusted_proofs",
        sa.Column("entrusted_id", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("name", "media_type")),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(["entrusted_id"], ["entrusted.id"], name=op.f("fk_entrusted_proofs_entrusted_id")),
        sa.ForeignKeyConstraint(["sha256"], ["blobs.sha256"], name=op.f("fk_entrusted_proofs_sha256")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entrusted_proofs")),
        sa.UniqueConstraint("entrusted_id", "name", name=op.f("uq_entrusted_proofs_entrusted_id_name")),
    )
    op.create_index(op.f("ix_entrusted_proofs_sha256"), "entrusted_proofs", ["sha256"])
