"""Reads the price book."""

from datetime import datetime
from uuid import UUID

from governor_service.domain.model_names import canonical_model
from governor_service.domain.pricing import Price
from governor_service.store.prices import price_at_time, price_by_id, prices_at_time
from service_chassis.postgres.database import Database
from service_chassis.refusal import Refusal


async def list_prices(
    database: Database, at_time: datetime | None, *, model_prefix: str, after_model: str, limit: int
) -> list[Price]:
    """At most `limit` models' prices as of a time (None: now), by model, after a model."""
    async with database.read() as connection:
        return await prices_at_time(
            connection, at_time, model_prefix=model_prefix, after_model=after_model, limit=limit
        )


async def get_price_of_model(database: Database, model_id: str, at_time: datetime | None) -> Price:
    """The price of a model, by any of its names, as of a time (None: now). Refuses with MODEL_NOT_PRICED."""
    model = canonical_model(model_id).model
    async with database.read() as connection:
        price = await price_at_time(connection, model, at_time)
    if price is None:
        raise Refusal(
            "MODEL_NOT_PRICED", f"the price book has no price for {model}", metadata={"model": model}
        )
    return price


async def get_price(database: Database, price_id: UUID) -> Price:
    """One version of a price. Refuses with PRICE_NOT_FOUND."""
    async with database.read() as connection:
        price = await price_by_id(connection, price_id)
    if price is None:
        raise Refusal("PRICE_NOT_FOUND", f"no price has the id {price_id}")
    return price
