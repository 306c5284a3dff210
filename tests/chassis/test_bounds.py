"""Every wait on the database ends: a full pool, a lock, a long statement, a server that does not answer."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import pytest
import structlog

from service_chassis.deadline import set_deadline
from service_chassis.logs import RepeatedLines
from service_chassis.postgres.database import Connection, Database
from service_chassis.postgres.embedded import EmbeddedPostgres
from service_chassis.refusal import Refusal
from service_chassis.settings import DatabaseSettings
from tests.chassis.processes import children_of, processes_of

IMPATIENT = DatabaseSettings(
    database_pool_size=2,
    database_waiters_max=1,
    database_acquire_timeout_seconds=0.3,
    database_connect_timeout_seconds=0.5,
    database_statement_timeout_seconds=0.5,
    database_lock_timeout_seconds=0.3,
    database_idle_in_transaction_timeout_seconds=0.3,
)
PATIENT = DatabaseSettings(database_pool_size=2)


@asynccontextmanager
async def opened(dsn: str, settings: DatabaseSettings) -> AsyncIterator[Database]:
    database = await Database.open(dsn, settings, application_name="chassis-tests")
    try:
        yield database
    finally:
        await database.close()


def statement(sql: str) -> Callable[[Connection], Awaitable[object]]:
    async def work(connection: Connection) -> object:
        return await connection.fetchval(sql)

    return work


async def refusal_of(work: Awaitable[object], *, within_seconds: float) -> str:
    began = time.monotonic()
    with pytest.raises(Refusal) as raised:
        await work
    assert time.monotonic() - began < within_seconds
    assert raised.value.retry_after_seconds == 1
    return raised.value.reason


async def test_waiters_are_bounded(governor_dsn: str) -> None:
    """With a full pool one caller waits for a bounded time, and the next is refused at once."""
    async with opened(governor_dsn, IMPATIENT) as database, database.read(), database.read():
        waiter = asyncio.create_task(refusal_of(database.write(statement("SELECT 1")), within_seconds=2))
        await asyncio.sleep(0)
        assert await refusal_of(database.write(statement("SELECT 1")), within_seconds=0.2) == "OVERLOADED"
        assert await waiter == "OVERLOADED"


async def test_a_slot_that_becomes_free_goes_to_the_waiter(governor_dsn: str) -> None:
    """A free connection goes to the waiting caller, also after earlier refusals and failures."""
    async with opened(governor_dsn, IMPATIENT) as database:
        for _ in range(3):
            assert await refusal_of(database.write(statement("SELECT pg_sleep(9)")), within_seconds=2)
        async with database.read():
            async with database.read():
                waiter = asyncio.create_task(database.write(statement("SELECT 7")))
                await asyncio.sleep(0)
            assert await waiter == 7


async def test_a_long_statement_is_ended_by_the_server(governor_dsn: str) -> None:
    """statement_timeout ends the statement with DATABASE_UNAVAILABLE and frees the backend."""
    async with opened(governor_dsn, IMPATIENT) as database:
        reason = await refusal_of(database.write(statement("SELECT pg_sleep(9)")), within_seconds=1.4)
        assert reason == "DATABASE_UNAVAILABLE"
        busy = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%sleep(9%' AND state = 'active'"
        async with database.read() as connection:
            assert await connection.fetchval(f"{busy} AND pid <> pg_backend_pid()") == 0


async def test_a_lock_is_not_waited_for_without_end(governor_dsn: str) -> None:
    """lock_timeout ends the wait for a lock with OVERLOADED."""
    async with opened(governor_dsn, IMPATIENT) as database:
        holder = await asyncpg.connect(governor_dsn)
        await holder.execute("SELECT pg_advisory_lock(1)")
        lock = "SELECT pg_advisory_xact_lock(1)"
        assert await refusal_of(database.write(statement(lock)), within_seconds=2) == "OVERLOADED"
        await holder.close()
        await database.write(statement(lock))


async def test_a_transaction_does_not_idle_without_end(governor_dsn: str) -> None:
    """Code that stops in the middle of a transaction holds its locks only until a timeout."""

    async def work(connection: Connection) -> None:
        ended = asyncio.Event()
        connection.add_termination_listener(lambda _: ended.set())
        await ended.wait()
        await connection.execute("SELECT 1")

    async with opened(governor_dsn, IMPATIENT) as database:
        assert await refusal_of(database.write(work), within_seconds=3) == "DATABASE_UNAVAILABLE"


async def test_the_call_is_answered_before_its_deadline(governor_dsn: str) -> None:
    """A call whose deadline comes before the database's answer gets DATABASE_UNAVAILABLE in time."""
    async with opened(governor_dsn, PATIENT) as database:

        async def write() -> None:
            set_deadline(0.5)
            await database.write(statement("SELECT pg_sleep(1)"))

        async def read() -> None:
            set_deadline(0.5)
            async with database.read() as connection:
                await connection.fetchval("SELECT pg_sleep(1)")

        for call in (write, read):
            reason = await refusal_of(asyncio.create_task(call()), within_seconds=0.5)
            assert reason == "DATABASE_UNAVAILABLE"


async def test_a_write_that_outlives_its_deadline_is_done_all_the_same(governor_dsn: str) -> None:
    """The caller gets a refusal at its deadline, and the transaction still commits on its own."""
    async with opened(governor_dsn, PATIENT) as database:
        await database.write(statement("CREATE TABLE effects ()"))

        async def write() -> None:
            set_deadline(0.2)
            await database.write(statement("INSERT INTO effects SELECT FROM pg_sleep(0.5)"))

        await refusal_of(asyncio.create_task(write()), within_seconds=0.4)
    async with opened(governor_dsn, PATIENT) as database:
        assert await database.write(statement("SELECT count(*) FROM effects")) == 1


async def test_a_frozen_server_is_given_up(own_postgres: EmbeddedPostgres) -> None:
    """While PostgreSQL is stopped by SIGSTOP, reads and writes end; after SIGCONT the pool works again."""
    async with opened(own_postgres.dsn("governor", "governor"), IMPATIENT) as database:
        await database.write(statement("SELECT 1"))
        (postmaster,) = processes_of(own_postgres.data_dir)
        frozen = [postmaster, *children_of(postmaster)]
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            for _ in range(2):
                reason = await refusal_of(database.write(statement("SELECT 1")), within_seconds=3)
                assert reason == "DATABASE_UNAVAILABLE"
            with pytest.raises(Refusal):
                async with database.read() as connection:
                    await connection.fetchval("SELECT 1")
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
        assert await database.write(statement("SELECT 1")) == 1


async def test_a_database_in_trouble_is_logged_once(
    governor_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Repeated failures of one kind write one line."""
    log = structlog.testing.CapturingLogger()
    monkeypatch.setattr("service_chassis.postgres.database._trouble", RepeatedLines(log))
    full = statement("DO $$ BEGIN RAISE SQLSTATE '53100'; END $$")
    async with opened(governor_dsn, PATIENT) as database:
        for _ in range(50):
            assert await refusal_of(database.write(full), within_seconds=5) == "DATABASE_UNAVAILABLE"
    (line,) = log.calls
    assert line.kwargs == {"sqlstate": "53100", "error_type": "DiskFullError"}


async def test_reserved_connections_are_not_taken_by_others(governor_dsn: str) -> None:
    """A reserved write begins at once, although other writes wait for a lock on all other connections."""
    async with AsyncExitStack() as stack:
        reserving = await Database.open(
            governor_dsn, DatabaseSettings(database_pool_size=3), application_name="test", reserved=1
        )
        stack.push_async_callback(reserving.close)
        holder = await asyncpg.connect(governor_dsn)
        await holder.execute("SELECT pg_advisory_lock(1)")
        waiting = [
            asyncio.create_task(reserving.write(statement("SELECT pg_advisory_xact_lock(1)")))
            for _ in range(10)
        ]
        await asyncio.sleep(0)
        assert await reserving.write(statement("SELECT 7"), is_reserved=True) == 7
        assert not any(task.done() for task in waiting)
        await holder.close()
        await asyncio.gather(*waiting)
