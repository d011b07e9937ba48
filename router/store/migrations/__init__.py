"""The schema's history, and how a database is brought up to date."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from router.store.db import make_engine
from router.store.rebase import rebase_after_restore

MIGRATION_LOCK = 7_250_001
_HERE = Path(__file__).parent


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection) -> tuple[str | None, str | None]:
    before = MigrationContext.configure(connection).get_current_revision()
    command.upgrade(_config(connection), "head")
    return before, ScriptDirectory.from_config(_config(connection)).get_current_head()


async def migrate(url: str) -> tuple[str | None, str | None]:
    """Brings the schema up to date under an advisory lock; the revision before and after.

    Several replicas may start at once: one migrates, the others wait and find nothing to do. After a restored dump
    the journal's transaction ids are rebased under the same lock.
    """
    long: dict[str, Any] = {"statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0"}
    engine = make_engine(url, connections=1, limits=long)
    try:
        async with engine.connect() as connection:
            await connection.execute(text("select pg_advisory_lock(:n)"), {"n": MIGRATION_LOCK})
            await connection.commit()
            revisions = await connection.run_sync(_upgrade)
            await connection.commit()
            await rebase_after_restore(connection)
            await connection.commit()
            await connection.execute(text("select pg_advisory_unlock(:n)"), {"n": MIGRATION_LOCK})
            await connection.commit()
            return revisions
    finally:
        await engine.dispose()
