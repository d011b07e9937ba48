"""The schema's history leads to the nouns as they stand."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from router.model import Base
from router.store.migrations import migrate


def _difference(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": False})
    return list(compare_metadata(context, Base.metadata))


@pytest.mark.filterwarnings("ignore:Did not recognize type 'xid8'")
async def test_the_migrations_make_what_the_model_says(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        assert await connection.run_sync(_difference) == []


async def test_migrating_again_changes_nothing(database_url: str) -> None:
    before, after = await migrate(database_url)
    assert before == after


_INDEXES = "select indexdef from pg_indexes where schemaname = :schema and tablename <> 'alembic_version'"
_CHECKS = """
    select r.relname || ': ' || pg_get_constraintdef(c.oid)
    from pg_constraint c join pg_class r on r.oid = c.conrelid join pg_namespace n on n.oid = r.relnamespace
    where n.nspname = :schema and c.contype in ('c', 'u', 'p', 'f') and r.relname <> 'alembic_version'
"""


async def _defined(connection: AsyncConnection, schema: str) -> set[str]:
    found = set()
    for query in (_INDEXES, _CHECKS):
        found |= {row[0].replace(f"{schema}.", "") for row in await connection.execute(text(query), {"schema": schema})}
    return found


async def test_indexes_and_constraints_are_the_models_to_the_letter(engine: AsyncEngine) -> None:
    """What the comparison above does not look at: the conditions of partial indexes and of checks."""
    async with engine.connect() as connection:
        await connection.execute(text("create schema fresh"))
        await connection.execute(text("set search_path to fresh"))
        await connection.run_sync(Base.metadata.create_all)
        fresh = await _defined(connection, "fresh")
        await connection.execute(text("set search_path to public"))
        migrated = await _defined(connection, "public")
        await connection.rollback()
    assert fresh - migrated == set()
    assert migrated - fresh == set()
