"""Announcing again: the moment a text has told of a call, and the text before it. Searches for the number of a person
whose number was somebody else's, and since when he has the one that was found."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    # Of calls announced before this nobody noted the moment: they are not announced again.
    op.add_column("steps", sa.Column("announced_for", sa.DateTime(timezone=True), nullable=True))
    op.add_column("steps", sa.Column("first_announcement_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(
        op.f("fk_steps_first_announcement_id"), "steps", "attempts", ["first_announcement_id"], ["id"]
    )
    op.create_index(
        "ix_steps_first_announcement_id", "steps", ["first_announcement_id"], unique=True,
        postgresql_where=sa.text("first_announcement_id is not null"),
    )
    searches()
    op.add_column("contacts", sa.Column("renumbered_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(
        "update contacts c set renumbered_at = f.at from (select subject_id, max(at) as at from facts "
        "where kind = 'contact.renumbered' group by 1) f where f.subject_id = c.id"
    )


def searches() -> None:
    """A line's searches beside those of an offer's owner."""
    for name in ("quote_id", "signing_id"):
        op.alter_column("number_searches", name, nullable=True)
    op.add_column("number_searches", sa.Column("queue_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f("fk_number_searches_queue_id"), "number_searches", "queues", ["queue_id"], ["id"])
    of_a_person = sa.text("state = 'open' and signing_id is null")
    op.create_index("ix_number_searches_line", "number_searches", ["queue_id"], postgresql_where=of_a_person)
    op.create_index("one_open_search_of_a_person", "number_searches", ["contact_id"], unique=True,
                    postgresql_where=of_a_person)
    for name, condition in (
        ("has_an_owner", "signing_id is not null or queue_id is not null"),
        ("is_about_the_signings_quote", "(signing_id is null) = (quote_id is null)"),
    ):
        op.create_check_constraint(op.f(f"ck_number_searches_{name}"), "number_searches", condition)
