"""A price with tiers and units, as CreatePrice takes it, and helpers for tests of what calls cost."""

from __future__ import annotations

from typing import Any

from infin8.governor.v1 import budget_pb2, entry_pb2, price_pb2
from infin8.governor.v1.budget_service_pb2 import SetBudgetRequest
from infin8.governor.v1.price_pb2 import Rate
from infin8.governor.v1.pricing_service_pb2 import CreatePriceRequest
from tests.governor.conftest import Governor

MTOK, TOKEN = 10**6, 10**6
"""Rates are for a million tokens: so many nano-USD × TOKEN are that for one token."""
LIMIT_MAX = 10**17
SONNET = "vendor/sonnet"


def rate(unit: str, nano_usd: int, *, above: int = 0, per: int = MTOK) -> Rate:
    return Rate(unit=unit, per=per, nano_usd=nano_usd, input_tokens_above=above)


# Nano-USD a token, up to 200,000 input tokens and above: input 3,000 and 6,000, from the cache 300 and 600,
# into it 3,750 and 7,500, for an hour 6,000 and 12,000; output 15,000 and 22,500. A search costs 10,000,000.
SONNET_RATES: dict[str, Any] = {
    "input_nano_usd_per_mtok": 3_000 * TOKEN,
    "cached_input_nano_usd_per_mtok": 300 * TOKEN,
    "cache_write_nano_usd_per_mtok": 3_750 * TOKEN,
    "output_nano_usd_per_mtok": 15_000 * TOKEN,
    "rates": [
        rate("cache_write_1h_tokens", 6_000 * TOKEN),
        rate("web_searches", 10 * 10**9, per=1000),
        rate("input_tokens", 6_000 * TOKEN, above=200_000),
        rate("cache_read_tokens", 600 * TOKEN, above=200_000),
        rate("cache_write_tokens", 7_500 * TOKEN, above=200_000),
        rate("cache_write_1h_tokens", 12_000 * TOKEN, above=200_000),
        rate("output_tokens", 22_500 * TOKEN, above=200_000),
    ],
}


async def enter(governor: Governor, **fields: Any) -> price_pb2.Price:
    """Adds a version of a price, of SONNET and in force from now on unless the fields say otherwise."""
    return await governor.prices.CreatePrice(CreatePriceRequest(**({"model": SONNET} | fields)))


async def open_limits(governor: Governor) -> None:
    """The highest limits for the workflow and the month."""
    for scope, subject in (
        (budget_pb2.BUDGET_SCOPE_WORKFLOW, governor.workflow_id),
        (budget_pb2.BUDGET_SCOPE_ORGANIZATION, ""),
    ):
        await governor.budgets.SetBudget(
            SetBudgetRequest(
                organization_id=governor.organization_id,
                scope=scope,
                subject=subject,
                limit_nano_usd=LIMIT_MAX,
            )
        )


async def charged(
    governor: Governor, usage: entry_pb2.Usage, *, model: str = SONNET, **bounds: Any
) -> entry_pb2.LedgerEntry:
    """The entry of one call with that usage; asserts that the budgets spent what it costs."""
    before = (await governor.workflow_budget()).spent_nano_usd
    fields = {
        "input_tokens_max": max(usage.input_tokens, 1),
        "output_tokens_max": max(usage.output_tokens, 1),
    }
    held = await governor.authorize(models=[model], **(fields | bounds))
    entry = (await governor.settle(held, usage)).entry
    for budget in (await governor.workflow_budget(), await governor.month_budget()):
        assert (budget.spent_nano_usd, budget.held_nano_usd) == (before + entry.cost_nano_usd, 0)
    assert entry.cost_nano_usd == entry.rated_cost_nano_usd
    return entry
