"""The price book in the database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from asyncpg import Connection, Record

from governor_service.domain.pricing import Price
from governor_service.listings import Listing
from service_chassis.postgres.queries import load_queries

_QUERIES = load_queries(__package__, "prices.sql")


async def price_at_time(connection: Connection[Record], model: str, at_time: datetime | None) -> Price | None:
    """A canonical model's price as of a time (None: now), or None if it has none."""
    row = await connection.fetchrow(_QUERIES["price_at_time"], model, at_time)
    return Price(**row) if row else None


async def price_by_id(connection: Connection[Record], price_id: UUID) -> Price | None:
    """One version of a price; None if there is none with this id."""
    row = await connection.fetchrow(_QUERIES["price_by_id"], price_id)
    return Price(**row) if row else None


async def prices_at_time(
    connection: Connection[Record],
    at_time: datetime | None,
    *,
    model_prefix: str,
    after_model: str,
    limit: int,
) -> list[Price]:
    """The price of each model as of a time (None: now), by model."""
    rows = await connection.fetch(_QUERIES["prices_at_time"], at_time, model_prefix, after_model, limit)
    return [Price(**row) for row in rows]


async def lock_price_book(connection: Connection[Record]) -> None:
    """Until the transaction ends, nobody else writes to the price book."""
    await connection.execute(_QUERIES["lock_price_book"])


async def create_price(
    connection: Connection[Record],
    listing: Listing,
    *,
    effective_time: datetime | None,
    author: str,
    request_id: UUID | None,
    content_hash: bytes | None,
) -> tuple[str, UUID | None]:
    """Adds a version that takes effect at a time (None: now). The outcome, and the version's id if any."""
    row = await connection.fetchrow(
        _QUERIES["create_price"],
        request_id,
        content_hash,
        listing.model,
        effective_time,
        listing.input_nano_usd_per_mtok,
        listing.cached_input_nano_usd_per_mtok,
        listing.cache_write_nano_usd_per_mtok,
        listing.output_nano_usd_per_mtok,
        listing.reasoning_nano_usd_per_mtok,
        listing.request_nano_usd,
        listing.source,
        author,
    )
    assert row is not None
    return row["outcome"], row["price_id"]


async def insert_prices_if_empty(
    connection: Connection[Record], listings: Sequence[Listing], *, effective_time: datetime, author: str
) -> int:
    """Fills an empty price book and returns the number of prices.

    Runs within a transaction: it first waits for other writers and sees the prices that they have added.
    """
    await lock_price_book(connection)
    tag = await connection.execute(
        _QUERIES["insert_prices_if_empty"],
        effective_time,
        author,
        [listing.model for listing in listings],
        [listing.source for listing in listings],
        [listing.input_nano_usd_per_mtok for listing in listings],
        [listing.cached_input_nano_usd_per_mtok for listing in listings],
        [listing.cache_write_nano_usd_per_mtok for listing in listings],
        [listing.output_nano_usd_per_mtok for listing in listings],
        [listing.reasoning_nano_usd_per_mtok for listing in listings],
        [listing.request_nano_usd for listing in listings],
    )
    return int(tag.split()[-1])


class KnownPrices:
    """A cache of prices by id. Nothing in it expires, since a version never changes."""

    def __init__(self) -> None:
        self._prices: dict[UUID, Price] = {}

    async def read(self, connection: Connection[Record], price_ids: Iterable[UUID]) -> None:
        """Reads the prices that are not in the cache. Raises KeyError for an id that the price book lacks."""
        for price_id in price_ids:
            if price_id not in self._prices:
                price = await price_by_id(connection, price_id)
                if price is None:
                    raise KeyError(price_id)
                self._prices[price_id] = price

    def __getitem__(self, price_id: UUID) -> Price:
        """A price that was read before."""
        return self._prices[price_id]
