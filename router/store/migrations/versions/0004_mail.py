"""E-mail that leaves the house."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    for table, column in (("campaigns", "mail_from"), ("suppressions", "address")):
        op.add_column(table, sa.Column(column, sa.Text(), server_default=sa.text("''"), nullable=False))
        op.alter_column(table, column, server_default=None)
    op.create_index(
        "one_suppression_per_address", "suppressions", ["address", "reason"], unique=True,
        postgresql_where=sa.text("address <> '' and lifted_at is null"),
    )
    kinds = ("leg", "end_room", "end_leg", "message", "hold", "seal", "put_through", "line", "fetch", "mail")
    op.drop_constraint(op.f("ck_deliveries_deliverykind"), "deliveries", type_="check")
    listed = ", ".join(f"'{kind}'" for kind in kinds)
    op.create_check_constraint(op.f("ck_deliveries_deliverykind"), "deliveries", f"kind in ({listed})")
    op.create_table(
        "unsubscribes",
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("contact_id", sa.BigInteger(), nullable=False),
        sa.Column("lead_id", sa.BigInteger(), nullable=True),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_unsubscribes_campaign_id")),
        sa.ForeignKeyConstraint(["contact_id"], ["contacts.id"], name=op.f("fk_unsubscribes_contact_id")),
        sa.ForeignKeyConstraint(["lead_id"], ["leads.id"], name=op.f("fk_unsubscribes_lead_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unsubscribes")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_unsubscribes_token_hash")),
    )
    op.create_index(op.f("ix_unsubscribes_contact_id"), "unsubscribes", ["contact_id"], unique=False)
