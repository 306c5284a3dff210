"""The database's functions of rating, for prices, usages and bounds in the Python model's types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, NamedTuple

from governor_service.domain.hold_bounds import CallBounds, hold_nano_usd, output_tokens_that_fit
from governor_service.domain.pricing import Rates
from governor_service.domain.rating import rated_cost_nano_usd
from governor_service.domain.usage import Usage
from governor_service.listings import Listing
from governor_service.store.prices import enter_prices
from service_chassis.postgres.database import Connection

_FIGURES = """
SELECT c.place,
    rated_cost_nano_usd(
        p_price => p, p_input_tokens => c.input_tokens, p_cached_input_tokens => c.cached_input_tokens,
        p_cache_write_tokens => c.cache_write_tokens, p_cache_write_1h_tokens => c.cache_write_1h_tokens,
        p_output_tokens => c.output_tokens, p_reasoning_tokens => c.reasoning_tokens,
        p_requests => c.requests, p_other_units => c.other_units) AS cost,
    hold_nano_usd(
        p_price => p, p_input_tokens_max => c.input_tokens_max, p_output_tokens_max => c.output_tokens_max,
        p_requests_max => c.requests_max, p_cache_write_tokens_max => c.cache_write_tokens_max,
        p_cache_write_1h_tokens_max => c.cache_write_1h_tokens_max, p_other_units_max => c.other_units_max
    ) AS hold,
    output_tokens_that_fit(
        p_price => p, p_available_nano_usd => c.available, p_input_tokens_max => c.input_tokens_max,
        p_requests_max => c.requests_max, p_output_tokens_max => c.output_tokens_max,
        p_cache_write_tokens_max => c.cache_write_tokens_max,
        p_cache_write_1h_tokens_max => c.cache_write_1h_tokens_max, p_other_units_max => c.other_units_max
    ) AS fits
FROM jsonb_to_recordset($1) AS c (
    place integer, model text, available numeric,
    input_tokens bigint, cached_input_tokens bigint, cache_write_tokens bigint, cache_write_1h_tokens bigint,
    output_tokens bigint, reasoning_tokens bigint, requests bigint, other_units jsonb,
    input_tokens_max bigint, output_tokens_max bigint, requests_max bigint,
    cache_write_tokens_max bigint, cache_write_1h_tokens_max bigint, other_units_max jsonb)
LEFT JOIN prices AS p ON p.model = c.model
ORDER BY c.place
"""


class Case(NamedTuple):
    """A price (None: there is none), a usage, and bounds with the amount that is available for them."""

    rates: Rates | None
    usage: Usage
    bounds: CallBounds
    available_nano_usd: int


class Figures(NamedTuple):
    """What a usage costs, what is held for its bounds, and how many output tokens fit."""

    cost: int | None
    hold: int | None
    fits: int | None


def figures_in_python(case: Case) -> Figures:
    """The figures of the Python model."""
    rates, usage, bounds, available = case
    if rates is None:
        return Figures(None, None, None)
    return Figures(
        rated_cost_nano_usd(rates, usage),
        hold_nano_usd(rates, bounds),
        output_tokens_that_fit(rates, available, bounds),
    )


async def figures_in_sql(connection: Connection, cases: Sequence[Case]) -> list[Figures]:
    """The figures of the database's functions, by one statement. The prices are taken back afterwards."""
    listings = [
        Listing(**_columns(case.rates), model=f"case/{place}", source="a test")
        for place, case in enumerate(cases)
        if case.rates
    ]
    rows = [
        {
            "place": place,
            "model": f"case/{place}",
            "available": case.available_nano_usd,
            **_columns(case.usage),
            **_columns(case.bounds),
        }
        for place, case in enumerate(cases)
    ]
    undo = connection.transaction()
    await undo.start()
    try:
        await enter_prices(connection, listings, author="a test")
        found = await connection.fetch(_FIGURES, rows)
    finally:
        await undo.rollback()
    return [Figures(row["cost"], row["hold"], row["fits"]) for row in found]


def _columns(values: Rates | Usage | CallBounds) -> dict[str, Any]:
    return {field.name: getattr(values, field.name) for field in fields(values)}
