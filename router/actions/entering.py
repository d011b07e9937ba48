"""Entering: the events of all signings become lines of one ledger, and once a day its head gets a timestamp."""

import logging
from datetime import UTC

from router.actions.bundling import stamped
from router.book import Book
from router.model.evidence import GENESIS
from router.model.ledger import Stamp, broken_at
from router.ports import Refused, TrustProvider
from router.store import ledger
from router.store.db import ReadSession

log = logging.getLogger(__name__)


async def sweep(book: Book, trust: TrustProvider) -> int:
    """Enters what waits, in short transactions of their own; then sees to the timestamp of the day. How many lines."""
    total = 0
    while entered := await _enter(book):
        total += entered
    await anchor(book, trust)
    return total


async def _enter(book: Book) -> int:
    async with book.writing() as w:
        return await ledger.enter(w.session)


async def anchor(book: Book, trust: TrustProvider) -> Stamp | None:
    """The timestamp on the ledger's head, once for each day (UTC) on which there is something new; None else.

    What the ledger knows of and is not there any more is a fact of that day: ledger.missing.
    """
    async with book.reading() as r:
        head, last = await ledger.head(r.session), await ledger.newest_anchor(r.session)
        today = r.now.astimezone(UTC).date()
    if head is None or (last is not None and (last.n == head.n or last.created_at.astimezone(UTC).date() >= today)):
        return None
    try:
        stamp = await stamped(book, trust, head.hash, head.n)
    except Refused as refused:
        log.warning("the ledger was not timestamped", extra={"reason": refused.code})
        return None
    async with book.writing() as w:
        w.fact("ledger.anchored", subject_id=head.n, time_source=stamp.time_source)
        if gone := await ledger.missing(w.session):
            w.fact("ledger.missing", signings=list(gone))
    return stamp


async def faults(session: ReadSession) -> list[str]:
    """Sentences about what is wrong with the ledger; empty when all is well. Reads all of it."""
    previous, n = GENESIS, 1
    async for lines in ledger.chunks(session):
        broken = broken_at(lines, previous, n)
        if broken is not None:
            return [f"the ledger is broken at line {broken}"]
        previous, n = lines[-1].hash, lines[-1].n + 1
    gone = await ledger.missing(session)
    return [f"events of signing {signing_id} are gone or changed since they were entered" for signing_id in gone]
