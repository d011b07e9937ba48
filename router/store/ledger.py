"""The ledger as queries: what waits is entered by whoever holds the word, in one short transaction."""

from collections.abc import AsyncIterator, Sequence

from sqlalchemy import delete, exists, func, insert, select, tuple_

from router.model.evidence import GENESIS, EvidenceEvent
from router.model.ledger import Entry, Stamp, Waiting, hash_of, line
from router.model.signings import Signing
from router.store.db import ReadSession, WriteSession

WORD = "ledger"
AT_ONCE = 500
"""Events entered in one transaction, and lines read at a time."""


async def enter(session: WriteSession) -> int:
    """Enters events that wait, in the order of their signings; how many. Nothing when another replica is at it: its
    transaction is short, and so is ours."""
    if not await session.try_lock_word(WORD):
        return 0
    found = (await session.execute(
        select(EvidenceEvent.signing_id, EvidenceEvent.seq, EvidenceEvent.hash)
        .join(Waiting, (Waiting.signing_id == EvidenceEvent.signing_id) & (Waiting.seq == EvidenceEvent.seq))
        .order_by(EvidenceEvent.signing_id, EvidenceEvent.seq)
        .limit(AT_ONCE)
    ))  # fmt: skip
    if not found:
        return 0
    last = await head(session)
    n, previous, rows = (last.n, last.hash, []) if last else (0, GENESIS, [])
    for signing_id, seq, event_hash in found:
        n += 1
        hashed = hash_of(line(n, signing_id, seq, event_hash, previous))
        rows.append({"n": n, "signing_id": signing_id, "seq": seq, "event_hash": event_hash, "previous": previous,
                     "hash": hashed})
        previous = hashed
    await session.execute(insert(Entry).values(rows))
    await session.execute(delete(Waiting).where(
        tuple_(Waiting.signing_id, Waiting.seq).in_([(row["signing_id"], row["seq"]) for row in rows])
    ))
    return len(rows)


async def head(session: ReadSession) -> Entry | None:
    """The last line."""
    return await session.scalar(select(Entry).order_by(Entry.n.desc()).limit(1))


async def of_signing(session: ReadSession, signing_id: int) -> Sequence[Entry]:
    """The lines of a signing, in their order."""
    return await session.scalars(select(Entry).where(Entry.signing_id == signing_id).order_by(Entry.n))


async def stretch(session: ReadSession, first: int, last: int) -> Sequence[Entry]:
    """The lines of these numbers."""
    return await session.scalars(select(Entry).where(Entry.n.between(first, last)).order_by(Entry.n))


async def chunks(session: ReadSession) -> AsyncIterator[Sequence[Entry]]:
    """All of it, some hundred lines at a time."""
    after = 0
    while found := await stretch(session, after + 1, after + AT_ONCE):
        yield found
        after = found[-1].n


async def missing(session: ReadSession) -> Sequence[int]:
    """The signings of which the ledger knows events that are not there any more, or are not what they were. Those that
    were forgotten are meant to be gone."""
    kept = exists().where(
        EvidenceEvent.signing_id == Entry.signing_id, EvidenceEvent.seq == Entry.seq,
        EvidenceEvent.hash == Entry.event_hash,
    )
    forgotten = exists().where(Signing.id == Entry.signing_id, Signing.forgotten_at.is_not(None))
    gone = select(Entry.signing_id).where(~kept, ~forgotten).distinct()
    return await session.scalars(gone.order_by(Entry.signing_id).limit(100))


async def waiting(session: ReadSession) -> int:
    """How many events are still to be entered."""
    return await session.scalar(select(func.count()).select_from(Waiting)) or 0


async def anchor(session: ReadSession, n: int) -> Stamp | None:
    """The first timestamp over this line or a later one."""
    return await session.scalar(select(Stamp).where(Stamp.n >= n).order_by(Stamp.n).limit(1))


async def newest_anchor(session: ReadSession) -> Stamp | None:
    return await session.scalar(select(Stamp).where(Stamp.n.is_not(None)).order_by(Stamp.n.desc()).limit(1))


async def stamp(session: ReadSession, digest: bytes) -> Stamp | None:
    """The timestamp on this digest."""
    return await session.get(Stamp, digest)
