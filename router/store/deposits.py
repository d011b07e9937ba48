"""Deposits as queries."""

from router.model.deposits import Deposit
from router.store.db import ReadSession


async def received(session: ReadSession, signing_id: int) -> Deposit | None:
    """The signing's deposit, once its keeper has confirmed it."""
    found = await session.get(Deposit, signing_id)
    return found if found is not None and found.received_at is not None else None
