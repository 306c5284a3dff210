"""I12: what calls cost by tier, cache lifetime and unit, calculated by hand, from Authorize to the budget."""

from __future__ import annotations

import pytest

from infin8.governor.v1 import entry_pb2
from infin8.governor.v1.governor_service_pb2 import RecordUsageRequest
from infin8.governor.v1.pricing_service_pb2 import EstimateCostRequest, ModelUsage
from tests.governor.conftest import Governor, governor, new_id, refusal
from tests.ledger.conftest import flags, violations
from tests.pricing.tariffs import SONNET, SONNET_RATES, TOKEN, charged, enter, open_limits, rate

pytestmark = pytest.mark.own_world

__all__ = ["governor"]


@pytest.fixture
async def sonnet(governor: Governor) -> Governor:
    """A governor with the tiered price of SONNET and without narrow limits."""
    await enter(governor, **SONNET_RATES)
    await open_limits(governor)
    return governor


async def test_cached_and_written_input(governor: Governor) -> None:
    """1 token of input beside 1,190 into the cache and 32,634 out of it, 33,825 in all, and 672 of output."""
    await enter(
        governor,
        input_nano_usd_per_mtok=3_300 * TOKEN,
        cache_write_nano_usd_per_mtok=4_125 * TOKEN,
        cached_input_nano_usd_per_mtok=330 * TOKEN,
        output_nano_usd_per_mtok=16_500 * TOKEN,
    )
    usage = entry_pb2.Usage(
        input_tokens=33_825, cache_write_tokens=1_190, cached_input_tokens=32_634, output_tokens=672
    )
    # 1 × 3,300 + 1,190 × 4,125 + 32,634 × 330 + 672 × 16,500
    # = 3,300 + 4,908,750 + 10,769,220 + 11,088,000.
    assert (await charged(governor, usage)).cost_nano_usd == 26_769_270


async def test_parts_above_their_whole(sonnet: Governor) -> None:
    """Of 15,460 input tokens, 19,810 cannot have been written to the cache."""
    held = await sonnet.authorize(models=[SONNET], input_tokens_max=20_000)
    usage = entry_pb2.Usage(input_tokens=15_460, cache_write_tokens=19_810)
    refused = await refusal(sonnet.settle(held, usage))
    assert refused.reason == "INVALID_FIELD"
    assert [violation.field for violation in refused.fields] == ["usage.cache_write_tokens"]
    assert (await sonnet.workflow_budget()).held_nano_usd == held.held_nano_usd


@pytest.mark.parametrize(
    ("written", "for_an_hour", "cost"),
    [
        # 37,175 × 3,750
        (37_175, 0, 139_406_250),
        # 37,175 × 6,000
        (37_175, 37_175, 223_050_000),
        # 37,175 × 3,750 + 37,175 × 6,000
        (74_350, 37_175, 362_456_250),
    ],
)
async def test_cache_writes_of_two_lifetimes(
    sonnet: Governor, written: int, for_an_hour: int, cost: int
) -> None:
    """What is written for an hour has its own rate, and is taken out of the other writes."""
    usage = entry_pb2.Usage(
        input_tokens=written, cache_write_tokens=written, cache_write_1h_tokens=for_an_hour
    )
    entry = await charged(sonnet, usage)
    assert (entry.cost_nano_usd, entry.usage.cache_write_1h_tokens) == (cost, for_an_hour)


async def test_a_long_call_with_everything(sonnet: Governor) -> None:
    """734,311 input tokens, of which 426,653 are cached, 31,490 written for five minutes and 152,967 for an
    hour; five web searches, and 2,048 tokens of output."""
    usage = entry_pb2.Usage(
        input_tokens=734_311,
        cached_input_tokens=426_653,
        cache_write_tokens=184_457,
        cache_write_1h_tokens=152_967,
        output_tokens=2_048,
        other_units={"web_searches": 5},
    )
    bounds = {"web_searches": 5}
    entry = await charged(sonnet, usage, other_units_max=bounds)
    # 123,201 × 6,000 + 426,653 × 600 + 31,490 × 7,500 + 152,967 × 12,000 + 5 × 10,000,000 + 2,048 × 22,500
    # = 739,206,000 + 255,991,800 + 236,175,000 + 1,835,604,000 + 50,000,000 + 46,080,000.
    assert entry.cost_nano_usd == 3_163_056_800
    assert entry.usage == usage
    assert await violations(sonnet) == []


@pytest.mark.parametrize(
    ("input_tokens", "cost"),
    [
        # 199,999 × 3,000 + 10 × 15,000
        (199_999, 600_147_000),
        # 200,000 × 3,000 + 10 × 15,000
        (200_000, 600_150_000),
        # 200,001 × 6,000 + 10 × 22,500: the tier is the whole call's.
        (200_001, 1_200_231_000),
    ],
)
async def test_the_edge_of_a_tier(sonnet: Governor, input_tokens: int, cost: int) -> None:
    """The tier's rates apply to the whole of a call with more input tokens than the threshold."""
    usage = entry_pb2.Usage(input_tokens=input_tokens, output_tokens=10)
    assert (await charged(sonnet, usage)).cost_nano_usd == cost


async def test_cached_input_counts_for_the_tier(sonnet: Governor) -> None:
    """The tier is that of all input tokens, cached ones included."""
    usage = entry_pb2.Usage(input_tokens=200_001, cached_input_tokens=200_000)
    # 1 × 6,000 + 200,000 × 600.
    assert (await charged(sonnet, usage)).cost_nano_usd == 120_006_000


async def test_audio_and_what_it_shares_with_the_cache(governor: Governor) -> None:
    """Audio is input, cached audio is both, and each token is charged once."""
    await enter(
        governor,
        input_nano_usd_per_mtok=1_000 * TOKEN,
        cached_input_nano_usd_per_mtok=100 * TOKEN,
        output_nano_usd_per_mtok=4_000 * TOKEN,
        rates=[
            rate("input_audio_tokens", 10_000 * TOKEN),
            rate("cache_audio_read_tokens", 2_500 * TOKEN),
        ],
    )
    usage = entry_pb2.Usage(
        input_tokens=1_000,
        cached_input_tokens=500,
        output_tokens=1,
        other_units={"input_audio_tokens": 300, "cache_audio_read_tokens": 120},
    )
    # Neither 320, cached text 380, audio 180, cached audio 120:
    # 320 × 1,000 + 380 × 100 + 180 × 10,000 + 120 × 2,500 + 1 × 4,000.
    entry = await charged(governor, usage, other_units_max=usage.other_units)
    assert entry.cost_nano_usd == 320_000 + 38_000 + 1_800_000 + 300_000 + 4_000


async def test_a_fraction_is_rounded_up_once(governor: Governor) -> None:
    """A search at a third of a nano-USD and a token at a half cost one nano-USD together."""
    await enter(
        governor,
        input_nano_usd_per_mtok=500_000,
        output_nano_usd_per_mtok=1,
        rates=[rate("web_searches", 1, per=3)],
    )
    usage = entry_pb2.Usage(input_tokens=1, other_units={"web_searches": 1})
    assert (await charged(governor, usage, other_units_max={"web_searches": 1})).cost_nano_usd == 1
    usage.other_units["web_searches"] = 2
    # 1/2 + 2/3 = 7/6.
    assert (await charged(governor, usage, other_units_max={"web_searches": 2})).cost_nano_usd == 2


async def test_without_a_hold_and_as_an_estimate(sonnet: Governor) -> None:
    """RecordUsage and EstimateCost rate alike."""
    usage = entry_pb2.Usage(
        input_tokens=200_001, cache_write_tokens=7, cache_write_1h_tokens=3, other_units={"web_searches": 2}
    )
    # 199,994 × 6,000 + 4 × 7,500 + 3 × 12,000 + 2 × 10,000,000.
    cost = 1_199_964_000 + 30_000 + 36_000 + 20_000_000
    entry = await sonnet.stub.RecordUsage(
        RecordUsageRequest(
            organization_id=sonnet.organization_id,
            workflow_id=sonnet.workflow_id,
            request_id=new_id(),
            served_model=SONNET,
            usage=usage,
        )
    )
    usage.requests = entry.usage.requests
    assert (entry.cost_nano_usd, entry.usage, flags(entry)) == (cost, usage, {"UNGUARDED"})
    estimate = await sonnet.prices.EstimateCost(
        EstimateCostRequest(usage=ModelUsage(model=SONNET, usage=usage))
    )
    assert estimate.cost_nano_usd == cost
    month = await sonnet.prices.EstimateCost(
        EstimateCostRequest(organization_id=sonnet.organization_id, period_start=entry.create_time)
    )
    assert (month.cost_nano_usd, month.charged_nano_usd) == (cost, cost)
