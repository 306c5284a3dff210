"""Fills an empty price book at start-up."""

from governor_service.listings import read_document
from governor_service.listings.genai_prices_listings import PACKAGE, alternate_model_names, listings
from governor_service.store import prices
from service_chassis.postgres.database import Connection, Database


async def load_price_list(database: Database, name: str) -> int:
    """Fills an empty price book from one of `listings.NAMES` and returns the number of prices.

    A price book with prices is not changed. If several instances start at once, one fills the price book, and
    the others wait for it.
    """

    async def work(connection: Connection) -> int:
        await prices.lock_price_book(connection)
        if not await prices.is_empty(connection):
            return 0
        source, listed, names = (
            ("the document", read_document(), {})
            if name == "document"
            else (PACKAGE, listings(), alternate_model_names())
        )
        author = f"price list {name}"
        await prices.enter_prices(connection, listed, author=author)
        await prices.enter_alternate_names(connection, names)
        await prices.record_check(connection, source=source, changes=len(listed), author=author)
        return len(listed)

    return await database.write(work)
