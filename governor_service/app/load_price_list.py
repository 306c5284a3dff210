"""Fills an empty price book at start-up."""

from governor_service.listings import read_price_list
from governor_service.store.prices import insert_prices_if_empty
from service_chassis.postgres.database import Database


async def load_price_list(database: Database, name: str) -> int:
    """Fills an empty price book from one of `listings.NAMES` and returns the number of prices.

    A price book with prices is not changed. If several instances start at once, one fills the price book, and
    the others wait for it.
    """
    listings = read_price_list(name)
    return await database.write(
        lambda connection: insert_prices_if_empty(connection, listings, author=f"price list {name}")
    )
