"""A governor that starts with an empty price book fills it once; a price book with prices is left alone."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from governor_service.app.load_price_list import load_price_list
from governor_service.domain.pricing import Price
from governor_service.listings import EARLIEST, NAMES, Listing, document_list
from governor_service.listings.genai_prices_listings import package_list
from governor_service.store import prices
from service_chassis.postgres.database import Database
from service_chassis.settings import DatabaseSettings
from tests.pricing.price_book import Book


@pytest.mark.parametrize("name", NAMES)
async def test_empty_book_is_filled(database: Database, governor_dsn: str, name: str) -> None:
    """Every listing becomes a version with all that it says, in force from its own date or since 2000."""
    price_list = document_list() if name == "document" else package_list()
    assert await load_price_list(database, name) == len(price_list.listings)
    async with database.read() as connection:
        found = await prices.all_prices(connection)
        names = await prices.alternate_names(connection)
    assert {price.author for price in found} == {f"price list {name}"}

    def said(row: Price | Listing) -> tuple[object, ...]:
        fields = ("model", "provider", "source", "daily_start", "daily_end", "effective_time")
        return *(getattr(row, field) for field in fields), sorted(row.price_context.items())

    in_order = sorted(found, key=lambda price: repr(said(price)))
    listed = [
        listing if listing.effective_time else replace(listing, effective_time=EARLIEST)
        for listing in price_list.listings
    ]
    for price, listing in zip(in_order, sorted(listed, key=lambda listing: repr(said(listing))), strict=True):
        assert said(price) == said(listing)
        assert price.levels() == listing.levels()
    assert names == price_list.alternate_names
    assert await Book(governor_dsn, database).checks() == [(price_list.source, len(found))]


async def test_instances_that_start_together_fill_it_once(governor_dsn: str) -> None:
    """Of several instances one fills the book, and the others wait for it."""
    databases = [
        await Database.open(governor_dsn, DatabaseSettings(), application_name="test") for _ in range(3)
    ]
    try:
        loaded = await asyncio.gather(*(load_price_list(database, "shipped") for database in databases))
        rows = await Book(governor_dsn, databases[0]).rows()
    finally:
        for database in databases:
            await database.close()
    assert sorted(loaded) == [0, 0, len(package_list().listings)]
    assert len(rows) == max(loaded)


async def test_a_document_book_stays_one(book: Book) -> None:
    """A later start with the shipped list does not add to the document's prices."""
    before = await book.rows()
    assert await load_price_list(book.database, "shipped") == 0
    assert await book.rows() == before
