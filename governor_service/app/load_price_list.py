"""Loads the shipped price list when a governor starts: into an empty price book, or, when a release has a
newer list, into a price book that holds only a shipped list."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import structlog

from governor_service.app.import_prices import write_price_list
from governor_service.domain.price_lists import author_at_start
from governor_service.listings import PriceList, document_list
from governor_service.listings.genai_prices_listings import PACKAGE, package_list
from governor_service.store import prices
from service_chassis.postgres.database import Connection, Contended, Database

_SHIPPED: Final = author_at_start("shipped")
# Each attempt waits for the lock as long as a statement may: in all, about a minute.
_ATTEMPTS: Final = 20

_Need: TypeAlias = Literal["nothing", "all", "update"]

_log = structlog.get_logger()


async def load_price_list(database: Database, name: str) -> int:
    """Fills an empty price book from one of `listings.NAMES` and returns the number of versions.

    If all prices come from the lists of earlier releases, the price book gets what differs in this release's
    list, from now on: once for each version of the package. If anybody else has written a price, the price
    book is not changed. Several instances that start at once do it once: the others wait.
    """
    async with database.read() as connection:
        need = await _need(connection, name)
    if need == "nothing":
        return 0
    # That takes a moment, so it is done before the lock is taken.
    price_list = document_list() if name == "document" else package_list()
    for _ in range(_ATTEMPTS - 1):
        try:
            return await database.write(lambda connection: _load(connection, name, price_list))
        except Contended:
            _log.info("price_list_waits", reason="another instance is writing to the price book")
    return await database.write(lambda connection: _load(connection, name, price_list))


async def _load(connection: Connection, name: str, price_list: PriceList) -> int:
    await prices.lock_price_book(connection)
    author = author_at_start(name)
    match await _need(connection, name):
        case "all":
            written = len(price_list.listings)
            await prices.enter_prices(connection, price_list.listings, author=author)
            await prices.enter_alternate_names(connection, price_list.alternate_names)
            await prices.record_check(connection, source=price_list.source, changes=written, author=author)
        case "update":
            found = await write_price_list(connection, price_list, author=author)
            written = len(found.changes)
            _log.info("price_list_updated", source=price_list.source, versions=written)
        case "nothing":
            written = 0
    return written


async def _need(connection: Connection, name: str) -> _Need:
    if await prices.is_empty(connection):
        return "all"
    if name == "document" or await prices.was_compared_with(connection, PACKAGE):
        return "nothing"
    if await prices.are_all_by(connection, _SHIPPED):
        return "update"
    _log.warning(
        "price_list_not_updated",
        source=PACKAGE,
        reason="the price book has prices that did not come with a release",
        what_to_do="compare them: python -m governor_service.price_lists compare genai-prices",
    )
    return "nothing"
