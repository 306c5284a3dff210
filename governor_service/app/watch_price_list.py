"""Warns while the price list in use is older than 30 days."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from governor_service.domain.price_lists import PriceListCheck
from governor_service.store import prices
from service_chassis.postgres.database import Database

_INTERVAL: Final = timedelta(days=1)

_log = structlog.get_logger()


async def last_price_list_check(database: Database) -> PriceListCheck | None:
    """The newest list that the price book was filled from, or compared with; None if there is none."""
    async with database.read() as connection:
        return await prices.last_check(connection)


async def keep_watching_price_list(database: Database) -> None:
    """Looks now and then once a day, until cancelled."""
    while True:
        try:
            await warn_if_old(database)
        except Exception as error:
            _log.warning("price_list_not_watched", error_type=type(error).__name__)
        await asyncio.sleep(_INTERVAL.total_seconds())


async def warn_if_old(database: Database) -> None:
    """Logs a warning if the price book was not compared with a new price list lately."""
    check = await last_price_list_check(database)
    if check is None:
        _log.warning("price_list_is_old", reason="the price book was never compared with a price list")
    elif check.is_old:
        _log.warning(
            "price_list_is_old",
            age_days=check.age.days,
            source=check.source,
            what_to_do="import a newer version of genai-prices, or OpenRouter's prices: "
            "python -m governor_service.price_lists",
        )
