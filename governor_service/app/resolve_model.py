"""ResolveModel: the canonical model of an id, and its price."""

from governor_service.domain.model_names import Resolution, canonical_model
from governor_service.domain.pricing import Price
from governor_service.store.prices import price_at_time
from service_chassis.postgres.database import Database


async def resolve_model(database: Database, model_id: str) -> tuple[Resolution, Price | None]:
    """The canonical id, the steps to it, and the model's present price (None: it has none)."""
    resolution = canonical_model(model_id)
    async with database.read() as connection:
        return resolution, await price_at_time(connection, resolution.model, None)
