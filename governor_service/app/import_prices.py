"""Updates the price book from a seller's list: finds the prices that differ and adds versions for these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from governor_service.app.create_price import enter_version
from governor_service.domain.pricing import Price
from governor_service.listings import Listing
from governor_service.store import prices
from service_chassis.postgres.database import Connection, Database
from service_chassis.refusal import Refusal

_MODELS_MAX = 1_000_000


@dataclass(frozen=True)
class PriceChange:
    """A model's price now (None: it has none), and the new one."""

    before: Price | None
    after: Listing


@dataclass(frozen=True)
class PriceDifferences:
    """By model. Models that the seller does not list keep their price."""

    changes: list[PriceChange]
    unchanged: list[str]
    not_listed: list[str]


async def price_differences(database: Database, listings: Sequence[Listing]) -> PriceDifferences:
    """Compares the prices in force now with the listings. Versions that take effect later do not count."""
    async with database.read() as connection:
        found = await prices.prices_at_time(
            connection, None, model_prefix="", after_model="", limit=_MODELS_MAX
        )
    in_force = {price.model: price for price in found}
    changes = [
        PriceChange(before, listing)
        for listing in listings
        if (before := in_force.get(listing.model)) is None or not before.costs_the_same_as(listing)
    ]
    listed = {listing.model for listing in listings}
    return PriceDifferences(
        changes=changes,
        unchanged=sorted(listed - {change.after.model for change in changes}),
        not_listed=sorted(in_force.keys() - listed),
    )


async def write_changes(
    database: Database, changes: Sequence[PriceChange], *, source: str, author: str
) -> list[Price]:
    """Adds a version for each change, all or none, and records the comparison with `source`.

    Refuses with STATE_CONFLICT if one of these prices has changed since the comparison.
    """

    async def work(connection: Connection) -> list[Price]:
        await prices.lock_price_book(connection)
        written = []
        for change in changes:
            current = await prices.price_at_time(connection, change.after.model, {}, None)
            if current != change.before:
                raise Refusal(
                    "STATE_CONFLICT",
                    f"somebody else changed the price of {change.after.model} in the meantime",
                )
            written.append(await enter_version(connection, change.after, author=author))
        await prices.record_check(connection, source=source, changes=len(written), author=author)
        return written

    return await database.write(work)
