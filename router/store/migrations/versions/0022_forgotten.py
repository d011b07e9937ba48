"""What was signed is forgotten when its evidence has been kept long enough, and messages from outside are emptied."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.add_column("signings", sa.Column("forgotten_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("campaigns", sa.Column("evidence_days", sa.BigInteger(), nullable=False, server_default="0"))
    op.alter_column("campaigns", "evidence_days", server_default=None)
    op.create_index("ix_inbox_whole", "inbox", ["ended_at"], postgresql_where=sa.text("state = 'done' and body <> ''"))
    op.execute(
        """
        create function refuse_but_forgotten() returns trigger language plpgsql as
        $$ begin
          if exists (select from signings where id = old.signing_id and forgotten_at is not null) then
            return old;
          end if;
          raise exception 'rows of % are never changed', tg_table_name using errcode = 'restrict_violation';
        end $$
        """
    )
    op.execute("drop trigger evidence_append_only on evidence")
    op.execute(
        "create trigger evidence_append_only before update on evidence "
        "for each statement execute function refuse_change()"
    )
    op.execute(
        "create trigger evidence_kept before delete on evidence for each row execute function refuse_but_forgotten()"
    )
