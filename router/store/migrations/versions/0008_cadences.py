"""Cadences with their versions and steps, and the outcomes they ask for."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    outcomes()
    cadences()
    watched()


DISPOSITIONS = (
    "sold quote_sent callback needs_information not_interested bought_elsewhere not_eligible third_person voicemail "
    "voicemail_left hung_up wrong_number invalid_number do_not_call no_answer busy failed not_permitted unclassified"
)


def outcomes() -> None:
    """A task may end in more ways."""
    op.drop_constraint(op.f("ck_tasks_disposition"), "tasks", type_="check")
    op.create_check_constraint(
        op.f("ck_tasks_disposition"), "tasks", sa.column("disposition").in_(DISPOSITIONS.split())
    )


_MOMENT = sa.DateTime(timezone=True)


def _number() -> "sa.Column[int]":
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False)


def _refers(table: str, **columns: str) -> list[sa.ForeignKeyConstraint]:
    return [
        sa.ForeignKeyConstraint([column], [f"{other}.id"], name=op.f(f"fk_{table}_{column}"))
        for column, other in columns.items()
    ]


def cadences() -> None:
    """Plans in versions, who is inside, each step, and how often calls are answered."""
    op.create_table(
        "cadences",
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("preset", sa.Boolean(), nullable=False),
        _number(),
        *_refers("cadences", campaign_id="campaigns"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cadences")),
        sa.UniqueConstraint("campaign_id", "key", name=op.f("uq_cadences_campaign_id_key")),
    )
    op.create_table(
        "cadence_versions",
        sa.Column("cadence_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("published_at", _MOMENT, nullable=False),
        _number(),
        *_refers("cadence_versions", cadence_id="cadences"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cadence_versions")),
        sa.UniqueConstraint("cadence_id", "version", name=op.f("uq_cadence_versions_cadence_id_version")),
    )
    _enrolments()
    op.create_table(
        "steps",
        sa.Column("enrolment_id", sa.BigInteger(), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("lead_id", sa.BigInteger(), nullable=False),
        sa.Column("version_id", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("state", sa.Enum("planned", "waiting", "done", "skipped", "canceled", name="stepstate",
                                   native_enum=False, create_constraint=True, length=32), nullable=False),
        sa.Column("planned_at", _MOMENT, nullable=False),
        sa.Column("due_at", _MOMENT, nullable=False),
        sa.Column("not_after", _MOMENT, nullable=False),
        sa.Column("began_at", _MOMENT, nullable=True),
        sa.Column("ended_at", _MOMENT, nullable=True),
        sa.Column("task_id", sa.BigInteger(), nullable=True),
        sa.Column("delivery_id", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("band", sa.Text(), nullable=False),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        _number(),
        *_refers("steps", enrolment_id="enrolments", campaign_id="campaigns", lead_id="leads",
                 version_id="cadence_versions", task_id="tasks", delivery_id="deliveries"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_steps")),
        sa.UniqueConstraint("enrolment_id", "n", name=op.f("uq_steps_enrolment_id_n")),
        sa.CheckConstraint("state <> 'done' or ended_at is not null", name=op.f("ck_steps_done_has_an_end")),
    )
    op.create_index("ix_steps_task", "steps", ["task_id"], postgresql_where=sa.text("task_id is not null"))
    op.create_table(
        "answer_rates",
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("weekday", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("band", sa.Text(), nullable=False),
        sa.Column("tries", sa.Float(), nullable=False),
        sa.Column("answered", sa.Float(), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("country", "line", "weekday", "band", name=op.f("pk_answer_rates")),
    )


def _enrolments() -> None:
    """Whoever was inside the one fixed plan of before leaves it; his quote is looked at again."""
    op.execute(
        "insert into alarms (kind, subject_id, due_at, state, failures) "
        "select 'quote.check', quote_id, now(), 'pending', 0 from enrolments where state <> 'exited' "
        "on conflict do nothing"
    )
    op.execute("update enrolments set state = 'exited', exit_reason = 'upgraded', ended_at = now() "
               "where state <> 'exited'")
    op.alter_column("enrolments", "quote_id", nullable=True)
    for column, other in (("cadence_id", "cadences"), ("version_id", "cadence_versions")):
        op.add_column("enrolments", sa.Column(column, sa.BigInteger(), nullable=True))
        op.create_foreign_key(op.f(f"fk_enrolments_{column}"), "enrolments", other, [column], ["id"])
    for column, kind, first in (
        ("reasons", postgresql.ARRAY(sa.Text()), "'{}'"), ("calls", sa.BigInteger(), "0"),
        ("messages", sa.BigInteger(), "0"), ("outcomes", postgresql.ARRAY(sa.Text()), "'{}'"),
        ("other_band", sa.Boolean(), "false"), ("no_number", sa.Boolean(), "false"), ("paused_reason", sa.Text(), "''"),
    ):
        op.add_column("enrolments", sa.Column(column, kind, server_default=sa.text(first), nullable=False))
        op.alter_column("enrolments", column, server_default=None)
    for column in ("not_before", "resumed_at"):
        op.add_column("enrolments", sa.Column(column, _MOMENT, nullable=True))
    op.add_column("enrolments", sa.Column("again", sa.BigInteger(), nullable=True))
    op.drop_constraint(op.f("uq_enrolments_quote_id_idle_base"), "enrolments", type_="unique")
    op.create_unique_constraint(
        op.f("uq_enrolments_quote_id_cadence_id_idle_base"), "enrolments", ["quote_id", "cadence_id", "idle_base"]
    )
    op.create_index("one_enrolment_per_event", "enrolments", ["lead_id", "cadence_id", "idle_base"], unique=True,
                    postgresql_where=sa.text("quote_id is null"))
    op.create_index("ix_enrolments_live", "enrolments", ["version_id"], postgresql_where=sa.text("state <> 'exited'"))
    op.create_index("ix_enrolments_lead", "enrolments", ["lead_id"])


def watched() -> None:
    """What is known of an offer's reading, and a second link to it."""
    for column in ("last_open_at", "open_before_at", "snoozed_until"):
        op.add_column("quotes", sa.Column(column, _MOMENT, nullable=True))
    op.add_column(
        "quotes", sa.Column("reasons", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False)
    )
    op.alter_column("quotes", "reasons", server_default=None)
    op.execute("update quotes set last_open_at = idle_base where state = 'opened'")
    op.add_column("signings", sa.Column("again_hash", sa.LargeBinary(), nullable=True))
    op.create_unique_constraint(op.f("uq_signings_again_hash"), "signings", ["again_hash"])
