"""Every door a lead can come through."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

FILLED = (
    ("agents", "shifts"),
    ("campaigns", "fields"),
    ("campaigns", "consents"),
    ("campaigns", "countries"),
    ("campaigns", "whatsapp"),
    ("campaigns", "keep_address"),
    ("inbox", "fetching"),
    ("inbox", "lease"),
    ("leads", "fields"),
    ("legs", "came_in"),
    ("queues", "hours"),
    ("queues", "holidays"),
    ("queues", "closures"),
    ("queues", "handle_seconds"),
    ("queues", "slot_minutes"),
    ("receipts", "locale"),
    ("sites", "actions"),
    ("sites", "closed"),
    ("sites", "daily_spend_cap"),
    ("sites", "hourly_spend_cap"),
)
"""New columns of old tables: rows that are there already get a first value, new ones always bring their own."""

WORDS = (
    ("tasks", "taskkind", "call nurture chat video"),
    ("deliveries", "deliverykind", "leg end_room end_leg message hold seal put_through fetch"),
)
"""Kinds that more words have joined."""


def upgrade() -> None:
    op.create_table(
        "rates",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("window_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_rates")),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index(op.f("ix_rates_ends_at"), "rates", ["ends_at"], unique=False)
    op.create_table(
        "silences",
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("tried", sa.BigInteger(), nullable=False),
        sa.Column("answered", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("prefix", "day", name=op.f("pk_silences")),
    )
    op.create_table(
        "api_keys",
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("queue_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("ending", sa.Text(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_by", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_by", sa.BigInteger(), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_api_keys_campaign_id")),
        sa.ForeignKeyConstraint(["created_by"], ["agents.id"], name=op.f("fk_api_keys_created_by")),
        sa.ForeignKeyConstraint(["queue_id"], ["queues.id"], name=op.f("fk_api_keys_queue_id")),
        sa.ForeignKeyConstraint(["revoked_by"], ["agents.id"], name=op.f("fk_api_keys_revoked_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_keys_key_hash")),
    )
    op.create_table(
        "imports",
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("queue_id", sa.BigInteger(), nullable=False),
        sa.Column("agent_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "receiving",
                "uploaded",
                "checking",
                "checked",
                "running",
                "paused",
                "done",
                "canceled",
                name="importstate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("encoding", sa.Text(), nullable=False),
        sa.Column("delimiter", sa.Text(), nullable=False),
        sa.Column("headers", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mapping", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("basis", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("counts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("checked", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_imports_agent_id")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_imports_campaign_id")),
        sa.ForeignKeyConstraint(["queue_id"], ["queues.id"], name=op.f("fk_imports_queue_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imports")),
    )
    op.create_index(
        "ix_imports_work", "imports", ["id"], unique=False, postgresql_where=sa.text("state in ('checking', 'running')")
    )
    op.create_table(
        "numbers",
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("queue_id", sa.BigInteger(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_numbers_campaign_id")),
        sa.ForeignKeyConstraint(["queue_id"], ["queues.id"], name=op.f("fk_numbers_queue_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_numbers")),
        sa.UniqueConstraint("phone", name=op.f("uq_numbers_phone")),
    )
    op.create_table(
        "slot_loads",
        sa.Column("queue_id", sa.BigInteger(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("taken", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("taken >= 0", name=op.f("ck_slot_loads_taken_not_negative")),
        sa.ForeignKeyConstraint(["queue_id"], ["queues.id"], name=op.f("fk_slot_loads_queue_id")),
        sa.PrimaryKeyConstraint("queue_id", "starts_at", name=op.f("pk_slot_loads")),
    )
    op.create_table(
        "connectors",
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("queue_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "party",
            sa.Enum(
                "google_ads",
                "meta",
                "shopify",
                "woocommerce",
                "email",
                name="partyname",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("site_id", sa.BigInteger(), nullable=True),
        sa.Column("settings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_connectors_campaign_id")),
        sa.ForeignKeyConstraint(["queue_id"], ["queues.id"], name=op.f("fk_connectors_queue_id")),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name=op.f("fk_connectors_site_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connectors")),
        sa.UniqueConstraint("campaign_id", "name", name=op.f("uq_connectors_campaign_id_name")),
        sa.UniqueConstraint("key", name=op.f("uq_connectors_key")),
    )
    op.create_table(
        "refusals",
        sa.Column("site_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name=op.f("fk_refusals_site_id")),
        sa.PrimaryKeyConstraint("site_id", "code", "hour", name=op.f("pk_refusals")),
    )
    op.create_table(
        "short_links",
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("site_id", sa.BigInteger(), nullable=False),
        sa.Column("piece", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("visits", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_short_links_campaign_id")),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name=op.f("fk_short_links_site_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_short_links")),
        sa.UniqueConstraint("campaign_id", "piece", name=op.f("uq_short_links_campaign_id_piece")),
        sa.UniqueConstraint("code", name=op.f("uq_short_links_code")),
    )
    op.create_table(
        "attachments",
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("lead_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "expected",
                "kept",
                "missing",
                name="attachmentstate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seconds", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_attachments_campaign_id")),
        sa.ForeignKeyConstraint(["lead_id"], ["leads.id"], name=op.f("fk_attachments_lead_id")),
        sa.ForeignKeyConstraint(["sha256"], ["blobs.sha256"], name=op.f("fk_attachments_sha256")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attachments")),
        sa.UniqueConstraint("external_id", name=op.f("uq_attachments_external_id")),
    )
    op.create_index(op.f("ix_attachments_lead_id"), "attachments", ["lead_id"], unique=False)
    op.create_table(
        "claims",
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("email", "external_id", name="claimkind", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.Column("contact_id", sa.BigInteger(), nullable=False),
        sa.Column("lead_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_claims_campaign_id")),
        sa.ForeignKeyConstraint(["contact_id"], ["contacts.id"], name=op.f("fk_claims_contact_id")),
        sa.ForeignKeyConstraint(["lead_id"], ["leads.id"], name=op.f("fk_claims_lead_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_claims")),
        sa.UniqueConstraint(
            "campaign_id", "kind", "mac", "contact_id", name=op.f("uq_claims_campaign_id_kind_mac_contact_id")
        ),
    )
    op.create_table(
        "conversations",
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("contact_id", sa.BigInteger(), nullable=False),
        sa.Column("lead_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "channel",
            sa.Enum(
                "web_chat",
                "sms",
                "whatsapp",
                "email",
                name="channel",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum("open", "closed", name="conversationstate", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.BigInteger(), nullable=True),
        sa.Column("unread", sa.BigInteger(), nullable=False),
        sa.Column("read_to", sa.BigInteger(), nullable=False),
        sa.Column("answered", sa.Boolean(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_conversations_agent_id")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_conversations_campaign_id")),
        sa.ForeignKeyConstraint(["contact_id"], ["contacts.id"], name=op.f("fk_conversations_contact_id")),
        sa.ForeignKeyConstraint(["lead_id"], ["leads.id"], name=op.f("fk_conversations_lead_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversations")),
    )
    op.create_index("ix_conversations_contact", "conversations", ["contact_id", "last_at"], unique=False)
    op.create_index("ix_conversations_lead", "conversations", ["lead_id"], unique=False)
    op.create_index(
        "one_open_chat_per_lead",
        "conversations",
        ["lead_id"],
        unique=True,
        postgresql_where=sa.text("state = 'open' and channel = 'web_chat'"),
    )
    op.create_index(
        "one_open_thread_per_address",
        "conversations",
        ["contact_id", "channel", "address"],
        unique=True,
        postgresql_where=sa.text("state = 'open' and channel <> 'web_chat'"),
    )
    op.create_table(
        "import_rows",
        sa.Column("import_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("cells", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("phone", sa.Text(), nullable=False),
        sa.Column(
            "expected",
            sa.Enum(
                "taken",
                "attached",
                "duplicate",
                "refused",
                name="expected",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column(
            "outcome",
            sa.Enum(
                "taken",
                "attached",
                "duplicate",
                "refused",
                name="outcome",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("lead_id", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["import_id"], ["imports.id"], name=op.f("fk_import_rows_import_id")),
        sa.ForeignKeyConstraint(["lead_id"], ["leads.id"], name=op.f("fk_import_rows_lead_id")),
        sa.PrimaryKeyConstraint("import_id", "number", name=op.f("pk_import_rows")),
    )
    op.create_index("ix_import_rows_phone", "import_rows", ["import_id", "phone", "number"], unique=False)
    op.create_table(
        "merges",
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("into_id", sa.BigInteger(), nullable=False),
        sa.Column("from_id", sa.BigInteger(), nullable=False),
        sa.Column("lead_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("email", "external_id", name="claimkind", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum(
                "proposed",
                "merged",
                "declined",
                "undone",
                name="mergestate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("moved", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("decided_by", sa.BigInteger(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.CheckConstraint("into_id < from_id", name=op.f("ck_merges_into_the_elder")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_merges_campaign_id")),
        sa.ForeignKeyConstraint(["decided_by"], ["agents.id"], name=op.f("fk_merges_decided_by")),
        sa.ForeignKeyConstraint(["from_id"], ["contacts.id"], name=op.f("fk_merges_from_id")),
        sa.ForeignKeyConstraint(["into_id"], ["contacts.id"], name=op.f("fk_merges_into_id")),
        sa.ForeignKeyConstraint(["lead_id"], ["leads.id"], name=op.f("fk_merges_lead_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merges")),
        sa.UniqueConstraint("into_id", "from_id", name=op.f("uq_merges_into_id_from_id")),
    )
    op.create_index(
        "ix_merges_open", "merges", ["into_id"], unique=False, postgresql_where=sa.text("state = 'proposed'")
    )
    op.create_index(
        "one_merge_of_a_contact", "merges", ["from_id"], unique=True, postgresql_where=sa.text("state = 'merged'")
    )
    op.create_table(
        "withdrawals",
        sa.Column("receipt_id", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("agent_id", sa.BigInteger(), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_withdrawals_agent_id")),
        sa.ForeignKeyConstraint(["receipt_id"], ["receipts.id"], name=op.f("fk_withdrawals_receipt_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_withdrawals")),
        sa.UniqueConstraint("receipt_id", "purpose", name=op.f("uq_withdrawals_receipt_id_purpose")),
    )
    op.create_table(
        "arrivals",
        sa.Column("carrier_id", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "waiting",
                "talking",
                "message",
                "callback",
                "left",
                "refused",
                "ended",
                name="arrivalstate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("dialled", sa.Text(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("heard_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=True),
        sa.Column("queue_id", sa.BigInteger(), nullable=True),
        sa.Column("lead_id", sa.BigInteger(), nullable=True),
        sa.Column("task_id", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hung_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_arrivals_campaign_id")),
        sa.ForeignKeyConstraint(["lead_id"], ["leads.id"], name=op.f("fk_arrivals_lead_id")),
        sa.ForeignKeyConstraint(["queue_id"], ["queues.id"], name=op.f("fk_arrivals_queue_id")),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name=op.f("fk_arrivals_task_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_arrivals")),
        sa.UniqueConstraint("carrier_id", name=op.f("uq_arrivals_carrier_id")),
        sa.UniqueConstraint("ref", name=op.f("uq_arrivals_ref")),
    )
    op.create_index(op.f("ix_arrivals_caller_created_at"), "arrivals", ["caller", "created_at"], unique=False)
    op.create_index(op.f("ix_arrivals_lead_id"), "arrivals", ["lead_id"], unique=False)
    op.create_index(
        "ix_arrivals_live", "arrivals", ["heard_at"], unique=False, postgresql_where=sa.text("hung_up_at is null")
    )
    op.create_index(
        "ix_arrivals_waiting", "arrivals", ["task_id"], unique=False, postgresql_where=sa.text("state = 'waiting'")
    )
    op.create_table(
        "carts",
        sa.Column("connector_id", sa.BigInteger(), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("names", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "open",
                "rescued",
                "withdrawn",
                "expired",
                "ordered",
                name="cartstate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("incident", sa.Text(), nullable=False),
        sa.Column("contents", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("lines", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("total_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lead_id", sa.BigInteger(), nullable=True),
        sa.Column("task_id", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_carts_campaign_id")),
        sa.ForeignKeyConstraint(["connector_id"], ["connectors.id"], name=op.f("fk_carts_connector_id")),
        sa.ForeignKeyConstraint(["lead_id"], ["leads.id"], name=op.f("fk_carts_lead_id")),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name=op.f("fk_carts_task_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_carts")),
        sa.UniqueConstraint("connector_id", "external_id", name=op.f("uq_carts_connector_id_external_id")),
    )
    op.create_index("ix_carts_names", "carts", ["names"], unique=False, postgresql_using="gin")
    op.create_table(
        "promises",
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("queue_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "held",
                "scheduled",
                "offered",
                "kept",
                "kept_by_inbound",
                "broken_by_customer",
                "missed_by_us",
                "canceled",
                "moved",
                "lapsed",
                name="promisestate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("wall", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("tzdata", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("hold_hash", sa.LargeBinary(), nullable=True),
        sa.Column("holder", sa.LargeBinary(), nullable=False),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("contact_id", sa.BigInteger(), nullable=True),
        sa.Column("lead_id", sa.BigInteger(), nullable=True),
        sa.Column("task_id", sa.BigInteger(), nullable=True),
        sa.Column("link_hash", sa.LargeBinary(), nullable=True),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("continues", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_promises_campaign_id")),
        sa.ForeignKeyConstraint(["contact_id"], ["contacts.id"], name=op.f("fk_promises_contact_id")),
        sa.ForeignKeyConstraint(["continues"], ["promises.id"], name=op.f("fk_promises_continues")),
        sa.ForeignKeyConstraint(["lead_id"], ["leads.id"], name=op.f("fk_promises_lead_id")),
        sa.ForeignKeyConstraint(["queue_id"], ["queues.id"], name=op.f("fk_promises_queue_id")),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name=op.f("fk_promises_task_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_promises")),
        sa.UniqueConstraint("hold_hash", name=op.f("uq_promises_hold_hash")),
        sa.UniqueConstraint("link_hash", name=op.f("uq_promises_link_hash")),
    )
    op.create_index(
        "ix_promises_held", "promises", ["holder"], unique=False, postgresql_where=sa.text("state = 'held'")
    )
    op.create_index(op.f("ix_promises_lead_id"), "promises", ["lead_id"], unique=False)
    op.create_index(op.f("ix_promises_task_id"), "promises", ["task_id"], unique=False)
    op.create_index(
        "one_open_promise_per_contact",
        "promises",
        ["contact_id"],
        unique=True,
        postgresql_where=sa.text("state in ('scheduled','offered')"),
    )
    op.create_table(
        "rooms",
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("lead_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimed_hash", sa.LargeBinary(), nullable=True),
        sa.Column("visitor_seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("agent_seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(["lead_id"], ["leads.id"], name=op.f("fk_rooms_lead_id")),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name=op.f("fk_rooms_task_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rooms")),
        sa.UniqueConstraint("task_id", name=op.f("uq_rooms_task_id")),
    )
    op.create_index(op.f("ix_rooms_lead_id"), "rooms", ["lead_id"], unique=False)
    op.create_table(
        "signals",
        sa.Column("room_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "receiver",
            sa.Enum("visitor", "agent", name="side", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(["room_id"], ["rooms.id"], name=op.f("fk_signals_room_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signals")),
    )
    op.create_index("ix_signals_expiry", "signals", ["expires_at"], unique=False)
    op.create_index("ix_signals_room", "signals", ["room_id", "receiver", "id"], unique=False)
    op.create_table(
        "messages",
        sa.Column("conversation_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "direction",
            sa.Enum("incoming", "outgoing", name="direction", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("agent_id", sa.BigInteger(), nullable=True),
        sa.Column("delivery_id", sa.BigInteger(), nullable=True),
        sa.Column("media", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("client_id", sa.Text(), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_messages_agent_id")),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversations.id"], name=op.f("fk_messages_conversation_id")),
        sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"], name=op.f("fk_messages_delivery_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
        sa.UniqueConstraint("conversation_id", "client_id", name=op.f("uq_messages_conversation_id_client_id")),
        sa.UniqueConstraint("conversation_id", "external_id", name=op.f("uq_messages_conversation_id_external_id")),
    )
    op.create_index("ix_messages_conversation", "messages", ["conversation_id", "id"], unique=False)
    op.add_column(
        "agents",
        sa.Column("shifts", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    )
    op.add_column(
        "campaigns",
        sa.Column("fields", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
    )
    op.add_column(
        "campaigns",
        sa.Column("consents", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
    )
    op.add_column(
        "campaigns", sa.Column("countries", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False)
    )
    op.add_column("campaigns", sa.Column("whatsapp", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column(
        "campaigns", sa.Column("keep_address", sa.Text(), server_default=sa.text("'truncated'"), nullable=False)
    )
    op.add_column("contacts", sa.Column("merged_into", sa.BigInteger(), nullable=True))
    op.drop_constraint(op.f("uq_contacts_campaign_id_phone"), "contacts", type_="unique")
    op.create_index(
        "one_contact_per_number",
        "contacts",
        ["campaign_id", "phone"],
        unique=True,
        postgresql_where=sa.text("phone <> ''"),
    )
    op.create_foreign_key(op.f("fk_contacts_merged_into"), "contacts", "contacts", ["merged_into"], ["id"])
    op.add_column("inbox", sa.Column("fetching", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("inbox", sa.Column("answer", sa.LargeBinary(), nullable=True))
    op.add_column("inbox", sa.Column("lease", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.create_index(
        "ix_inbox_fetching",
        "inbox",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting' and fetching"),
    )
    op.add_column(
        "leads",
        sa.Column("fields", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    )
    op.add_column("leads", sa.Column("sealed_fields", sa.LargeBinary(), nullable=True))
    op.create_index(
        "ix_leads_offline",
        "leads",
        ["campaign_id", sa.literal_column("(source ->> 'offline')")],
        unique=False,
        postgresql_where=sa.text("source ->> 'offline' is not null"),
    )
    op.create_index(
        "ix_leads_reference",
        "leads",
        [sa.literal_column("(source ->> 'reference')")],
        unique=False,
        postgresql_where=sa.text("source ->> 'reference' is not null"),
    )
    op.add_column("legs", sa.Column("came_in", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_index(
        "ix_legs_customers", "legs", ["created_at"], unique=False, postgresql_where=sa.text("role = 'customer'")
    )
    op.add_column(
        "queues",
        sa.Column("hours", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    )
    op.add_column(
        "queues",
        sa.Column("holidays", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    )
    op.add_column(
        "queues", sa.Column("closures", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False)
    )
    op.add_column("queues", sa.Column("handle_seconds", sa.BigInteger(), server_default=sa.text("600"), nullable=False))
    op.add_column("queues", sa.Column("slot_minutes", sa.BigInteger(), server_default=sa.text("15"), nullable=False))
    op.add_column("receipts", sa.Column("locale", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("receipts", sa.Column("client_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(op.f("ix_receipts_lead_id"), "receipts", ["lead_id"], unique=False)
    op.add_column(
        "sites",
        sa.Column("actions", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{call,later}'"), nullable=False),
    )
    op.add_column("sites", sa.Column("closed", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("sites", sa.Column("daily_spend_cap", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("sites", sa.Column("hourly_spend_cap", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("tasks", sa.Column("engaged_at", sa.DateTime(timezone=True), nullable=True))
    op.drop_index("one_waiting_call_per_person", table_name="tasks")
    op.create_index(
        "ix_tasks_list",
        "tasks",
        ["campaign_id", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'queued' and tier = 4"),
    )
    op.create_index(
        "one_waiting_task_per_person",
        "tasks",
        ["contact_id", "kind"],
        unique=True,
        postgresql_where=sa.text("kind <> 'nurture' and state in ('queued','reserved','connecting','engaged')"),
    )
    for table, column in FILLED:
        op.alter_column(table, column, server_default=None)
    for table, name, words in WORDS:
        op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
        quoted = ", ".join(f"'{word}'" for word in words.split())
        op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, f"kind in ({quoted})")
    # Withdrawals of consent are append-only, as receipts are.
    op.execute(
        "create trigger withdrawals_append_only before update or delete on withdrawals "
        "for each statement execute function refuse_change()"
    )
