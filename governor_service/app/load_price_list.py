"""Fills an empty price book at start-up."""

from governor_service.listings import read_price_list
from governor_service.store import prices
from service_chassis.postgres.database import Connection, Database


async def load_price_list(database: Database, name: str) -> int:
    """Fills an empty price book from one of `listings.NAMES` and returns the number of prices.

    A price book with prices is not changed. If several instances start at once, one fills the price book, and
    the others wait for it.
    """
    listings = read_price_list(name)
    author = f"price list {name}"

    async def work(connection: Connection) -> int:
        written = await prices.insert_prices_if_empty(connection, listings, author=author)
        if written:
            await prices.record_check(connection, source=name, changes=written, author=author)
        return written

    return await database.write(work)
