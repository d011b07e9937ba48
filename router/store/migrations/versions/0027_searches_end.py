"""Searches for a number end by themselves: those that are open are looked at in the next hour."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    op.drop_constraint(op.f("ck_number_searches_searchstate"), "number_searches", type_="check")
    op.create_check_constraint(
        op.f("ck_number_searches_searchstate"), "number_searches", "state in ('open', 'found', 'dropped', 'lapsed')"
    )
    op.create_index("ix_number_searches_contact", "number_searches", ["contact_id"],
                    postgresql_where=sa.text("state = 'open'"))
    op.execute(
        "insert into alarms (kind, subject_id, due_at, state, failures) "
        "select 'numbersearch.look', id, now() + interval '1 hour', 'pending', 0 from number_searches "
        "where state = 'open'"
    )
