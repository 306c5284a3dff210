"""What a month would have cost at other prices, from the ledger."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from governor_service.domain.estimates import ModelEstimate
from governor_service.store.prices import price_by_id
from service_chassis.postgres.database import Connection
from service_chassis.postgres.queries import load_queries

QUERIES = load_queries(__package__, "estimates.sql")


async def month_at_prices(
    connection: Connection, organization_id: UUID, month: date, at_time: datetime | None
) -> list[ModelEstimate]:
    """By served model, the one that was charged most first. `at_time` None: now."""
    rows = await connection.fetch(QUERIES["month_at_prices"], organization_id, f"{month:%Y-%m}", at_time)
    return [
        ModelEstimate(
            model=row["model"],
            cost_nano_usd=int(row["cost_nano_usd"]),
            charged_nano_usd=int(row["charged_nano_usd"]),
            price=await price_by_id(connection, row["price_id"]) if row["price_id"] else None,
        )
        for row in rows
    ]
