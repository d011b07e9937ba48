"""The house as first built."""

from alembic import op

from router.model import Base

revision = "0001"
down_revision = None

def upgrade() -> None:
    Base.metadata.create_all(op.get_bind())
    op.execute(
        """
        create function refuse_change() returns trigger language plpgsql as
        $$ begin
          raise exception 'rows of % are never changed', tg_table_name using errcode = 'restrict_violation';
        end $$
        """
    )
    for table in ("facts", "evidence", "receipts"):
        op.execute(
            f"create trigger {table}_append_only before update or delete on {table} "
            "for each statement execute function refuse_change()"
        )
    op.execute("create sequence timestamp_serials")
    op.execute("create sequence quote_numbers")
