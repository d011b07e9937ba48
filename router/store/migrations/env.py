"""Alembic's environment: runs on the connection it is given."""

from alembic import context

from router.model import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
