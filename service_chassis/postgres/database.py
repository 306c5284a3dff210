"""An asyncpg pool in which every wait has a bound, and transactions whose commit is checked."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias, TypeVar, cast

import asyncpg
import structlog
from asyncpg.pool import PoolConnectionProxy

from service_chassis.deadline import seconds_left
from service_chassis.logs import RepeatedLines
from service_chassis.refusal import Refusal
from service_chassis.settings import DatabaseSettings

Connection: TypeAlias = asyncpg.Connection
T = TypeVar("T")

_ATTEMPTS = 3
_RETRY_PAUSE_SECONDS_MAX = 0.02
_CLOSE_TIMEOUT_SECONDS = 5.0

# The transaction was rolled back, and the same work may succeed when it is repeated.
_CONFLICTS = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
# A migration changed what a prepared statement returns.
_STALE_STATEMENTS = (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)
_READ_ONLY = "25006"
_LOCK_NOT_AVAILABLE = "55P03"
# Connection errors, authorization to connect, no such database, no space or memory, system errors.
_UNAVAILABLE_CLASSES = ("08", "28", "3D", "53", "58")
# Statement timeout, shutdown, crash, cannot connect now, read-only, transaction idle or open for too long.
_UNAVAILABLE = ("57014", "57P01", "57P02", "57P03", "57P05", _READ_ONLY, "25P03", "25P04")

# Kept, since json.dumps() with options makes a new encoder for each call.
_encode = json.JSONEncoder(allow_nan=False).encode
_log = structlog.get_logger()
_trouble = RepeatedLines(_log)


class TransactionRolledBack(Exception):  # noqa: N818 - says what happened
    """An error was swallowed inside a transaction: its COMMIT rolled everything back."""


class Contended(Refusal):
    """OVERLOADED, because others hold locks on the same data. The transaction was rolled back."""

    def __init__(self) -> None:
        super().__init__(
            "OVERLOADED", "others were changing the same data for too long", retry_after_seconds=1
        )


class Database:
    """Reads and writes of one database. Database trouble raises a Refusal; a bug raises its own error."""

    def __init__(self, pool: asyncpg.Pool, settings: DatabaseSettings, *, reserved: int = 0) -> None:
        self._pool = pool
        # Idle connections, the last used one at the end. They are not released to the pool between uses,
        # because each release and acquire would make tasks and timers.
        self._kept: list[PoolConnectionProxy] = []
        self._settings = settings
        self._begin = (
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;"
            f"SET LOCAL statement_timeout = {_milliseconds(settings.database_statement_timeout_seconds)};"
            f"SET LOCAL lock_timeout = {_milliseconds(settings.database_lock_timeout_seconds)};"
            "SET LOCAL idle_in_transaction_session_timeout ="
            f" {_milliseconds(settings.database_idle_in_transaction_timeout_seconds)}"
        )
        # Slots bound the waiting: asyncpg's own acquire() queues without bound.
        reserved = min(reserved, settings.database_pool_size - 1)
        self._slots = asyncio.Semaphore(settings.database_pool_size - reserved)
        # If nothing is reserved, all writes share all connections.
        self._reserved_slots = asyncio.Semaphore(reserved) if reserved else self._slots
        self._waiters = 0
        self._writes: set[asyncio.Task[object]] = set()
        self._is_closing = False

    @classmethod
    async def open(
        cls, dsn: str, settings: DatabaseSettings, *, application_name: str, reserved: int = 0
    ) -> Database:
        """Connects once, so that a wrong DSN is found at the start.

        `reserved`: how many of the pool's connections are kept for writes with `is_reserved`. At least one
        connection stays free for all other calls.
        """
        pool = await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=settings.database_pool_size,
            init=_set_up_connection,
            reset=_keep_session,
            timeout=settings.database_connect_timeout_seconds,
            # Longer than the server's timeout: if the server ends the statement, the connection stays usable.
            command_timeout=settings.database_statement_timeout_seconds + 1,
            statement_cache_size=settings.database_statement_cache_size,
            server_settings={
                "application_name": application_name,
                "timezone": "UTC",
                "default_transaction_isolation": "read committed",
                "statement_timeout": _milliseconds(settings.database_statement_timeout_seconds),
                "lock_timeout": _milliseconds(settings.database_lock_timeout_seconds),
                "idle_in_transaction_session_timeout": _milliseconds(
                    settings.database_idle_in_transaction_timeout_seconds
                ),
            },
        )
        return cls(pool, settings, reserved=reserved)

    @property
    def lock_timeout_milliseconds(self) -> int:
        """The `lock_timeout` that a write of one statement has to set itself."""
        return int(_milliseconds(self._settings.database_lock_timeout_seconds))

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Connection]:
        """One connection, within the call's deadline. Each statement has its own consistent snapshot."""
        await self._take_slot(self._slots)
        try:
            async with asyncio.timeout(seconds_left()), self._connection() as connection:
                yield connection
        except Exception as error:
            refusal = await self._refusal_for(error)
            if refusal is None:
                raise
            raise refusal from error
        finally:
            self._slots.release()

    async def write(
        self,
        work: Callable[[Connection], Awaitable[T]],
        *,
        is_one_statement: bool = False,
        attempts: int = _ATTEMPTS,
        is_reserved: bool = False,
    ) -> T:
        """Runs `work` in one READ COMMITTED transaction and returns after the commit.

        Each transaction sets its timeouts: a pooler may drop settings made when a connection was opened.

        With `is_one_statement`, the statement is its own transaction, which saves two round trips. It has to
        set `lock_timeout` itself (`lock_timeout_milliseconds`).

        A Refusal that `work` raises rolls back and is raised here. After a serialization failure or a
        deadlock `work` runs again, at most `attempts` times in all; then Contended is raised. A lock timeout
        raises Contended at once. A transaction that has begun commits or rolls back on its own, even if the
        caller is cancelled or its deadline passes; the outcome can then be found by the request's id.
        `work` must not catch the errors of its statements: otherwise TransactionRolledBack is raised.
        """
        slots = self._reserved_slots if is_reserved else self._slots
        await self._take_slot(slots)
        task = asyncio.create_task(self._transaction(work, is_one_statement, attempts))
        self._writes.add(task)
        task.add_done_callback(self._write_ended)
        task.add_done_callback(lambda _: slots.release())
        try:
            done, _ = await asyncio.wait({task}, timeout=seconds_left())
        except asyncio.CancelledError:
            task.add_done_callback(_log_unheard_failure)
            raise
        if not done:
            task.add_done_callback(_log_unheard_failure)
            raise _unavailable("the database did not answer in time; what was asked may still be done")
        return task.result()

    async def close(self) -> None:
        """Waits for the running transactions, then closes the connections."""
        self._is_closing = True
        if self._writes:
            await asyncio.wait(self._writes)  # ends, since each statement has a timeout
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_SECONDS):
                await self._give_back_kept()
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def _take_slot(self, slots: asyncio.Semaphore) -> None:
        if self._is_closing:
            raise Refusal("SHUTTING_DOWN", "the service is stopping", retry_after_seconds=1)
        if not slots.locked():
            await slots.acquire()  # at once
            return
        if slots is self._slots and self._waiters >= self._settings.database_waiters_max:
            raise _overloaded("too many requests wait for the database")
        timeout = self._settings.database_acquire_timeout_seconds
        left = seconds_left()
        self._waiters += 1
        try:
            async with asyncio.timeout(timeout if left is None else min(timeout, left)):
                await slots.acquire()
        except TimeoutError:
            raise _overloaded("no connection to the database became free in time") from None
        finally:
            self._waiters -= 1

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        """A connection, for a caller with a slot. Only connections in a known state are kept."""
        while self._kept and _is_gone(cast("Connection", self._kept[-1])):
            await self._give_back(self._kept.pop())
        pooled = (
            self._kept.pop()
            if self._kept
            else await self._pool.acquire(timeout=self._settings.database_connect_timeout_seconds)
        )
        connection = cast("Connection", pooled)  # the pool's proxy has all of its methods
        try:
            yield connection
        except BaseException as error:
            was_gone = _is_gone(connection)
            if not was_gone and not isinstance(error, asyncpg.PostgresError | Refusal):
                # Most likely cancelled or timed out in the middle of a statement. asyncpg would ask the
                # server to cancel the statement and wait for the answer. A frozen server does not answer.
                connection.terminate()
            if was_gone and isinstance(error, asyncpg.InterfaceError):
                # This error has no SQLSTATE, so it would be taken for a bug of ours.
                raise ConnectionError("the connection to the database is gone") from error
            raise
        finally:
            if self._is_closing or _is_gone(connection):
                await self._give_back(pooled)
            else:
                self._kept.append(pooled)

    async def _give_back(self, pooled: PoolConnectionProxy) -> None:
        await self._pool.release(pooled, timeout=_CLOSE_TIMEOUT_SECONDS)

    async def _give_back_kept(self) -> None:
        while self._kept:
            await self._give_back(self._kept.pop())

    async def _transaction(
        self, work: Callable[[Connection], Awaitable[T]], is_one_statement: bool, attempts: int
    ) -> T:
        attempt = 0
        while True:
            attempt += 1
            try:
                if is_one_statement:
                    async with self._connection() as connection:
                        return await work(connection)
                return await self._attempt(work)
            except Exception as error:
                if (attempt < attempts and isinstance(error, _CONFLICTS)) or (
                    attempt < _ATTEMPTS and isinstance(error, _STALE_STATEMENTS)
                ):
                    await asyncio.sleep(random.uniform(0, _RETRY_PAUSE_SECONDS_MAX))  # noqa: S311 - no secret
                    continue
                refusal = await self._refusal_for(error)
                if refusal is None:
                    raise
                raise refusal from error

    async def _attempt(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        # asyncpg's transaction() discards the command tag of COMMIT. Only this tag shows that everything was
        # rolled back because `work` caught an error.
        async with self._connection() as connection:
            await connection.execute(self._begin)
            try:
                result = await work(connection)
            except (asyncpg.PostgresError, Refusal):
                if not _is_gone(connection):
                    await connection.execute("ROLLBACK")
                raise
            if await connection.execute("COMMIT") != "COMMIT":
                raise TransactionRolledBack("an error was swallowed inside the transaction")
            return result

    async def _refusal_for(self, error: Exception) -> Refusal | None:
        """The refusal for a database error; None for any other error."""
        if isinstance(error, Refusal):
            return None
        sqlstate = getattr(error, "sqlstate", None) or ""
        refusal: Refusal
        if isinstance(error, _CONFLICTS) or sqlstate == _LOCK_NOT_AVAILABLE:
            refusal = Contended()
        elif isinstance(error, _STALE_STATEMENTS):
            refusal = _overloaded("the database's schema is being changed")
        elif sqlstate.startswith(_UNAVAILABLE_CLASSES) or sqlstate in _UNAVAILABLE or _is_lost(error):
            refusal = _unavailable("the database is not available")
        else:
            return None
        if sqlstate == _READ_ONLY:
            # After a failover these connections go to a standby, although they look healthy.
            await self._pool.expire_connections()
            await self._give_back_kept()
        _trouble.warning("database_trouble", sqlstate=sqlstate, error_type=type(error).__name__)
        return refusal

    def _write_ended(self, task: asyncio.Task[object]) -> None:
        self._writes.discard(task)


def _is_gone(connection: Connection) -> bool:
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:  # the pool has taken it back already
        return True


def _is_lost(error: BaseException | None) -> bool:
    """Whether a broken, refused or timed-out connection is the cause; asyncpg chains it by __context__.

    asyncpg raises InternalClientError if a statement starts just after the backend has ended.
    """
    while error is not None:
        if isinstance(error, OSError | asyncpg.PostgresConnectionError | asyncpg.InternalClientError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _log_unheard_failure(task: asyncio.Task[object]) -> None:
    """For a transaction whose caller has gone: the log is the only place for its failure."""
    with suppress(asyncio.CancelledError):
        error = task.exception()
        if error is not None and not isinstance(error, Refusal):
            _log.error("unheard_failure", exc_info=error)


def _unavailable(message: str) -> Refusal:
    return Refusal("DATABASE_UNAVAILABLE", message, retry_after_seconds=1)


def _overloaded(message: str) -> Refusal:
    return Refusal("OVERLOADED", message, retry_after_seconds=1)


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))


async def _set_up_connection(connection: Connection) -> None:
    for type_name in ("json", "jsonb"):
        await connection.set_type_codec(
            type_name,
            encoder=_encode,
            decoder=json.loads,
            schema="pg_catalog",
        )


async def _keep_session(_connection: Connection) -> None:
    """Replaces asyncpg's reset, which costs a round trip. No code here leaves session state behind."""
