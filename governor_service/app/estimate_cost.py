"""EstimateCost: what usage would cost, without charging it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from uuid import UUID

from governor_service.app.list_prices import get_price_of_model
from governor_service.domain.estimates import Estimate, ModelEstimate
from governor_service.domain.model_id import ModelId
from governor_service.domain.rating import rated_cost_nano_usd
from governor_service.domain.usage import Usage
from governor_service.store import estimates
from service_chassis.postgres.database import Database


async def estimate_usage(
    database: Database,
    model: ModelId,
    price_context: Mapping[str, str],
    usage: Usage,
    at_time: datetime | None,
) -> Estimate:
    """The cost at the model's price as of a time (None: now). Refuses with MODEL_NOT_PRICED."""
    price = await get_price_of_model(database, model, price_context, at_time)
    part = ModelEstimate(
        model=price.model, cost_nano_usd=rated_cost_nano_usd(price, usage), charged_nano_usd=None, price=price
    )
    return Estimate([part])


async def estimate_month(
    database: Database, organization_id: UUID, month: date, at_time: datetime | None
) -> Estimate:
    """The cost of a month's usage at the prices of a time (None: now), and what was charged for it."""
    async with database.read() as connection:
        return Estimate(await estimates.month_at_prices(connection, organization_id, month, at_time))
