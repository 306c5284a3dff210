"""Fills an empty price book at start-up."""

from datetime import UTC, datetime

from governor_service.listings import read_price_list
from governor_service.store.prices import insert_prices_if_empty
from service_chassis.postgres.database import Database

EFFECTIVE_TIME = datetime(2000, 1, 1, tzinfo=UTC)
"""Early enough for any usage that is recorded afterwards."""


async def load_price_list(database: Database, name: str) -> int:
    """Fills the price book with one of `listings.NAMES`, and returns how many prices that were.

    A book that holds anything is left alone. Of several instances that start at once, one fills it, and the
    others wait.
    """
    listings = read_price_list(name)
    return await database.write(
        lambda connection: insert_prices_if_empty(
            connection, listings, effective_time=EFFECTIVE_TIME, author=f"price list {name}"
        )
    )
