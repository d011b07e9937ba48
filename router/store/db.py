"""The database: engine, and the two kinds of session. Who reads cannot write, and mypy knows it."""

import logging
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NoReturn, TypeVar

import asyncpg
import msgspec
from sqlalchemy import Connection, Executable, Row, func, select
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.sql import Select
from sqlalchemy.sql.elements import TextClause

log = logging.getLogger(__name__)

ASK_AGAIN_SECONDS = 1.0

T = TypeVar("T")
Rows = Row[*tuple[Any, ...]]

LIMITS = {
    "timezone": "UTC",
    "jit": "off",
    "application_name": "hablemos",
    "statement_timeout": "5000",
    "lock_timeout": "1500",
    "idle_in_transaction_session_timeout": "2000",
}
"""Server-side limits of every connection, milliseconds: no writer holds back the journal's readers for long."""

UNREACHABLE = (OperationalError, PoolTimeout, OSError)
"""What SQLAlchemy and the socket raise when the database is gone or has no room; the doors answer 503."""

LOST_STATES = ("08", "53", "57", "25P03", "25P04")
"""SQLSTATEs, or their beginnings: connection lost, no room, too slow, shutting down or starting up, time-outs."""

CONTENDED_STATES = ("40001", "40P01", "55P03")
"""SQLSTATEs: serialization, deadlock, lock not available. Trying again at once helps."""


FOR_ROUNDS = {"synchronous_commit": "off", "plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"}
"""Settings of the rounds' connections. A ring lost with the database's machine costs nothing: its task still stands in
the queue. And a round jumps along indexes whatever the numbers are: planning it anew costs more than it could find, and
a plan made while a table was empty must not read it whole when it has grown."""


def make_engine(url: str, *, connections: int = 10, limits: dict[str, str] | None = None) -> AsyncEngine:
    """An engine with bounded connections. `limits` overrides single entries of LIMITS (migrations need longer ones).

    Connections are not tried before use: that costs a round trip each time. After a restart of the database the first
    one to fail empties the pool. The one given back last is taken first: few connections are warm rather than all
    lukewarm, which is a tenth of an intake's time.
    """
    return create_async_engine(
        url,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=5,
        pool_use_lifo=True,
        json_deserializer=msgspec.json.decode,
        connect_args={"server_settings": {**LIMITS, **(limits or {})}, "timeout": 5},
    )


async def unreachable(url: str) -> str:
    """Why the database at this address lets nobody in, in its own or the socket's words; "" when it does."""
    engine = make_engine(url, connections=1)
    try:
        async with engine.connect():
            return ""
    except DBAPIError as error:
        return str(error.orig.__cause__ or error.orig) if error.orig is not None else str(error)
    except (asyncpg.exceptions.PostgresError, asyncpg.exceptions.InterfaceError, OSError) as error:
        return str(error) or type(error).__name__
    finally:
        await engine.dispose()


def lost_connection(error: BaseException) -> bool:
    """Whether the error means the database could not be asked, rather than that it said no."""
    if isinstance(error, DBAPIError):
        # The driver calls a value it cannot send (a lone surrogate) an interface error too: that is no lost connection.
        driver = error.orig.__cause__ if error.orig is not None else None
        if error.connection_invalidated or (isinstance(error, InterfaceError) and not isinstance(driver, ValueError)):
            return True
    return isinstance(error, UNREACHABLE) or _sqlstate(error).startswith(LOST_STATES)


def cut_connection(error: BaseException) -> bool:
    """Whether a connection of the pool was found dead. The pool is empty now, so trying again once makes a new one."""
    return isinstance(error, DBAPIError) and error.connection_invalidated


def contended(error: BaseException) -> bool:
    """Whether another transaction was in the way, so that trying again helps."""
    return _sqlstate(error) in CONTENDED_STATES


def too_slow(error: BaseException) -> bool:
    """Whether a statement ran into its time limit: what was asked may be at fault, not the database."""
    return _sqlstate(error) == "57014"


def lacks_schema(error: BaseException) -> bool:
    """Whether a table or a column is asked for that is not there: nobody has migrated this database yet."""
    return _sqlstate(error) in ("42P01", "42703")


def _sqlstate(error: BaseException) -> str:
    # Errors of connecting come from the driver as they are.
    of_driver = error.orig if isinstance(error, DBAPIError) else error
    return getattr(of_driver, "sqlstate", None) or ""


def make_reading_engine(
    url: str, *, connections: int = 6, statement_seconds: int = 5, limits: dict[str, str] | None = None
) -> AsyncEngine:
    """An engine whose connections cannot write, each statement by itself: screens are read with half the round trips,
    and never wait for the connections of those who write. `limits` as for `make_engine`."""
    own = {"default_transaction_read_only": "on", "statement_timeout": str(statement_seconds * 1000)}
    engine = make_engine(url, connections=connections, limits={**own, **(limits or {})})
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def as_json(value: Any) -> str:
    """What a statement gets that takes many rows at once: one text costs this process a tenth of what arrays do."""
    return msgspec.json.encode(value).decode()


class Short:
    """A statement of constant text that goes the driver's own way: of what it costs this process, beside its rows, that
    leaves a tenth. For those that come many times a second. `types` are those of its `:names` in SQL; values are what
    the driver takes."""

    def __init__(self, statement: str, **types: str) -> None:
        self._names = list(types)
        self.text = _NAMED.sub(
            lambda found: f"${self._names.index(found[1]) + 1}::{types[found[1]]}", statement
        )

    def placed(self, values: Mapping[str, Any]) -> list[Any]:
        """The values in the order of the names."""
        return [values[name] for name in self._names]


_NAMED = re.compile(r"(?<!:):([a-z_]+)")


async def fetched(connection: AsyncConnection, statement: Short, values: Mapping[str, Any]) -> Sequence[Rows]:
    """The rows of a short statement. Raises what SQLAlchemy would."""
    driver: Any = (await connection.get_raw_connection()).driver_connection
    try:
        rows: Sequence[Rows] = await driver.fetch(statement.text, *statement.placed(values))
    except Exception as error:
        await connection.run_sync(_raise_as_usual, statement.text, error)
    return rows


async def _do(connection: AsyncConnection, command: str) -> None:
    driver: Any = (await connection.get_raw_connection()).driver_connection
    try:
        await driver.execute(command)
    except Exception as error:
        await connection.run_sync(_raise_as_usual, command, error)


def _raise_as_usual(connection: Connection, statement: str, error: Exception) -> NoReturn:
    """The driver's error as SQLAlchemy raises it; a lost connection empties the pool."""
    adapted: Any = connection.connection.dbapi_connection
    try:
        adapted._handle_exception(error)
    except Exception as translated:
        connection._handle_dbapi_exception(translated, statement, None, None, None)
    raise error


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection in a transaction, which is begun and ended by the driver's own way: SQLAlchemy's costs more than a
    batch of leads. The engine is one that begins none of its own (`AUTOCOMMIT`)."""
    async with engine.connect() as connection:
        try:
            await _do(connection, "begin")
            yield connection
            await _do(connection, "commit")
        except BaseException:
            await _undo(connection)
            raise


async def _undo(connection: AsyncConnection) -> None:
    """Nothing half done goes back to the pool."""
    if connection.invalidated:
        return
    try:
        await _do(connection, "rollback")
    except BaseException as error:
        if not connection.invalidated:
            await connection.invalidate(error)
        if not isinstance(error, Exception):
            raise
        log.warning("rolled back by hanging up", extra={"error": type(error).__name__})


async def notify(connection: AsyncConnection, channel: str, payload: str) -> None:
    """One NOTIFY by the driver's own way, which costs this process a tenth: it goes out many times a second. Not for a
    connection in a transaction; one that fails is not used again."""
    driver: Any = (await connection.get_raw_connection()).driver_connection
    try:
        await driver.execute("select pg_notify($1, $2)", channel, payload)
    except BaseException:
        await connection.invalidate()
        raise


class DatabaseClock:
    """The database's time without asking it each time: asked once a second, carried on by the monotonic clock between.

    Wrong by the way of one answer, a millisecond or so. What must not be wrong even after a suspended machine has
    woken up is kept by fences, not by this clock.
    """

    def __init__(self) -> None:
        self._moment: datetime | None = None
        self._asked = 0.0

    async def now(self, connection: AsyncConnection) -> datetime:
        """Aware UTC."""
        since = time.monotonic() - self._asked
        if self._moment is not None and since < ASK_AGAIN_SECONDS:
            return self._moment + timedelta(seconds=since)
        moment = await connection.scalar(select(func.clock_timestamp()))
        assert isinstance(moment, datetime)  # noqa: S101
        self._moment, self._asked = moment, time.monotonic()
        return moment


_LOCK_WORD = Short("select pg_advisory_xact_lock(hashtextextended(:word, 7))", word="text")
_LOCK_WORDS = Short(
    "select pg_advisory_xact_lock(hashtextextended(word, 7)) from unnest(:words) as word", words="text[]"
)
_TRY_LOCK_WORD = Short("select pg_try_advisory_xact_lock(hashtextextended(:word, 7))", word="text")


class ReadSession:
    """May look, not touch: its transaction is read-only in the database too.

    Statements in SQL go to the connection by the short way; mapped classes get a session on it when they are asked for.
    """

    _autoflush = False

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    @cached_property
    def _session(self) -> AsyncSession:
        return AsyncSession(self._connection, expire_on_commit=False, autoflush=self._autoflush)

    async def close(self) -> None:
        """Lets go of the mapped objects; the transaction is its maker's."""
        if "_session" in self.__dict__:
            await self._session.close()

    async def _run(self, statement: Executable, values: Any) -> Any:
        if isinstance(statement, TextClause):
            return await self._connection.execute(statement, values)
        return await self._session.execute(statement, values)

    async def get(self, noun: type[T], key: object) -> T | None:
        return await self._session.get(noun, key)

    async def scalar(self, select: Select[T], values: dict[str, Any] | None = None) -> T | None:
        return await self._session.scalar(select, values)

    async def scalars(self, select: Select[T], values: dict[str, Any] | None = None) -> Sequence[T]:
        return (await self._session.scalars(select, values)).all()

    async def rows(self, statement: Executable | Short, values: dict[str, Any] | None = None) -> Sequence[Rows]:
        if isinstance(statement, Short):
            return await fetched(self._connection, statement, values or {})
        return list((await self._run(statement, values)).all())


class WriteSession(ReadSession):
    """Reads and writes. It cannot commit: only the book does. `alarms_moved` are the alarms, by kind and subject, that
    were set or canceled in its transaction."""

    _autoflush = True

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection)
        self.alarms_moved: set[tuple[str, int]] = set()

    def add(self, noun: object) -> None:
        self._session.add(noun)

    async def flush(self) -> None:
        """Writes what was changed on mapped objects."""
        if "_session" in self.__dict__:
            await self._session.flush()

    async def execute(self, statement: Executable | Short, values: Any = None) -> Sequence[Rows]:
        """Runs a statement; its rows, if it returns any."""
        if isinstance(statement, Short):
            return await fetched(self._connection, statement, values)
        result = await self._run(statement, values)
        return result.all() if getattr(result, "returns_rows", True) else []

    async def locked(self, noun: type[T], key: object) -> T | None:
        """The row, locked and read anew. Rows that only refer to it may still be written by others."""
        return await self._session.get(noun, key, with_for_update={"key_share": True}, populate_existing=True)

    async def returning(self, statement: Executable) -> T | None:
        """The one row of an `UPDATE … RETURNING noun`, read anew; None when nothing matched."""
        result = await self._session.execute(statement, execution_options={"populate_existing": True})
        return result.scalars().one_or_none()

    async def forget(self) -> None:
        """Writes what was changed on mapped objects, and lets go of them: what comes next reads anew."""
        if "_session" in self.__dict__:
            await self._session.flush()
            self._session.expunge_all()

    def savepoint(self) -> Any:
        return self._session.begin_nested()

    async def lock_word(self, word: str) -> None:
        """Waits for the transaction-long advisory lock on a word, e.g. a telephone number."""
        await self.execute(_LOCK_WORD, {"word": word})

    async def lock_words(self, words: Sequence[str]) -> None:
        """The same for several words, one after the other in this order."""
        await self.execute(_LOCK_WORDS, {"words": list(words)})

    async def try_lock_word(self, word: str) -> bool:
        """Takes the transaction-long advisory lock on a word if nobody has it."""
        return bool((await self.execute(_TRY_LOCK_WORD, {"word": word}))[0][0])
