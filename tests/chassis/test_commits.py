"""`Database.write` commits the work that it acknowledges, and rolls back the work that it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from service_chassis.postgres.database import Connection, Database, TransactionRolledBack
from service_chassis.refusal import Refusal, invalid_field
from service_chassis.settings import DatabaseSettings

pytestmark = pytest.mark.on_disk

INSERT = "INSERT INTO effects (name) VALUES ($1)"


@pytest.fixture
async def database(governor_dsn: str) -> AsyncIterator[Database]:
    database = await Database.open(governor_dsn, DatabaseSettings(), application_name="chassis-tests")

    async def create(connection: Connection) -> None:
        await connection.execute("CREATE TABLE effects (name text PRIMARY KEY, document jsonb)")

    await database.write(create)
    yield database
    await database.close()


async def effects(database: Database) -> list[str]:
    async with database.read() as connection:
        return [row["name"] for row in await connection.fetch("SELECT name FROM effects ORDER BY name")]


async def test_what_it_returns_is_committed(database: Database) -> None:
    """The result is returned after COMMIT; JSON is read and written as Python objects; READ COMMITTED."""

    async def work(connection: Connection) -> object:
        await connection.execute("INSERT INTO effects VALUES ('one', $1)", {"list": [1, "zwei", None]})
        assert await connection.fetchval("SHOW transaction_isolation") == "read committed"
        return await connection.fetchval("SELECT document FROM effects")

    assert await database.write(work) == {"list": [1, "zwei", None]}
    assert await effects(database) == ["one"]


async def test_a_refusal_rolls_back_and_passes(database: Database) -> None:
    """A Refusal that the work raises reaches the caller, and the earlier statements are rolled back."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))

    async def work(connection: Connection) -> None:
        await connection.execute(INSERT, "one")
        raise invalid_field("name", "is taken")

    with pytest.raises(Refusal) as raised:
        await database.write(work)
    assert raised.value.reason == "INVALID_FIELD"
    assert await effects(database) == []
    assert not complaints  # asyncpg's warning about a connection that comes back with an open transaction


async def test_a_swallowed_error_is_never_acknowledged(database: Database) -> None:
    """Work that catches a statement's error is rolled back at COMMIT, and TransactionRolledBack is raised."""

    async def work(connection: Connection) -> str:
        await connection.execute(INSERT, "one")
        try:
            await connection.execute(INSERT, "one")
        except asyncpg.UniqueViolationError:
            return "done"
        return "not reached"

    with pytest.raises(TransactionRolledBack):
        await database.write(work)
    assert await effects(database) == []


async def test_a_bug_is_no_refusal(database: Database) -> None:
    """A wrong statement or argument raises asyncpg's own error, not a Refusal."""

    async def wrong_statement(connection: Connection) -> None:
        await connection.execute("SELECT no_such_column FROM effects")

    async def wrong_arguments(connection: Connection) -> None:
        await connection.fetch(INSERT)

    with pytest.raises(asyncpg.UndefinedColumnError):
        await database.write(wrong_statement)
    with pytest.raises(asyncpg.InterfaceError):
        await database.write(wrong_arguments)
    assert await effects(database) == []


async def test_a_cancelled_caller_does_not_stop_a_transaction(
    database: Database, governor_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction of a cancelled caller still commits on its own, and close() waits for it."""
    monkeypatch.setattr(
        "service_chassis.postgres.database._CLOSE_TIMEOUT_SECONDS", 0.01
    )  # for connections that are still in use
    begun = asyncio.Event()
    go_on = asyncio.Event()

    async def work(connection: Connection) -> None:
        await connection.execute(INSERT, "one")
        begun.set()
        await go_on.wait()
        await connection.execute("SELECT pg_sleep(0.2)")
        await connection.execute(INSERT, "two")

    caller = asyncio.create_task(database.write(work))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go_on.set()
    await database.close()
    reopened = await Database.open(governor_dsn, DatabaseSettings(), application_name="chassis-tests")
    assert await effects(reopened) == ["one", "two"]
    await reopened.close()


@pytest.mark.parametrize("failures", [1, 2])
async def test_a_serialization_failure_runs_the_whole_again(database: Database, failures: int) -> None:
    """After 40001 all of the work runs again from its first statement, and its effects are there once."""
    attempts = 0

    async def work(connection: Connection) -> int:
        nonlocal attempts
        attempts += 1
        await connection.execute(INSERT, "one")
        if attempts <= failures:
            await connection.execute("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$")
        return attempts

    assert await database.write(work) == failures + 1
    assert await effects(database) == ["one"]


async def test_it_is_tried_three_times_at_most(database: Database) -> None:
    """Work that fails so each time is refused with OVERLOADED and RetryInfo after three attempts."""
    attempts = 0

    async def work(connection: Connection) -> None:
        nonlocal attempts
        attempts += 1
        await connection.execute("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$")

    with pytest.raises(Refusal) as raised:
        await database.write(work)
    assert (raised.value.reason, raised.value.retry_after_seconds, attempts) == ("OVERLOADED", 1, 3)


async def test_both_sides_of_a_deadlock_succeed(database: Database) -> None:
    """After 40P01 the side that PostgreSQL ended runs again, and both succeed."""
    both_hold_one = asyncio.Barrier(2)
    attempts: list[str] = []

    async def work(connection: Connection, first: str, second: str) -> None:
        attempts.append(first)
        await connection.execute("UPDATE effects SET document = '1' WHERE name = $1", first)
        if len(attempts) <= 2:
            await both_hold_one.wait()
        await connection.execute("UPDATE effects SET document = '2' WHERE name = $1", second)

    async def prepare(connection: Connection) -> None:
        await connection.executemany(INSERT, [("one",), ("two",)])

    await database.write(prepare)
    await asyncio.gather(
        database.write(lambda connection: work(connection, "one", "two")),
        database.write(lambda connection: work(connection, "two", "one")),
    )
    assert len(attempts) == 3


async def test_a_changed_schema_is_no_error(database: Database) -> None:
    """Work whose prepared statements a migration invalidated runs again with new ones."""

    async def work(connection: Connection) -> int:
        return len(await connection.fetch("SELECT * FROM effects"))

    async def alter(connection: Connection) -> None:
        await connection.execute("ALTER TABLE effects ADD COLUMN note text")

    assert await database.write(work) == 0
    await database.write(alter)
    assert await database.write(work) == 0


async def test_nothing_begins_once_it_is_closing(database: Database) -> None:
    """A call after close() has begun is refused with SHUTTING_DOWN."""
    await database.close()
    with pytest.raises(Refusal) as raised:
        await effects(database)
    assert raised.value.reason == "SHUTTING_DOWN"
