"""Nurturing: cadences with their versions and steps, and the outcomes they ask for."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    outcomes()


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
