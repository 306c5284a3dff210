"""The cost that a settlement charges, to the nano-dollar."""

from __future__ import annotations

import pytest

from infin8.governor.v1 import entry_pb2
from tests.governor.conftest import SONAR, Governor, refusal

HOLD = 2_400_000
USAGE = entry_pb2.Usage(input_tokens=600, output_tokens=100, requests=1)
COST = 800_000


async def charged(
    governor: Governor, usage: entry_pb2.Usage | None = USAGE, **changes: object
) -> tuple[int, int, int, set[str]]:
    """Cost, rated cost, overage and flags of one settled call of sonar with a hold of 2,400,000."""
    settled = await governor.settle(await governor.authorize(), usage, **changes)
    entry = settled.entry
    assert entry.cost_nano_usd + settled.released_nano_usd == entry.held_nano_usd + entry.overage_nano_usd
    flags = {entry_pb2.EntryFlag.Name(flag).removeprefix("ENTRY_FLAG_") for flag in entry.flags}
    return entry.cost_nano_usd, entry.rated_cost_nano_usd, entry.overage_nano_usd, flags


async def test_the_providers_cost_counts_where_it_is_greater(governor: Governor) -> None:
    """Both costs are stored, and a difference beyond 1 percent is flagged."""
    assert await charged(governor, provider_cost_nano_usd=COST + 8_000) == (COST + 8_000, COST, 0, set())
    assert await charged(governor, provider_cost_nano_usd=COST + 8_001) == (
        COST + 8_001,
        COST,
        0,
        {"PROVIDER_VARIANCE"},
    )


async def test_the_rated_cost_counts_where_it_is_greater(governor: Governor) -> None:
    """A provider's lower cost does not reduce the charge."""
    assert await charged(governor, provider_cost_nano_usd=1) == (COST, COST, 0, {"PROVIDER_VARIANCE"})


async def test_cost_above_the_hold_is_posted_in_full(governor: Governor) -> None:
    """The cost is flagged, and counts against the next calls."""
    await governor.set_workflow_limit(HOLD)
    usage = entry_pb2.Usage(input_tokens=1000, output_tokens=1000, requests=1)
    assert await charged(governor, usage) == (3_000_000, 3_000_000, 600_000, {"OVERAGE"})
    budget = await governor.workflow_budget()
    assert (budget.spent_nano_usd, budget.available_nano_usd) == (3_000_000, 0)
    assert budget.unguarded_nano_usd == 600_000
    assert (await refusal(governor.authorize(input_tokens_max=1, output_tokens_max=1))).reason == (
        "BUDGET_EXCEEDED"
    )


async def test_another_model_that_served_is_rated_as_served(governor: Governor) -> None:
    """600 × 150 + 100 × 600 of gpt-4o-mini are charged, with a flag."""
    assert await charged(governor, served_model="openai/gpt-4o-mini-2024-07-18") == (
        150_000,
        150_000,
        0,
        {"MODEL_DRIFT"},
    )


@pytest.mark.parametrize("served", ["perplexity/sonar:online", "Perplexity/Sonar", ""])
async def test_a_variant_of_the_granted_model_is_no_drift(governor: Governor, served: str) -> None:
    """Names are compared in canonical form."""
    assert await charged(governor, served_model=served) == (COST, COST, 0, set())


async def test_an_unpriced_model_that_served_costs_what_the_provider_says(governor: Governor) -> None:
    """Without a provider's cost, or where that is 0, the hold is charged."""
    flags = {"MODEL_DRIFT", "UNPRICED_MODEL"}
    assert await charged(governor, served_model="nobody/nothing") == (HOLD, 0, 0, flags)
    for reported, cost in ((0, HOLD), (1, 1)):
        assert await charged(governor, served_model="nobody/nothing", provider_cost_nano_usd=reported) == (
            cost,
            0,
            0,
            flags,
        )
    assert await charged(governor, served_model="nobody/nothing", provider_cost_nano_usd=5_000_000) == (
        5_000_000,
        0,
        2_600_000,
        flags | {"OVERAGE"},
    )


async def test_unknown_with_a_providers_cost(governor: Governor) -> None:
    """The provider's cost is charged, below the hold, above it, and even if it is 0; the hold without one."""
    for cost, overage, flags in (
        (COST, 0, {"USAGE_UNKNOWN"}),
        (HOLD + 1, 1, {"USAGE_UNKNOWN", "OVERAGE"}),
        (0, 0, {"USAGE_UNKNOWN"}),
    ):
        assert await charged(governor, None, provider_cost_nano_usd=cost) == (cost, 0, overage, flags)
    assert await charged(governor, None) == (HOLD, 0, 0, {"UNKNOWN_OUTCOME"})


@pytest.mark.own_world
async def test_a_fraction_of_a_nano_dollar_rounds_up(governor: Governor) -> None:
    """1 token at 0.15 nano-USD costs 1 nano-USD."""
    await governor.price("test/tiny", 150_000)
    held = await governor.authorize(models=["test/tiny"], input_tokens_max=1, output_tokens_max=1)
    assert held.held_nano_usd == 1
    settled = await governor.settle(held, entry_pb2.Usage(input_tokens=1, requests=1))
    assert settled.entry.cost_nano_usd == 1


@pytest.mark.own_world
async def test_a_price_that_changed_in_flight_does_not_count(governor: Governor) -> None:
    """The hold keeps its price, and the next hold has the new one."""
    held = await governor.authorize()
    await governor.price(SONAR, 5_000_000_000, since="now")
    settled = await governor.settle(held, USAGE)
    assert (settled.entry.cost_nano_usd, settled.entry.price_id) == (COST, held.price.price_id)
    assert (await governor.authorize()).held_nano_usd == 1700 * 5000


@pytest.mark.own_world
async def test_a_cost_above_what_an_entry_takes_is_refused_and_the_hold_stays(governor: Governor) -> None:
    """10⁹ + 10⁹ tokens at 10,000 USD a million are more than 10¹⁵ nano-USD."""
    await governor.price("test/dear", 10**13)
    held = await governor.authorize(models=["test/dear"], input_tokens_max=1, output_tokens_max=1)
    usage = entry_pb2.Usage(input_tokens=10**9, output_tokens=10**9, requests=1)
    assert (await refusal(governor.settle(held, usage))).reason == "VALUE_TOO_LARGE"
    assert (await governor.workflow_budget()).held_nano_usd == held.held_nano_usd
    assert await governor.entries() == []


@pytest.mark.own_world
async def test_an_entry_counts_in_its_holds_month(governor: Governor) -> None:
    """A hold of last month that is settled today changes last month's budget."""
    held = await governor.authorize()
    await governor.sql("UPDATE authorizations SET month = '2026-01', budget_keys[1] = 'month/2026-01'")
    await governor.sql("UPDATE budgets SET budget_key = 'month/2026-01' WHERE budget_key LIKE 'month/%'")
    settled = await governor.settle(held, USAGE)
    assert settled.entry.period_start.ToJsonString() == "2026-01-01T00:00:00Z"
    assert (await governor.month_budget()).spent_nano_usd == 0
    assert (await governor.authorize()).period_start != settled.entry.period_start
