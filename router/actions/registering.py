"""Registering: a do-not-call register's file is taken in as a whole, or not at all, and replaces the one before."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from router.book import Book, Writing
from router.model.base import vouched
from router.model.errors import Conflict, Invalid
from router.model.registers import NAME, RegisterImport, RegisterState, read_line
from router.store import registers

CHUNK = 2_000
"""Numbers a transaction: it takes some tens of milliseconds, so that nobody waits for it."""
LONGEST_LINE = 1_000
MOST_UNREAD = 0.02
"""The share of lines that may be unreadable. A file of which more cannot be read is not what it is taken for."""
STUCK = timedelta(hours=6)
HINT = "registers"


class Took(NamedTuple):
    """What came of a file: how many numbers it named, and how many lines were none."""

    import_id: int
    numbers: int
    unread: int


def begin(
    w: Writing, register: str, as_of: datetime, agent_id: int | None = None, *, oldest: timedelta = timedelta(days=3660)
) -> RegisterImport:
    """A new file of this register, still without numbers. Raises Invalid for a name, or a day, that cannot be."""
    if not NAME.fullmatch(register):
        raise Invalid("A register's name is made of small letters, digits, _ and -.", pointer="/register")
    if not w.now - oldest <= as_of <= w.now + timedelta(days=1):
        raise Invalid("Say of which day the register's file is; it cannot be in the future.", pointer="/as_of")
    made = RegisterImport(
        register=register, as_of=min(as_of, w.now), state=RegisterState.receiving, created_at=w.now, agent_id=agent_id
    )
    w.session.add(made)
    return made


async def finish(w: Writing, import_id: int, numbers: int, unread: int) -> None:
    """All its numbers are stored: from this commit on the guard asks this file, and no other of its register.

    Raises Conflict when it was given up meanwhile, or a newer one is in force; Invalid when it is empty, or too much of
    it could not be read.
    """
    if not numbers:
        raise Invalid("No number was found in this file.", pointer="/file")
    if unread > 1 and unread > MOST_UNREAD * (numbers + unread):
        raise Invalid("Too many lines of this file are no numbers. Nothing was changed.", pointer="/file")
    mine = vouched(await w.session.get(RegisterImport, import_id))
    await w.session.lock_word(f"register:{mine.register}")
    before = await registers.current(w.session, mine.register)
    if before is not None and before.as_of > mine.as_of:
        raise Conflict("A newer file of this register is in force already. Nothing was changed.")
    if before is not None:
        await w.move(RegisterImport, before.id, RegisterState.replaced, data={"register": mine.register})
    done = await w.move(
        RegisterImport, import_id, RegisterState.current, current_at=w.now, numbers=numbers, unread=unread,
        data={"register": mine.register, "numbers": numbers, "unread": unread, "as_of": mine.as_of.isoformat()},
    )
    if done is None:
        raise Conflict("This file was given up meanwhile. Send it again.")
    w.hint(HINT, "wallboard")


async def take(
    book: Book, register: str, as_of: datetime, parts: AsyncIterator[bytes], *, country: str,
    agent_id: int | None = None,
) -> Took:
    """Takes in a file as it arrives, some numbers a transaction. What fails on the way leaves the old one in force.

    Raises what `begin` and `finish` raise.
    """
    async with book.writing() as w:
        made = begin(w, register, as_of, agent_id)
        await w.session.flush()
        import_id = made.id
    try:
        numbers, unread = await _store(book, import_id, parts, country)
        async with book.writing() as w:
            await finish(w, import_id, numbers, unread)
    except BaseException:
        async with book.writing() as w:
            await w.move(RegisterImport, import_id, RegisterState.failed, data={"register": register})
        raise
    return Took(import_id, numbers, unread)


async def _store(book: Book, import_id: int, parts: AsyncIterator[bytes], country: str) -> tuple[int, int]:
    numbers = unread = 0
    async for lines in _lines(parts):
        # Reading a hundred thousand numbers takes a second, during which others are to be served.
        found, failed = await asyncio.to_thread(_read, lines, country)
        unread += failed
        for start in range(0, len(found), CHUNK):
            numbers += await _add(book, import_id, found[start : start + CHUNK])
    return numbers, unread


def _read(lines: Sequence[bytes], country: str) -> tuple[list[bytes], int]:
    """The digests of the numbers in these lines, and how many lines were none."""
    found: list[bytes] = []
    unread = 0
    for raw in lines:
        line = raw[:LONGEST_LINE].decode("utf-8", "replace").strip().lstrip("\ufeff")
        digest = read_line(line, country)
        if digest is not None:
            found.append(digest)
        elif line:
            unread += 1
    return found, unread


async def _add(book: Book, import_id: int, digests: list[bytes]) -> int:
    async with book.writing() as w:
        return await registers.add(w.session, import_id, digests)


async def _lines(parts: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    """The lines of a file that comes in parts. The end of one that is longer than a line can be is lost."""
    rest = b""
    async for part in parts:
        *whole, rest = (rest + part).replace(b"\r", b"\n").split(b"\n")
        if whole:
            yield whole
        rest = rest[:LONGEST_LINE]
    if rest:
        yield [rest]


async def forget(book: Book, most: int = 20) -> int:
    """Gives up files that never came whole, and deletes the numbers of those that count no more (a sweep's work)."""
    async with book.writing() as w:
        await registers.fail_stuck(w.session, w.now - STUCK)
    total = 0
    for _ in range(most):
        async with book.writing() as w:
            gone = await registers.forget(w.session)
        total += gone
        if not gone:
            break
    return total
