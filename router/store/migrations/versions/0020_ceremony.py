"""Offers held for a supervisor, drawn signatures, shares of a sale, withdrawals from contracts, forgotten persons."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    holds()
    seen_devices()
    credits()
    contract_withdrawals()
    columns()


def holds() -> None:
    """Why a quote is not to be signed before somebody has looked at it."""
    reasons = ("office_network", "shared_device", "alike", "many_offers", "our_number", "other_number")
    op.create_table(
        "holds",
        sa.Column("quote_id", sa.BigInteger(), nullable=False),
        sa.Column("reason", _words("holdreason", *reasons), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("ended_at", TIME),
        sa.Column("agent_id", sa.BigInteger()),
        *_numbered("holds"),
        _key("holds", "quote_id", "quotes"),
        _key("holds", "agent_id", "agents"),
        sa.UniqueConstraint("quote_id", "reason", name=op.f("uq_holds_quote_id_reason")),
    )
    op.create_index("ix_holds_open", "holds", ["quote_id"], postgresql_where=sa.text("ended_at is null"))


def seen_devices() -> None:
    """Browsers that opened offers."""
    op.create_table(
        "seen_devices",
        sa.Column("signing_id", sa.BigInteger(), nullable=False),
        sa.Column("device_hash", sa.LargeBinary(), nullable=False),
        sa.Column("trace_hash", sa.LargeBinary(), nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
        *_numbered("seen_devices"),
        _key("seen_devices", "signing_id", "signings"),
        sa.UniqueConstraint("signing_id", "device_hash", name=op.f("uq_seen_devices_signing_id_device_hash")),
    )
    for columns in (["device_hash"], ["trace_hash", "seen_at"], ["seen_at"]):
        op.create_index(op.f(f"ix_seen_devices_{'_'.join(columns)}"), "seen_devices", columns)


def credits() -> None:
    """Whose sale it is."""
    op.create_table(
        "credits",
        sa.Column("quote_id", sa.BigInteger(), nullable=False),
        sa.Column("agent_id", sa.BigInteger(), nullable=False),
        sa.Column("percent", sa.BigInteger(), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.CheckConstraint("percent between 1 and 100", name=op.f("ck_credits_a_share")),
        _key("credits", "quote_id", "quotes"),
        _key("credits", "agent_id", "agents"),
        sa.PrimaryKeyConstraint("quote_id", "agent_id", name=op.f("pk_credits")),
    )
    op.create_index(op.f("ix_credits_agent_id"), "credits", ["agent_id"])


def contract_withdrawals() -> None:
    """What customers declared after they had signed."""
    name = "contract_withdrawals"
    op.create_table(
        name,
        *(sa.Column(key, sa.BigInteger(), nullable=False) for key in ("signing_id", "campaign_id", "lead_id")),
        sa.Column("state", _words("withdrawalstate", "taken", "late", "accepted", "refused"), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("ends_at", TIME, nullable=False),
        sa.Column("lines", postgresql.JSONB(), nullable=False),
        *(sa.Column(key, sa.LargeBinary()) for key in ("link_hash", "pdf_sha256", "sealed_sha256")),
        sa.Column("agent_id", sa.BigInteger()),
        sa.Column("decided_at", TIME),
        *_numbered(name),
        *(_key(name, f"{one}_id", f"{one}s") for one in ("signing", "campaign", "lead", "agent")),
        *(_key(name, column, "blobs", "sha256") for column in ("pdf_sha256", "sealed_sha256")),
        sa.UniqueConstraint("signing_id", name=op.f("uq_contract_withdrawals_signing_id")),
        sa.UniqueConstraint("link_hash", name=op.f("uq_contract_withdrawals_link_hash")),
    )
    op.create_index("ix_contract_withdrawals_late", name, ["id"], postgresql_where=sa.text("state = 'late'"))
    op.create_index(op.f("ix_contract_withdrawals_campaign_id"), name, ["campaign_id"])


def columns() -> None:
    """What campaigns, persons and signings have besides."""
    op.add_column("campaigns", sa.Column(
        "office_networks", postgresql.ARRAY(sa.Text()), nullable=False, server_default="{}"))
    op.add_column("campaigns", sa.Column("retention_days", sa.BigInteger(), nullable=False, server_default="0"))
    for column in ("office_networks", "retention_days"):
        op.alter_column("campaigns", column, server_default=None)
    op.add_column("contacts", sa.Column("erased_at", TIME))
    op.add_column("signings", sa.Column("drawing_sha256", sa.LargeBinary()))
    op.create_foreign_key(
        op.f("fk_signings_drawing_sha256"), "signings", "blobs", ["drawing_sha256"], ["sha256"]
    )


def _words(name: str, *words: str) -> sa.Enum:
    return sa.Enum(*words, name=name, native_enum=False, create_constraint=True, length=32)


def _numbered(table: str) -> tuple[sa.Column[int], sa.PrimaryKeyConstraint]:
    return (
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
    )


def _key(table: str, column: str, other: str, to: str = "id") -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{other}.{to}"], name=op.f(f"fk_{table}_{column}"))
