"""A database without a governor, for the price book and its functions."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from service_chassis.postgres.database import Database
from service_chassis.settings import DatabaseSettings


@pytest.fixture
async def database(governor_dsn: str) -> AsyncIterator[Database]:
    """A governor's database with an empty price book."""
    database = await Database.open(governor_dsn, DatabaseSettings(), application_name="test")
    yield database
    await database.close()
