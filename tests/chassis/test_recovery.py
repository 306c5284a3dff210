"""The pool recovers from every failure of its server without help."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import asyncpg
import pytest

from service_chassis.postgres.database import Connection, Database
from service_chassis.postgres.embedded import EmbeddedPostgres
from service_chassis.refusal import Refusal
from service_chassis.settings import DatabaseSettings
from tests.chassis.processes import processes_of


@pytest.fixture
async def database(own_postgres: EmbeddedPostgres) -> AsyncIterator[Database]:
    dsn = own_postgres.dsn("governor", "governor")
    database = await Database.open(dsn, DatabaseSettings(), application_name="chassis-tests")
    yield database
    await database.close()


async def backend(connection: Connection) -> int:
    """The pid of the server process that has just answered."""
    assert await connection.fetchval("SELECT 1") == 1
    return connection.get_server_pid()


async def eventually(database: Database) -> int:
    """The next successful answer, after as many attempts as the refusals ask for."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await database.write(backend)
            except Refusal:
                await asyncio.sleep(0.05)


async def always(database: Database) -> None:
    while True:
        await database.write(backend)


async def test_a_killed_backend_is_replaced(own_postgres: EmbeddedPostgres, database: Database) -> None:
    """A transaction whose backend is killed gets DATABASE_UNAVAILABLE; the next call has a new backend."""
    administrator = await asyncpg.connect(own_postgres.dsn("postgres"))

    async def work(connection: Connection) -> None:
        await connection.execute("CREATE TABLE effects ()")
        await administrator.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
        await connection.execute("SELECT 1")

    with pytest.raises(Refusal) as raised:
        await database.write(work)
    assert raised.value.reason == "DATABASE_UNAVAILABLE"
    await administrator.close()
    await eventually(database)
    async with database.read() as connection:
        assert await connection.fetchval("SELECT to_regclass('effects')") is None


async def test_a_killed_server_is_found_again(own_postgres: EmbeddedPostgres, database: Database) -> None:
    """After kill -9 of PostgreSQL calls are refused until it is back; committed data is still there."""

    async def work(connection: Connection) -> None:
        await connection.execute("CREATE TABLE effects ()")

    await database.write(work)
    (postmaster,) = processes_of(own_postgres.data_dir)
    os.kill(postmaster, signal.SIGKILL)
    with pytest.raises(Refusal) as raised:
        await always(database)
    assert raised.value.reason == "DATABASE_UNAVAILABLE"
    keeper = asyncio.create_task(own_postgres.keep_running())
    try:
        await eventually(database)
    finally:
        keeper.cancel()
    async with database.read() as connection:
        assert await connection.fetchval("SELECT to_regclass('effects')::text") == "effects"


async def test_connections_to_a_read_only_server_are_replaced(
    own_postgres: EmbeddedPostgres, database: Database
) -> None:
    """After 25006, as in a failover, every connection is replaced although each looks healthy."""
    before = await database.write(backend)

    async def work(connection: Connection) -> None:
        await connection.execute("SET TRANSACTION READ ONLY")
        await connection.execute("CREATE TABLE effects ()")

    with pytest.raises(Refusal) as raised:
        await database.write(work)
    assert raised.value.reason == "DATABASE_UNAVAILABLE"
    assert await database.write(backend) != before
    assert own_postgres.port is not None


async def test_a_server_that_is_not_there_is_unavailable(
    own_postgres: EmbeddedPostgres, database: Database
) -> None:
    """A refused connection is a Refusal with RetryInfo, not an exception of the socket."""
    await own_postgres.stop()
    for _ in range(2):
        with pytest.raises(Refusal) as raised:
            async with database.read() as connection:
                await connection.fetchval("SELECT 1")
        assert (raised.value.reason, raised.value.retry_after_seconds) == ("DATABASE_UNAVAILABLE", 1)
