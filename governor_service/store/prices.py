"""The price book in the database."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, time
from itertools import groupby
from operator import itemgetter
from typing import Any, Final
from uuid import UUID, uuid4

from asyncpg import Connection, Record

from governor_service.domain.hold_bounds import takes_from
from governor_service.domain.model_id import ModelId
from governor_service.domain.price_lists import PriceListCheck
from governor_service.domain.pricing import Price, Rate
from governor_service.domain.usage_units import BASE_UNITS, wholes_of
from governor_service.listings import EARLIEST, Listing
from service_chassis.postgres.queries import load_queries

_QUERIES = load_queries(__package__, "prices.sql")

_COMPONENTS: Final = (
    "input_nano_usd_per_mtok",
    "cached_input_nano_usd_per_mtok",
    "cache_write_nano_usd_per_mtok",
    "output_nano_usd_per_mtok",
    "reasoning_nano_usd_per_mtok",
    "request_nano_usd",
)


async def resolve_model(connection: Connection[Record], model: ModelId, at_time: datetime | None) -> str:
    """The canonical model as of a time (None: now)."""
    canonical: str = await connection.fetchval(_QUERIES["resolve_model"], model.line, at_time)
    return canonical


async def price_at_time(
    connection: Connection[Record], model: str, price_context: Mapping[str, str], at_time: datetime | None
) -> Price | None:
    """A canonical model's price as of a time (None: now), or None if it has none."""
    row = await connection.fetchrow(_QUERIES["price_at_time"], model, dict(price_context), at_time)
    return _price(row) if row else None


async def price_by_id(connection: Connection[Record], price_id: UUID) -> Price | None:
    """One version of a price; None if there is none with this id."""
    prices = await prices_by_id(connection, [price_id])
    return prices[0] if prices else None


async def prices_by_id(connection: Connection[Record], price_ids: Collection[UUID]) -> list[Price]:
    """The versions that have these ids, in any order."""
    return [_price(row) for row in await connection.fetch(_QUERIES["prices_by_id"], price_ids)]


async def prices_at_time(
    connection: Connection[Record],
    at_time: datetime | None,
    *,
    model_prefix: str,
    after_model: str,
    limit: int,
) -> list[Price]:
    """The price of each model's ordinary calls as of a time (None: now), by model."""
    rows = await connection.fetch(_QUERIES["prices_at_time"], at_time, model_prefix, after_model, limit)
    return [_price(row) for row in rows]


async def all_prices(connection: Connection[Record]) -> list[Price]:
    """Every version that counts, by model, variant and time: none that was superseded as of its own time."""
    return [_price(row) for row in await connection.fetch(_QUERIES["all_prices"])]


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
        _row(listing) | {"effective_time": effective_time and effective_time.isoformat()},
        author,
    )
    assert row is not None
    return row["outcome"], row["price_id"]


async def is_empty(connection: Connection[Record]) -> bool:
    """Whether the price book has no price."""
    return bool(await connection.fetchval(_QUERIES["is_empty"]))


async def enter_prices(connection: Connection[Record], listings: Sequence[Listing], *, author: str) -> None:
    """Adds versions, each from its own time on; without a time, before any usage that may be recorded.

    Versions that begin at the same time as one in the price book supersede it. The caller has locked the
    price book, and makes sure that nothing was held or rated with such a version.
    """
    rows = [
        _row(listing)
        | {
            "price_id": str(uuid4()),
            "effective_time": (listing.effective_time or EARLIEST).isoformat(),
        }
        for listing in listings
    ]
    await connection.execute(_QUERIES["enter_prices"], rows, author)


def _row(listing: Listing) -> dict[str, Any]:
    """An element of the function enter_prices, without the columns that its caller adds."""
    return {
        "model": listing.model,
        "provider": listing.provider,
        "price_context": dict(listing.price_context),
        "daily_start": listing.daily_start and listing.daily_start.isoformat(),
        "daily_end": listing.daily_end and listing.daily_end.isoformat(),
        "source": listing.source,
        **{name: getattr(listing, name) for name in _COMPONENTS},
        "rates": []
        if listing.is_plain
        else [
            {
                "input_tokens_above": level.input_tokens_above,
                "unit": rate.unit,
                "per": rate.per,
                "nano_usd": rate.nano_usd,
                "weight": rate.weight,
                "wholes": wholes_of(rate.unit),
                "takes_from": takes_from(rate.unit),
            }
            for level in listing.levels()
            for rate in level.weighted
        ],
    }


def _price(row: Record) -> Price:
    price = row["price"]
    return Price(
        price_id=UUID(price["price_id"]),
        model=price["model"],
        provider=price["provider"],
        price_context=price["price_context"],
        daily_start=price["daily_start"] and time.fromisoformat(price["daily_start"]),
        daily_end=price["daily_end"] and time.fromisoformat(price["daily_end"]),
        effective_time=datetime.fromisoformat(price["effective_time"]),
        **{name: price[name] for name in _COMPONENTS},
        rates=_stated(row["rates"]),
        source=price["source"],
        author=price["author"],
    )


def _stated(rows: Sequence[Mapping[str, Any]]) -> tuple[Rate, ...]:
    """The rates that a price states, out of its complete levels: those that differ from the level below."""
    below: dict[str, tuple[int, int]] = {}
    stated = []
    for above, rates in groupby(rows, key=itemgetter("input_tokens_above")):
        for rate in rates:
            says = rate["per"], rate["nano_usd"]
            if below.get(rate["unit"]) != says and (above or rate["unit"] not in BASE_UNITS):
                stated.append(Rate(**rate))
            below[rate["unit"]] = says
    return tuple(stated)


async def enter_alternate_names(connection: Connection[Record], names: Mapping[str, str]) -> None:
    """Makes the keys other names of the models that are their values."""
    await connection.execute(_QUERIES["enter_alternate_names"], list(names), list(names.values()))


async def alternate_names(connection: Connection[Record]) -> dict[str, str]:
    """The other names of models, each with its model."""
    return {row["name"]: row["model"] for row in await connection.fetch(_QUERIES["alternate_names"])}


async def now(connection: Connection[Record]) -> datetime:
    """The database's time."""
    time: datetime = await connection.fetchval(_QUERIES["now"])
    return time


async def are_all_by(connection: Connection[Record], author: str) -> bool:
    """Whether this author wrote every price of the price book."""
    return bool(await connection.fetchval(_QUERIES["are_all_by"], author))


async def was_compared_with(connection: Connection[Record], source: str) -> bool:
    """Whether the price book was filled from a price list, or compared with it."""
    return bool(await connection.fetchval(_QUERIES["was_compared_with"], source))


async def record_check(connection: Connection[Record], *, source: str, changes: int, author: str) -> None:
    """Records that the price book was filled from a price list, or compared with one."""
    await connection.execute(_QUERIES["record_check"], source, changes, author)


async def last_check(connection: Connection[Record]) -> PriceListCheck | None:
    """The newest price list that the price book was filled from, or compared with; None if there is none."""
    row = await connection.fetchrow(_QUERIES["last_check"])
    return PriceListCheck(**row) if row else None


class KnownPrices:
    """A cache of prices by id. Nothing in it expires, since a version never changes."""

    def __init__(self) -> None:
        self._prices: dict[UUID, Price] = {}

    async def read(self, connection: Connection[Record], price_ids: Iterable[UUID]) -> None:
        """Reads the prices that are not in the cache. Raises KeyError for an id that the price book lacks."""
        missing = [price_id for price_id in price_ids if price_id not in self._prices]
        if missing:
            found = {price.price_id: price for price in await prices_by_id(connection, missing)}
            self._prices |= {price_id: found[price_id] for price_id in missing}

    def __getitem__(self, price_id: UUID) -> Price:
        """A price that was read before."""
        return self._prices[price_id]
