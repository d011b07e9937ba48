"""After a restored dump: the new cluster counts transactions anew, so stored ids may lie in its future."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_FUTURE = text("select exists (select from facts where xid > pg_current_xact_id())")

_REBASE = (
    "lock table facts, consumers in access exclusive mode",
    "alter table facts disable trigger facts_append_only",
    """
    create temporary table new_order on commit drop as
    select xid, id, row_number() over (order by xid, id) as place from facts
    """,
    """
    update consumers c set xid = pg_current_xact_id(),
      fact_id = (select count(*) from new_order n where (n.xid, n.id) <= (c.xid, c.fact_id))
    """,
    "update facts set id = -id",
    """
    update facts f set xid = pg_current_xact_id(), id = n.place from new_order n where n.id = -f.id
    """,
    "select setval(pg_get_serial_sequence('facts', 'id'), (select max(id) from facts))",
    "alter table facts enable trigger facts_append_only",
    """
    update deliveries set state = 'unknown', lease_until = null
    where state in ('pending', 'claimed', 'started')
    """,
)


async def rebase_after_restore(connection: AsyncConnection) -> bool:
    """Gives every fact the present transaction's id and a number by its old commit order, moves the readers' cursors
    with them, and marks deliveries that were not final as unknown: they may have been made after the dump.

    Runs in the caller's transaction, under the migration lock. True when there was something to do.
    """
    if not (await connection.execute(_FUTURE)).scalar_one():
        return False
    for statement in _REBASE:
        await connection.execute(text(statement))
    return True
