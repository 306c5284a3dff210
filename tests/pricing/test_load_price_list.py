"""A governor that starts with an empty price book fills it once; a price book with prices is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest

from governor_service.app.load_price_list import load_price_list
from governor_service.listings import NAMES, read_document
from governor_service.listings.genai_prices_listings import listings as package_listings
from service_chassis.postgres.database import Database
from service_chassis.settings import DatabaseSettings


@pytest.fixture
async def database(governor_dsn: str) -> AsyncIterator[Database]:
    database = await Database.open(governor_dsn, DatabaseSettings(), application_name="test")
    try:
        yield database
    finally:
        await database.close()


async def _count(governor_dsn: str) -> int:
    connection = await asyncpg.connect(governor_dsn)
    try:
        count: int = await connection.fetchval("SELECT count(*) FROM prices")
    finally:
        await connection.close()
    return count


@pytest.mark.parametrize("name", NAMES)
async def test_empty_book_is_filled(database: Database, governor_dsn: str, name: str) -> None:
    """Every listing becomes a price with the same components, in force since 2000."""
    listings = read_document() if name == "document" else package_listings()
    assert await load_price_list(database, name) == len(listings)
    connection = await asyncpg.connect(governor_dsn)
    try:
        rows = await connection.fetch("SELECT * FROM prices ORDER BY model")
    finally:
        await connection.close()
    assert [row["model"] for row in rows] == [listing.model for listing in listings]
    for row, listing in zip(rows, listings, strict=True):
        assert {component: row[component] for component, _ in listing.components()} == dict(
            listing.components()
        )
        assert (row["source"], row["author"]) == (listing.source, f"price list {name}")
        assert row["effective_time"] == datetime(2000, 1, 1, tzinfo=UTC)


async def test_instances_that_start_together_fill_it_once(governor_dsn: str) -> None:
    """Of several instances one fills the book, and the others wait for it."""
    databases = [
        await Database.open(governor_dsn, DatabaseSettings(), application_name="test") for _ in range(3)
    ]
    try:
        loaded = await asyncio.gather(
            *(load_price_list(database, name) for database in databases for name in NAMES)
        )
    finally:
        for database in databases:
            await database.close()
    assert sorted(loaded)[:-1] == [0] * 5
    assert await _count(governor_dsn) == max(loaded) > 0


async def test_book_in_use_is_left_alone(database: Database, governor_dsn: str) -> None:
    """A book with one price gets no others at the next start."""
    connection = await asyncpg.connect(governor_dsn)
    try:
        await connection.execute("""
            INSERT INTO prices (model, effective_time, input_nano_usd_per_mtok, output_nano_usd_per_mtok,
                source, author)
            VALUES ('openai/gpt-4o-mini', '2026-01-01Z', 1, 1, 'test', 'test')
        """)
    finally:
        await connection.close()
    assert await load_price_list(database, "shipped") == 0
    assert await _count(governor_dsn) == 1
