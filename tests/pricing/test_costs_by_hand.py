"""I12: the cost of a call, calculated by hand to the nano-dollar, from Authorize to the budget.

CreatePrice takes prices in nano-USD per million tokens; comments calculate in nano-USD a token.
"""

from __future__ import annotations

import pytest

from infin8.governor.v1 import budget_pb2, entry_pb2
from infin8.governor.v1.budget_service_pb2 import SetBudgetRequest
from infin8.governor.v1.pricing_service_pb2 import CreatePriceRequest
from tests.governor.conftest import SONAR, Governor, governor, refusal

pytestmark = pytest.mark.own_world

__all__ = ["governor"]

MODEL = "vendor/model"
LIMIT_MAX = 10**17


async def enter(governor: Governor, **components: int) -> None:
    """Creates a price of MODEL, in force from now on."""
    price = CreatePriceRequest(model=MODEL, allow_unusual=True)
    for name, value in components.items():
        setattr(price, "request_nano_usd" if name == "request" else f"{name}_nano_usd_per_mtok", value)
    await governor.prices.CreatePrice(price)


async def open_limits(governor: Governor) -> None:
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


async def settled(governor: Governor, usage: entry_pb2.Usage, *, held_nano_usd: int) -> entry_pb2.LedgerEntry:
    """The entry of one call; asserts that the budgets spent its cost and the rest was released."""
    authorization = await governor.authorize(models=[MODEL])
    assert authorization.held_nano_usd == held_nano_usd
    settlement = await governor.settle(authorization, usage)
    entry = settlement.entry
    assert settlement.released_nano_usd == max(held_nano_usd - entry.cost_nano_usd, 0)
    for budget in (await governor.workflow_budget(), await governor.month_budget()):
        assert (budget.spent_nano_usd, budget.held_nano_usd) == (entry.cost_nano_usd, 0)
    (row,) = await governor.sql("SELECT cost::text AS usd FROM ai_usage_ledger")
    assert row["usd"] == f"{entry.cost_nano_usd // 10**9}.{entry.cost_nano_usd % 10**9:09d}"
    return entry


async def test_cached_tokens(governor: Governor) -> None:
    """Cached tokens are subtracted from the input and have their own price."""
    # 3,000.0007 a token, 300.0003 from the cache, 15,000 out. Held: 1,000 × 3,000.0007 + 700 × 15,000
    # = 3,000,000.7 + 10,500,000, rounded up.
    await enter(governor, input=3_000_000_700, cached_input=300_000_300, output=15_000_000_000)
    usage = entry_pb2.Usage(input_tokens=1000, cached_input_tokens=999, output_tokens=10, requests=1)
    # 1 × 3,000.0007 + 999 × 300.0003 + 10 × 15,000 = 3,000.0007 + 299,700.2997 + 150,000 = 452,700.3004.
    entry = await settled(governor, usage, held_nano_usd=13_500_001)
    assert entry.cost_nano_usd == entry.rated_cost_nano_usd == 452_701


async def test_cached_tokens_without_a_price_of_their_own(governor: Governor) -> None:
    """Without a price they cost as much as input; at a price of 0 they cost nothing."""
    await enter(governor, input=3_000_000_000, output=15_000_000_000)
    usage = entry_pb2.Usage(input_tokens=1000, cached_input_tokens=999, output_tokens=10, requests=1)
    # 1,000 × 3,000 + 10 × 15,000.
    assert (await settled(governor, usage, held_nano_usd=13_500_000)).cost_nano_usd == 3_150_000
    await enter(governor, input=3_000_000_000, cached_input=0, output=15_000_000_000)
    second = await governor.settle(await governor.authorize(models=[MODEL]), usage)
    # 1 × 3,000 + 999 × 0 + 10 × 15,000.
    assert second.entry.cost_nano_usd == 153_000


async def test_cache_writes(governor: Governor) -> None:
    """Cache writes are subtracted from the input too; as the dearest kind they set the hold."""
    # Held: 1,000 × 3,750 + 700 × 15,000.
    await enter(
        governor,
        input=3_000_000_000,
        cached_input=300_000_000,
        cache_write=3_750_000_000,
        output=15_000_000_000,
    )
    usage = entry_pb2.Usage(
        input_tokens=1000, cached_input_tokens=100, cache_write_tokens=800, output_tokens=1, requests=1
    )
    # 100 × 3,000 + 100 × 300 + 800 × 3,750 + 1 × 15,000 = 300,000 + 30,000 + 3,000,000 + 15,000.
    assert (await settled(governor, usage, held_nano_usd=14_250_000)).cost_nano_usd == 3_345_000


async def test_all_input_written_to_the_cache_costs_no_more_than_the_hold(governor: Governor) -> None:
    """The whole input as cache writes is the dearest call that was granted."""
    await enter(governor, input=1_000_000, cache_write=1_500_001, output=2_000_000, reasoning=2_500_001)
    usage = entry_pb2.Usage(
        input_tokens=1000, cache_write_tokens=1000, output_tokens=700, reasoning_tokens=700, requests=1
    )
    # 1,000 × 1.500001 + 700 × 2.500001 = 1,500.001 + 1,750.0007 = 3,250.0017.
    entry = await settled(governor, usage, held_nano_usd=3_251)
    assert (entry.cost_nano_usd, entry.overage_nano_usd) == (3_251, 0)


async def test_reasoning_tokens(governor: Governor) -> None:
    """Reasoning tokens are subtracted from the output and have their own price, higher or lower."""
    # Held: 1,000 × 2,000 + 700 × 8,000.
    await enter(governor, input=2_000_000_000, output=8_000_000_000, reasoning=3_000_000_000)
    usage = entry_pb2.Usage(input_tokens=7, output_tokens=700, reasoning_tokens=650, requests=1)
    # 7 × 2,000 + 50 × 8,000 + 650 × 3,000 = 14,000 + 400,000 + 1,950,000.
    assert (await settled(governor, usage, held_nano_usd=7_600_000)).cost_nano_usd == 2_364_000


async def test_request_fees(governor: Governor) -> None:
    """Each request costs its fee; no requests count as one; requests beyond the held ones are overage."""
    # Held: 1,000 × 1 + 700 × 1 + 12,000,000.
    await enter(governor, input=1_000_000, output=1_000_000, request=12_000_000)
    usage = entry_pb2.Usage(input_tokens=10, output_tokens=5, requests=0)
    assert (await settled(governor, usage, held_nano_usd=12_001_700)).cost_nano_usd == 12_000_015
    usage.requests = 1
    one = await governor.settle(await governor.authorize(models=[MODEL]), usage)
    assert one.entry.cost_nano_usd == 12_000_015
    usage.requests = 3
    three = await governor.authorize(models=[MODEL], requests_max=3)
    assert three.held_nano_usd == 36_001_700
    assert (await governor.settle(three, usage)).entry.cost_nano_usd == 36_000_015
    beyond = await governor.settle(await governor.authorize(models=[MODEL]), usage)
    assert beyond.entry.cost_nano_usd == 36_000_015
    assert beyond.entry.overage_nano_usd == 36_000_015 - 12_001_700


async def test_a_request_fee_alone(governor: Governor) -> None:
    """A price may consist of the fee alone."""
    await enter(governor, request=5_000_000)
    usage = entry_pb2.Usage(input_tokens=1000, output_tokens=700, requests=1)
    assert (await settled(governor, usage, held_nano_usd=5_000_000)).cost_nano_usd == 5_000_000


@pytest.mark.parametrize(
    ("provider_cost", "cost", "overage"),
    [
        (1, 1, 0),
        # The provider's 0 is not believed: a missing price does not make a model free.
        (0, 2_400_000, 0),
        (2_400_001, 2_400_001, 1),
        (123_456_789, 123_456_789, 121_056_789),
    ],
)
async def test_a_model_that_only_the_provider_priced(
    governor: Governor, provider_cost: int, cost: int, overage: int
) -> None:
    """The provider's cost is charged, or the hold where that is 0; the usage is never rated."""
    authorization = await governor.authorize()
    settlement = await governor.settle(
        authorization,
        entry_pb2.Usage(input_tokens=1, output_tokens=1, requests=1),
        served_model="nobody/unheard-of",
        provider_cost_nano_usd=provider_cost,
    )
    entry = settlement.entry
    assert (entry.cost_nano_usd, entry.rated_cost_nano_usd) == (cost, 0)
    assert (entry.overage_nano_usd, entry.provider_cost_nano_usd) == (overage, provider_cost)
    assert entry.price_id == ""
    assert (await governor.workflow_budget()).spent_nano_usd == cost


async def test_the_providers_cost_of_a_priced_model(governor: Governor) -> None:
    """The provider's cost is charged where it is greater, e.g. for a search fee that has no price."""
    # Sonar in the document: 600 × 1,000 + 100 × 2,000.
    settlement = await governor.settle(
        await governor.authorize(),
        entry_pb2.Usage(input_tokens=600, output_tokens=100, requests=1),
        provider_cost_nano_usd=800_001,
    )
    assert (settlement.entry.cost_nano_usd, settlement.entry.rated_cost_nano_usd) == (800_001, 800_000)


async def test_a_price_that_changed_in_flight(governor: Governor) -> None:
    """The hold is settled at the price of its authorization, and the next hold has the new price."""
    await enter(governor, input=1_000_000_000, output=2_000_000_000)
    before = await governor.authorize(models=[MODEL])
    await enter(governor, input=1_000_000_007, output=2_000_000_000, request=1)
    after = await governor.authorize(models=[MODEL])
    usage = entry_pb2.Usage(input_tokens=1000, output_tokens=700, requests=1)
    # 1,000 × 1,000 + 700 × 2,000.
    assert before.held_nano_usd == 2_400_000
    assert (await governor.settle(before, usage)).entry.cost_nano_usd == 2_400_000
    # 1,000 × 1,000.000007 + 700 × 2,000 = 2,400,000.007, rounded up, and 1 for the request.
    assert after.held_nano_usd == 2_400_002
    assert (await governor.settle(after, usage)).entry.cost_nano_usd == 2_400_002


async def test_the_largest_usage_allowed(governor: Governor) -> None:
    """10⁹ tokens each way in 10⁶ requests, at prices that give exactly the largest entry."""
    await open_limits(governor)
    # 10⁹ × 100,000 + 10⁹ × 300,000 + 10⁶ × 600,000,000 = 10¹⁴ + 3 × 10¹⁴ + 6 × 10¹⁴.
    await enter(governor, input=10**11, output=3 * 10**11, request=6 * 10**8)
    most = {"models": [MODEL], "input_tokens_max": 10**9, "output_tokens_max": 10**9, "requests_max": 10**6}
    usage = entry_pb2.Usage(
        input_tokens=10**9,
        cached_input_tokens=5 * 10**8,
        cache_write_tokens=5 * 10**8,
        output_tokens=10**9,
        reasoning_tokens=10**9,
        requests=10**6,
    )
    authorization = await governor.authorize(**most)
    assert authorization.held_nano_usd == 10**15
    settlement = await governor.settle(authorization, usage)
    assert (settlement.entry.cost_nano_usd, settlement.released_nano_usd) == (10**15, 0)
    # With a tiny hold nearly all of it is overage: 10¹⁵ − (100,000 + 300,000 + 600,000,000).
    small = await governor.authorize(models=[MODEL], input_tokens_max=1, output_tokens_max=1)
    beyond = await governor.settle(small, usage)
    assert beyond.entry.cost_nano_usd == 10**15
    assert beyond.entry.overage_nano_usd == 10**15 - 600_400_000
    assert (await governor.month_budget()).spent_nano_usd == 2 * 10**15

    # A thousandth of a nano-dollar more per token is 10⁶ nano-USD more than an entry can have.
    await enter(governor, input=10**11, output=3 * 10**11 + 1_000, request=6 * 10**8)
    assert (await refusal(governor.authorize(**most))).reason == "VALUE_TOO_LARGE"
    held = await governor.authorize(models=[MODEL], input_tokens_max=1, output_tokens_max=1)
    assert (await refusal(governor.settle(held, usage))).reason == "VALUE_TOO_LARGE"
    assert (await governor.month_budget()).held_nano_usd == held.held_nano_usd


async def test_one_token_of_each_kind_at_the_finest_prices(governor: Governor) -> None:
    """Fractions are added before they are rounded once: five millionths cost one nano-dollar."""
    await enter(governor, input=1, cached_input=1, cache_write=1, output=1, reasoning=1)
    usage = entry_pb2.Usage(
        input_tokens=3,
        cached_input_tokens=1,
        cache_write_tokens=1,
        output_tokens=2,
        reasoning_tokens=1,
        requests=1,
    )
    assert (await settled(governor, usage, held_nano_usd=1)).cost_nano_usd == 1


async def test_sonar_in_the_document(governor: Governor) -> None:
    """At 0.001 USD for 1,000 input tokens and 0.002 for output, 600 and 100 tokens cost 0.0008 USD."""
    settlement = await governor.settle(
        await governor.authorize(models=[SONAR]),
        entry_pb2.Usage(input_tokens=600, output_tokens=100, requests=1),
    )
    assert settlement.entry.cost_nano_usd == 800_000
