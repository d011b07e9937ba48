"""Agents who stay on the line."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    stations()
    calls()
    previews()


def stations() -> None:
    """Stations: one live one for each agent."""
    op.create_table(
        "stations",
        sa.Column("agent_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "state",
            sa.Enum("opening", "standing", "ended", name="stationstate", native_enum=False, create_constraint=True,
                    length=32),
            nullable=False,
        ),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("room", "room_ref", "ref", "address")),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("carrier_id", sa.Text(), nullable=False),
        *(sa.Column(name, sa.DateTime(timezone=True)) for name in ("standing_at", "paused_at", "ended_at")),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_stations_agent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stations")),
        sa.UniqueConstraint("room_ref", name=op.f("uq_stations_room_ref")),
        sa.UniqueConstraint("ref", name=op.f("uq_stations_ref")),
    )
    op.create_index("one_live_station_per_agent", "stations", ["agent_id"], unique=True,
                    postgresql_where=sa.text("ended_at is null"))
    op.create_index(op.f("ix_stations_agent_id_id"), "stations", ["agent_id", "id"])


def calls() -> None:
    """A call in a station is in its room; any other has one of its own."""
    for name in ("calls", "deliveries"):
        op.add_column(name, sa.Column("station_id", sa.BigInteger(), nullable=True))
        op.create_foreign_key(op.f(f"fk_{name}_station_id"), name, "stations", ["station_id"], ["id"])
        op.create_index(op.f(f"ix_{name}_station_id"), name, ["station_id"],
                        postgresql_where=sa.text("station_id is not null"))
    for column in ("room", "room_ref"):
        op.drop_constraint(op.f(f"uq_calls_{column}"), "calls", type_="unique")
        op.create_index(f"one_call_per_{column}", "calls", [column], unique=True,
                        postgresql_where=sa.text("station_id is null"))


def previews() -> None:
    """Reservations whose time ends in the call."""
    op.add_column("reservations", sa.Column("preview", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.alter_column("reservations", "preview", server_default=None)
