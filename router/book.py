"""The book: the unit of work. One action, one transaction; facts are recorded in it, hints go out after it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from router.failpoints import fail_here
from router.live import Hub
from router.model.base import Numbered, State
from router.model.errors import Busy
from router.model.facts import Noted
from router.model.vault import Vault
from router.store import budgets, facts
from router.store.db import (
    DatabaseClock,
    ReadSession,
    WriteSession,
    cut_connection,
    lost_connection,
    notify,
    transaction,
)

log = logging.getLogger(__name__)

N = TypeVar("N", bound=Numbered)
Q = TypeVar("Q")
A = TypeVar("A")

HINTS = "hints"
"""The NOTIFY channel."""
GATHER_SECONDS = 0.01
"""What is hinted within this time goes in one message. This process has heard it already."""
OWED_SECONDS = 0.01
"""A batch's answers wait no longer than this for the next batch to be with the database."""


class Reading:
    """An open read-only transaction at the moment `now` (aware UTC, the database's clock)."""

    def __init__(self, session: ReadSession, now: datetime) -> None:
        self.session = session
        self.now = now


class Writing:
    """An open transaction at the moment `now` (aware UTC, the database's). Actions take it; only the book commits.

    `can_mail`: the house has a mail server. `late` tells an alarm's handler by how much its `not_after` has passed;
    None when it rings in time.
    """

    def __init__(
        self, session: WriteSession, now: datetime, vault: Vault, public_url: str, *, can_mail: bool = False
    ) -> None:
        self.session = session
        self.now = now
        self.vault = vault
        self.public_url = public_url
        self.can_mail = can_mail
        self.audiences: set[str] = set()
        self.late: timedelta | None = None
        self._facts: list[Noted] = []
        self._noted = False
        self._spending: dict[str, tuple[int, int]] = {}

    def fact(
        self,
        kind: str,
        *,
        campaign_id: int | None = None,
        lead_id: int | None = None,
        subject_id: int | None = None,
        agent_id: int | None = None,
        **data: Any,
    ) -> None:
        """Records what happened. `data` holds ids, codes, amounts and reasons, never a name, number or words."""
        self._facts.append(Noted(self.now, kind, campaign_id, lead_id, subject_id, agent_id, data))
        if lead_id is not None:
            self.hint(f"lead:{lead_id}")

    def noted(self) -> None:
        """Facts of new leads are written by the action's own statement. Nobody follows these leads yet."""
        self._noted = True

    @property
    def recorded(self) -> bool:
        """Whether it holds facts."""
        return self._noted or bool(self._facts)

    def hint(self, *audiences: str) -> None:
        """Tells these audiences, after the commit, that their state changed."""
        self.audiences.update(audiences)

    def spend(self, cents: int, scopes: Mapping[str, int]) -> None:
        """Reserves money at commit, last of all: `scopes` maps a scope to its cap a day. Less than 0 gives back."""
        for scope, cap in scopes.items():
            spent, _ = self._spending.get(scope, (0, cap))
            self._spending[scope] = (spent + cents, cap)

    @asynccontextmanager
    async def attempt(self) -> AsyncIterator[None]:
        """A savepoint: an exception undoes what was written, recorded, hinted and reserved inside, and goes on."""
        recorded, audiences, spending = len(self._facts), set(self.audiences), dict(self._spending)
        try:
            async with self.session.savepoint():
                yield
        except BaseException:
            del self._facts[recorded:]
            self.audiences, self._spending = audiences, spending
            raise

    async def move(
        self,
        noun: type[N],
        key: int,
        to: State,
        *,
        frm: Iterable[State] | None = None,
        where: Sequence[Any] = (),
        data: Mapping[str, Any] | None = None,
        **values: Any,
    ) -> N | None:
        """The one way a state changes: a conditional UPDATE that returns its row, and exactly one fact of it.

        None when the row is not in one of the states `frm` (all that may become `to`, unless narrowed), or `where`
        does not hold: somebody else was sooner. The fact is named after noun and state, e.g. "task.reserved".
        """
        sources = [state for state in (frm or type(to)) if state.may_become(to)]
        column: Any = noun.__table__.c.state
        statement = (
            update(noun)
            .where(noun.id == key, column.in_(sources), *where)
            .values(state=to, **values)
            .returning(noun)
        )
        row: N | None = await self.session.returning(statement)
        if row is not None:
            self.fact(
                f"{noun.__name__.lower()}.{to.value}",
                campaign_id=getattr(row, "campaign_id", None),
                lead_id=getattr(row, "lead_id", None),
                subject_id=row.id,
                agent_id=getattr(row, "agent_id", None),
                **(data or {}),
            )
        return row

    async def close(self) -> None:
        """Writes what was recorded: facts numbered per lead, then spending in the fixed order of scopes."""
        await self.session.flush()
        if self._facts:
            await facts.append(self.session, self._facts)
        if self._spending:
            await budgets.reserve(self.session, self.now.date(), self._spending)


class Book:
    """Opens transactions. `public_url` is where customers reach us, without a slash at its end. `reading` is an engine
    of its own for those who only look. `clock` replaces the database's clock in tests. `can_mail`: the house has a mail
    server."""

    def __init__(
        self, engine: AsyncEngine, hub: Hub, vault: Vault, public_url: str, *, reading: AsyncEngine | None = None,
        clock: Callable[[], datetime] | None = None, hinter: "Hinter | None" = None, can_mail: bool = False,
    ) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._reading = reading or engine.execution_options(postgresql_readonly=True)
        self._database_clock = DatabaseClock()
        self.vault = vault
        self.public_url = public_url
        self.can_mail = can_mail
        self._clock = clock
        self.hub = hub
        self.hinter = hinter or Hinter(engine, hub.replica)

    def hasty(self, engine: AsyncEngine) -> "Book":
        """The same book over another engine, e.g. one whose commits do not wait for the disk; the hints are shared."""
        return Book(
            engine, self.hub, self.vault, self.public_url, reading=self._reading, clock=self._clock,
            hinter=self.hinter, can_mail=self.can_mail,
        )

    async def _now(self, connection: AsyncConnection) -> datetime:
        if self._clock is not None:
            return self._clock()
        return await self._database_clock.now(connection)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Writing]:
        """A transaction: committed on leaving, rolled back on an exception. Hints go out after the commit."""
        async with transaction(self._engine) as connection:
            session = WriteSession(connection)
            try:
                writing = Writing(
                    session, await self._now(connection), self.vault, self.public_url, can_mail=self.can_mail
                )
                yield writing
                await writing.close()
            finally:
                await session.close()
        if writing.recorded:
            self.hub.tell(("facts",))
        self.tell(writing.audiences)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Reading]:
        """For looking only; the database refuses anything else. Keep it short."""
        async with self._reading.connect() as connection:
            session = ReadSession(connection)
            try:
                yield Reading(session, await self._now(connection))
            finally:
                await session.close()

    def tell(self, audiences: Iterable[str]) -> None:
        """Hints at once to this process, coalesced to the other replicas."""
        told = frozenset(audiences)
        if told:
            self.hub.tell(told)
            self.hinter.add(told)


class Hinter:
    """Sends hints to the other replicas, from one connection, coalesced. A lost hint costs a second, nothing else.

    Never inside a business transaction: commits that notify queue behind one lock of the database.
    """

    def __init__(self, engine: AsyncEngine, replica: str) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._replica = replica
        self._waiting: set[str] = set()
        self._something = asyncio.Event()

    def add(self, audiences: Iterable[str]) -> None:
        self._waiting.update(audiences)
        self._something.set()

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            await self._gathered()
            try:
                async with self._engine.connect() as connection:
                    await self._send_on(connection)
            except Exception as error:
                log.warning("hints lost", extra={"error": type(error).__name__})

    async def _gathered(self) -> None:
        await self._something.wait()
        await asyncio.sleep(GATHER_SECONDS)
        self._something.clear()

    async def _send_on(self, connection: AsyncConnection) -> None:
        """What waits, and all that comes, until it fails."""
        while True:
            batch, self._waiting = sorted(self._waiting), set()
            for start in range(0, len(batch), 100):
                payload = msgspec.json.encode([self._replica, *batch[start : start + 100]]).decode()
                await notify(connection, HINTS, payload)
            await self._gathered()


class Batcher(Generic[Q, A]):
    """Group commit: whatever comes until its transaction is begun is written in it, while the last one commits.

    `write(w, questions)` answers all in order. A failing batch is tried again one by one, so that one poisoned
    request never fails its neighbours. An answer is given only after its commit; under load, while the database
    already writes the next batch, so that neither waits for the other. `name` is what its failpoints are called.
    """

    def __init__(
        self, book: Book, write: Callable[[Writing, Sequence[Q]], Awaitable[Sequence[A]]], *, most: int = 64,
        longest_queue: int = 5_000, name: str = "batch",
    ) -> None:
        self._book = book
        self._write = write
        self._most = most
        self._written, self._committed = f"{name}.written", f"{name}.committed"
        self._queue: asyncio.Queue[tuple[Q, asyncio.Future[A]]] = asyncio.Queue(longest_queue)

    async def ask(self, question: Q) -> A:
        """The answer, after the commit. Raises asyncio.QueueFull when too much waits, or what the writing raised."""
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((question, answer))
        return await answer

    async def run(self) -> None:
        """Until cancelled. What is not answered then is refused with Busy: asked again, another process answers."""
        batch: list[tuple[Q, asyncio.Future[A]]] = []
        owed: Telling = _nothing
        try:
            while True:
                if self._queue.empty():
                    owed()
                else:
                    asyncio.get_running_loop().call_later(OWED_SECONDS, owed)
                batch = [await self._queue.get()]
                owed = await self._answer(batch, owed=owed, gathering=True)
        finally:
            owed()
            _refuse(batch + self._taken(self._queue.qsize()), Busy("The service is stopping. Please try again."))

    def _taken(self, most: int) -> list[tuple[Q, asyncio.Future[A]]]:
        return [self._queue.get_nowait() for _ in range(min(most, self._queue.qsize()))]

    async def _answer(
        self, batch: list[tuple[Q, asyncio.Future[A]]], *, owed: "Telling", gathering: bool = False,
        again: bool = True,
    ) -> "Telling":
        """Writes the batch; what then tells its answers. `owed` tells those of the last one, and is called when the
        database has got this one. `gathering`: what has come while the transaction was begun joins it."""
        try:
            async with self._book.writing() as w:
                if gathering:
                    batch += self._taken(self._most - len(batch))
                    gathering = False
                asyncio.get_running_loop().call_soon(owed)
                answers = await self._write(w, [question for question, _ in batch])
                told = [(future, answer) for (_, future), answer in zip(batch, answers, strict=True)]
                fail_here(self._written)
            fail_here(self._committed)
            return partial(_tell, told)
        except Exception as error:
            owed()
            if again and cut_connection(error):
                return await self._answer(batch, owed=_nothing, gathering=gathering, again=False)
            # Without the database each of them would wait for it again, one after the other.
            if gathering:
                batch += self._taken(self._most - len(batch))
            if len(batch) == 1 or lost_connection(error):
                _refuse(batch, error)
                return _nothing
            for one in batch:
                (await self._answer([one], owed=_nothing))()
            return _nothing


Telling = Callable[[], None]
"""Tells a batch's answers to who waits for them; a second call does nothing."""


def _nothing() -> None:
    pass


def _tell(answers: Iterable[tuple[asyncio.Future[A], A]]) -> None:
    for future, answer in answers:
        if not future.done():
            future.set_result(answer)


def _refuse(batch: Iterable[tuple[Any, asyncio.Future[Any]]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
