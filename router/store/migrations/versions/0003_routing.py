"""Routing by levels, capacity by channel, rules with versions, and the day of an agent."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"

NUMBERS = (
    ("agents", "chat_capacity", 1),
    ("agents", "video_capacity", 1),
    ("agents", "chat_load", 0),
    ("agents", "video_load", 0),
    ("agents", "most_a_day", 0),
    ("agents", "taken", 0),
    ("agents", "busy_ms", 0),
    ("agents", "idle_ms", 0),
    ("agents", "idle_kept_ms", 0),
    ("queues", "wrap_most_seconds", 600),
    ("queues", "overflow_seconds", 0),
    ("queues", "expire_seconds", 0),
    ("queues", "owner_seconds", 0),
    ("tasks", "row", 0),
    ("tasks", "expected_present", 0),
)
"""New counts of old tables: rows that are there already get a first value, new ones always bring their own."""

MOMENTS = (
    ("agents", "day_ends"),
    ("agents", "busy_since"),
    ("agents", "turn_kept_at"),
    ("agents", "help_at"),
    ("tasks", "prefers_until"),
    ("tasks", "expected_at"),
)

KINDS = "leg end_room end_leg message hold seal put_through line fetch"
"""Deliveries, which one more kind has joined."""

OTHERS = (
    ("agents", "help_by", "agents"),
    ("contacts", "agent_id", "agents"),
    ("queues", "overflow_id", "queues"),
    ("queues", "rules_id", "rulesets"),
    ("tasks", "rules_id", "rulesets"),
    ("tasks", "prefers", "agents"),
)
"""Columns that name a row of another table, or none."""


def upgrade() -> None:
    op.create_table(
        "rulesets",
        sa.Column("queue_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("widens", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("newest_first", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(["queue_id"], ["queues.id"], name=op.f("fk_rulesets_queue_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rulesets")),
        sa.UniqueConstraint("queue_id", "version", name=op.f("uq_rulesets_queue_id_version")),
    )
    op.create_table(
        "switches",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("agent_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_switches_agent_id")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_switches")),
    )
    op.drop_constraint(op.f("ck_agents_load_within_capacity"), "agents", type_="check")
    op.alter_column("agents", "capacity", new_column_name="call_capacity")
    op.alter_column("agents", "load", new_column_name="call_load")
    for table, column, first in NUMBERS:
        op.add_column(table, sa.Column(column, sa.BigInteger(), server_default=sa.text(str(first)), nullable=False))
        op.alter_column(table, column, server_default=None)
    for table, column in MOMENTS:
        op.add_column(table, sa.Column(column, sa.DateTime(timezone=True), nullable=True))
    for table, column, other in OTHERS:
        op.add_column(table, sa.Column(column, sa.BigInteger(), nullable=True))
        op.create_foreign_key(op.f(f"fk_{table}_{column}"), table, other, [column], ["id"])
    op.add_column("agents", sa.Column("focus", sa.BigInteger(), nullable=True))
    op.add_column("agents", sa.Column("weight", sa.Float(), server_default=sa.text("1"), nullable=False))
    op.add_column("queues", sa.Column("newest_first", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("queues", sa.Column("pull", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("agents", sa.Column("pause_reason", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("reservations", sa.Column("costs_turn", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.add_column(
        "queues",
        sa.Column(
            "wrap_mode",
            sa.Enum(
                "none",
                "timed",
                "until_done",
                "timed_and_done",
                name="wrapmode",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            server_default=sa.text("'timed'"),
            nullable=False,
        ),
    )
    for table, column in (("agents", "weight"), ("agents", "pause_reason"), ("reservations", "costs_turn"),
                          ("queues", "wrap_mode"), ("queues", "newest_first"), ("queues", "pull")):
        op.alter_column(table, column, server_default=None)
    op.execute("update agents set call_capacity = least(call_capacity, 1)")  # until now nobody held more than one
    for channel in ("chat", "video"):
        op.execute(
            f"update agents set {channel}_load = call_load, call_load = 0 where id in (select agent_id from tasks "  # noqa: S608
            f"where kind = '{channel}' and state in ('reserved', 'connecting', 'engaged', 'wrapping'))"
        )
    for channel in ("call", "chat", "video"):
        op.create_check_constraint(
            op.f(f"ck_agents_{channel}_load_within_capacity"), "agents",
            f"{channel}_load between 0 and {channel}_capacity",
        )
    op.create_check_constraint(
        op.f("ck_agents_one_voice_at_a_time"), "agents", "call_capacity <= 1 and video_capacity <= 1"
    )
    # A lane says by what rules its tasks go out, how far those are relaxed, and which channel they occupy.
    op.execute(
        r"update tasks set lane = regexp_replace(lane, '^([0-9]+/[0-9]+/[0-9]+)/', '\1/0.0/' || kind || '/') "
        "where state in ('scheduled', 'queued', 'reserved', 'connecting', 'engaged')"
    )
    op.create_index(
        "ix_agents_profile",
        "agents",
        ["pool", sa.text("hash_array_extended(skills, 0)"), "call_load", "chat_load", "video_load", "idle_since",
         "id"],
        unique=False,
        postgresql_where=sa.text("wish in ('ready','ready_once')"),
    )
    op.drop_constraint(op.f("ck_deliveries_deliverykind"), "deliveries", type_="check")
    kinds = ", ".join(f"'{kind}'" for kind in KINDS.split())
    op.create_check_constraint(op.f("ck_deliveries_deliverykind"), "deliveries", f"kind in ({kinds})")
    op.drop_index("one_voice_task_per_agent", table_name="tasks")
    op.create_index(
        "one_voice_task_per_agent",
        "tasks",
        ["agent_id"],
        unique=True,
        postgresql_where=sa.text("kind <> 'chat' and state in ('connecting','engaged','wrapping')"),
    )
