"""S5: the price book keeps every version of a price unchanged, and accepts only valid prices."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from service_chassis.postgres.embedded import EmbeddedPostgres


@pytest.fixture
async def connection(governor_dsn: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(governor_dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def _insert(connection: asyncpg.Connection[asyncpg.Record], **columns: Any) -> None:
    row = {
        "model": "openai/gpt-4o-mini",
        "effective_time": datetime(2026, 1, 1, tzinfo=UTC),
        "input_nano_usd_per_mtok": 150_000_000,
        "output_nano_usd_per_mtok": 600_000_000,
        "source": "test",
        "author": "test",
    } | columns
    places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
    await connection.execute(f"INSERT INTO prices ({', '.join(row)}) VALUES ({places})", *row.values())


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE prices SET input_nano_usd_per_mtok = 1",
        "UPDATE prices SET author = 'x' WHERE false",
        "DELETE FROM prices",
        "TRUNCATE prices",
        "TRUNCATE prices CASCADE",
        "INSERT INTO prices SELECT * FROM prices ON CONFLICT (price_id) DO UPDATE SET author = 'x'",
    ],
)
async def test_nothing_changes_a_price(connection: asyncpg.Connection[asyncpg.Record], change: str) -> None:
    """The database refuses UPDATE, DELETE and TRUNCATE, also by the owner."""
    await _insert(connection)
    with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
        await connection.execute(change)
    assert await connection.fetchval("SELECT input_nano_usd_per_mtok FROM prices") == 150_000_000


async def test_not_even_where_triggers_are_off(
    connection: asyncpg.Connection[asyncpg.Record], postgres: EmbeddedPostgres, governor_dsn: str
) -> None:
    """A superuser's session that disables ordinary triggers, as replication does, is refused too."""
    await _insert(connection)
    superuser = await asyncpg.connect(postgres.dsn(urlsplit(governor_dsn).path.removeprefix("/")))
    try:
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await superuser.execute("SET session_replication_role = replica; DELETE FROM prices")
    finally:
        await superuser.close()


async def test_the_latest_version_that_has_begun_is_in_force(
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    """A version is in force from its effective_time to the next one's; before the first there is no price."""
    for year, price in ((2026, 3), (2024, 1), (2025, 2)):
        await _insert(
            connection, effective_time=datetime(year, 1, 1, tzinfo=UTC), input_nano_usd_per_mtok=price
        )
    await _insert(connection, model="openai/gpt-4o", input_nano_usd_per_mtok=9)
    prices: list[tuple[datetime, int | None]] = [
        (datetime(2023, 12, 31, 23, 59, 59, 999_999, UTC), None),
        (datetime(2024, 1, 1, tzinfo=UTC), 1),
        (datetime(2024, 12, 31, 23, 59, 59, 999_999, UTC), 1),
        (datetime(2025, 1, 1, tzinfo=UTC), 2),
        (datetime(2030, 1, 1, tzinfo=UTC), 3),
    ]
    for time, expected in prices:
        in_force = await connection.fetchval(
            "SELECT input_nano_usd_per_mtok FROM price_at('openai/gpt-4o-mini', '{}', $1)", time
        )
        assert in_force == expected


async def test_two_versions_of_one_time_are_refused(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """The price in force at a time is always unambiguous."""
    await _insert(connection)
    with pytest.raises(asyncpg.UniqueViolationError):
        await _insert(connection, input_nano_usd_per_mtok=1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": ""},
        {"model": "OpenAI/gpt-4o"},
        {"model": "openai/gpt 4o"},
        {"model": "openai/gpt-4o\n"},
        {"model": "m" * 201},
        {"effective_time": datetime(1999, 12, 31, tzinfo=UTC)},
        {"input_nano_usd_per_mtok": -1},
        {"input_nano_usd_per_mtok": 10**13 + 1},
        {"cached_input_nano_usd_per_mtok": -1},
        {"cached_input_nano_usd_per_mtok": 10**13 + 1},
        {"cache_write_nano_usd_per_mtok": -1},
        {"cache_write_nano_usd_per_mtok": 10**13 + 1},
        {"output_nano_usd_per_mtok": -1},
        {"output_nano_usd_per_mtok": 10**13 + 1},
        {"reasoning_nano_usd_per_mtok": -1},
        {"reasoning_nano_usd_per_mtok": 10**13 + 1},
        {"request_nano_usd": -1},
        {"request_nano_usd": 10**12 + 1},
        {"input_nano_usd_per_mtok": 0, "output_nano_usd_per_mtok": 0},
        {"source": ""},
        {"author": ""},
    ],
)
async def test_what_is_no_price_is_refused(
    connection: asyncpg.Connection[asyncpg.Record], wrong: dict[str, Any]
) -> None:
    """CHECKs refuse names in upper case or with spaces, figures out of bounds, and prices of zero only."""
    with pytest.raises(asyncpg.CheckViolationError):
        await _insert(connection, **wrong)


async def test_the_bounds_themselves_are_prices(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """The greatest allowed price is accepted."""
    await _insert(
        connection,
        input_nano_usd_per_mtok=10**13,
        cached_input_nano_usd_per_mtok=10**13,
        cache_write_nano_usd_per_mtok=10**13,
        output_nano_usd_per_mtok=10**13,
        reasoning_nano_usd_per_mtok=10**13,
        request_nano_usd=10**12,
    )
