"""Reads the price book."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from governor_service.domain import errors
from governor_service.domain.model_id import ModelId
from governor_service.domain.pricing import Price
from governor_service.store.prices import (
    price_at_time,
    price_by_id,
    prices_at_time,
    resolve_model,
)
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


async def get_price_of_model(
    database: Database, model: ModelId, price_context: Mapping[str, str], at_time: datetime | None
) -> Price:
    """The price of a model as of a time (None: now). Refuses with MODEL_NOT_PRICED."""
    async with database.read() as connection:
        name = await resolve_model(connection, model, at_time)
        price = await price_at_time(connection, name, price_context, at_time)
    if price is None:
        raise errors.model_not_priced(name)
    return price


async def get_price(database: Database, price_id: UUID) -> Price:
    """One version of a price. Refuses with PRICE_NOT_FOUND."""
    async with database.read() as connection:
        price = await price_by_id(connection, price_id)
    if price is None:
        raise Refusal("PRICE_NOT_FOUND", f"no price has the id {price_id}")
    return price
