"""The signing authority as a query."""

from router.model.authority import AuthorityRow
from router.store.db import ReadSession

ONLY = 1


async def find(session: ReadSession) -> AuthorityRow | None:
    """The one row, once it has been made."""
    return await session.get(AuthorityRow, ONLY)
