"""A database without a governor, for the price book and its functions."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from governor_service.app.load_price_list import load_price_list
from service_chassis.postgres.database import Database
from service_chassis.settings import DatabaseSettings
from tests.pricing.price_book import Book


@pytest.fixture
async def database(governor_dsn: str) -> AsyncIterator[Database]:
    """A governor's database with an empty price book."""
    database = await Database.open(governor_dsn, DatabaseSettings(), application_name="test")
    yield database
    await database.close()


@pytest.fixture
async def book(governor_dsn: str, database: Database) -> Book:
    """A price book with the document's prices."""
    await load_price_list(database, "document")
    return Book(governor_dsn, database)
