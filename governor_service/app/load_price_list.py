"""The price list that a governor begins with: it fills an empty price book, and updates one that nobody has
edited when a release has a newer list."""

from __future__ import annotations

import structlog

from governor_service.app.import_prices import write_price_list
from governor_service.domain.price_lists import author_at_start
from governor_service.listings import document_list
from governor_service.listings.genai_prices_listings import PACKAGE, package_list
from governor_service.store import prices
from service_chassis.postgres.database import Connection, Database

_SHIPPED = author_at_start("shipped")

_log = structlog.get_logger()


async def load_price_list(database: Database, name: str) -> int:
    """Fills an empty price book from one of `listings.NAMES` and returns the number of prices.

    If all prices come from the lists of earlier releases, the price book gets what differs in this release's
    list, from now on: once for each version of the package. If anybody else has written a price, the price
    book is not changed. Several instances that start at once do it once: the others wait.
    """

    async def work(connection: Connection) -> int:
        await prices.lock_price_book(connection)
        if await prices.is_empty(connection):
            price_list = document_list() if name == "document" else package_list()
            author = author_at_start(name)
            await prices.enter_prices(connection, price_list.listings, author=author)
            await prices.enter_alternate_names(connection, price_list.alternate_names)
            await prices.record_check(
                connection, source=price_list.source, changes=len(price_list.listings), author=author
            )
            return len(price_list.listings)
        if name == "document" or await prices.was_compared_with(connection, PACKAGE):
            return 0
        if not await prices.are_all_by(connection, _SHIPPED):
            _log.warning(
                "price_list_not_updated",
                source=PACKAGE,
                reason="the price book has prices that did not come with a release",
                what_to_do="compare them: python -m governor_service.price_lists compare genai-prices",
            )
            return 0
        written = await write_price_list(connection, package_list(), author=_SHIPPED)
        _log.info("price_list_updated", source=PACKAGE, versions=len(written.changes))
        return len(written.changes)

    return await database.write(work)
