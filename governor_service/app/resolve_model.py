"""ResolveModel: the canonical model of an id, and its price."""

from __future__ import annotations

from dataclasses import dataclass

from governor_service.domain.model_aliases import ModelAlias
from governor_service.domain.model_id import ModelId
from governor_service.domain.pricing import Price
from governor_service.store import prices
from governor_service.store.model_aliases import aliases_of
from service_chassis.postgres.database import Database


@dataclass(frozen=True)
class ResolvedModel:
    """A canonical model, its present price (None: it has none), and the alias that led to it, if one did."""

    model: str
    price: Price | None
    alias: ModelAlias | None


async def resolve_model(database: Database, model: ModelId) -> ResolvedModel:
    """What a model id means now."""
    async with database.read() as connection:
        name = await prices.resolve_model(connection, model, None)
        aliases = await aliases_of(connection, model)
        price = await prices.price_at_time(connection, name, {}, None)
    alias = next(
        (alias for each in model.names if (alias := aliases.get(each)) and alias.model == name), None
    )
    return ResolvedModel(name, price, alias)
