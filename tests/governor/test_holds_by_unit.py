"""A hold is what a call within its bounds can cost: by tier, unit, cache writes and variant of the price."""

from __future__ import annotations

from typing import Any

import pytest

from infin8.governor.v1 import authorization_pb2, entry_pb2
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from tests.budgets.conftest import check_budget
from tests.governor.conftest import Governor, new_id, refusal
from tests.ledger.conftest import flags, violations
from tests.pricing.tariffs import SONNET, SONNET_RATES, TOKEN, enter, open_limits, rate

pytestmark = pytest.mark.own_world

BATCH, PRIORITY = {"processing": "batch"}, {"processing": "priority"}


@pytest.fixture
async def sonnet(governor: Governor) -> Governor:
    """A governor with the tiered price of SONNET and without narrow limits."""
    await enter(governor, **SONNET_RATES)
    await open_limits(governor)
    return governor


async def hold(governor: Governor, **bounds: Any) -> authorization_pb2.Authorization:
    """A hold for SONNET; CheckBudget must estimate the same."""
    fields = {"models": [SONNET], "input_tokens_max": 1_000, "output_tokens_max": 10} | bounds
    check = await check_budget(governor, **fields)
    held = await governor.authorize(**fields)
    assert (check.allowed, check.estimated_nano_usd) == (True, held.held_nano_usd)
    return held


@pytest.mark.parametrize(
    ("bounds", "nano_usd"),
    [
        # Any input token may be written to the cache for an hour: 1,000 × 6,000 + 10 × 15,000.
        ({}, 6_150_000),
        # 1,000 × 3,000 + 10 × 15,000.
        ({"cache_write_tokens_max": 0}, 3_150_000),
        # 1,000 × 3,750 + 10 × 15,000.
        ({"cache_write_1h_tokens_max": 0}, 3_900_000),
        # 100 × 6,000 + 300 × 3,750 + 600 × 3,000 + 10 × 15,000.
        ({"cache_write_tokens_max": 400, "cache_write_1h_tokens_max": 100}, 3_675_000),
        # A bound above the input is no bound.
        ({"cache_write_tokens_max": 2_000}, 6_150_000),
        # 1,000 × 6,000 + 10 × 15,000 + 3 × 10,000,000.
        ({"other_units_max": {"web_searches": 3}}, 36_150_000),
        # A unit without a rate costs what it is part of: it changes nothing.
        ({"other_units_max": {"input_audio_tokens": 500}}, 6_150_000),
        # 200,000 × 6,000 + 10 × 15,000.
        ({"input_tokens_max": 200_000}, 1_200_150_000),
        # The tier is in reach: 200,001 × 12,000 + 10 × 22,500.
        ({"input_tokens_max": 200_001}, 2_400_237_000),
    ],
)
async def test_bounds(sonnet: Governor, bounds: dict[str, Any], nano_usd: int) -> None:
    """Bounds make a hold smaller or larger, and are part of the authorization."""
    held = await hold(sonnet, **bounds)
    assert held.held_nano_usd == nano_usd
    assert held.HasField("cache_write_tokens_max") == ("cache_write_tokens_max" in bounds)
    assert held.cache_write_tokens_max == bounds.get("cache_write_tokens_max", 0)
    assert held.cache_write_1h_tokens_max == bounds.get("cache_write_1h_tokens_max", 0)
    assert dict(held.other_units_max) == bounds.get("other_units_max", {})
    found = await sonnet.stub.GetAuthorization(
        governor_pb2.GetAuthorizationRequest(
            organization_id=sonnet.organization_id, authorization_id=held.authorization_id
        )
    )
    assert found == held
    # A variant is decided one by one, not as a set: the hold is the same.
    one_by_one = await hold(sonnet, **bounds, price_context=BATCH)
    assert one_by_one.held_nano_usd == nano_usd
    assert await violations(sonnet) == []


async def test_the_dearest_tier_that_is_in_reach(governor: Governor) -> None:
    """Where long calls are cheaper, the hold is that of the longest call that is not."""
    await enter(
        governor,
        input_nano_usd_per_mtok=10 * TOKEN,
        output_nano_usd_per_mtok=10 * TOKEN,
        rates=[rate("input_tokens", 1 * TOKEN, above=1_000), rate("output_tokens", 1 * TOKEN, above=1_000)],
    )
    # 1,000 × 10 + 10 × 10, although 5,000 input tokens cost 5,010.
    held = await hold(governor, input_tokens_max=5_000)
    assert held.held_nano_usd == 10_100
    within = await governor.settle(held, entry_pb2.Usage(input_tokens=1_000, output_tokens=10))
    assert (within.entry.cost_nano_usd, within.entry.overage_nano_usd) == (10_100, 0)


async def test_no_usage_within_the_bounds_is_overage(sonnet: Governor) -> None:
    """All of what is bounded costs exactly the hold; a unit without a bound is overage."""
    bounds = {
        "cache_write_tokens_max": 400,
        "cache_write_1h_tokens_max": 100,
        "other_units_max": {"web_searches": 1},
    }
    usage = entry_pb2.Usage(
        input_tokens=1_000,
        cache_write_tokens=400,
        cache_write_1h_tokens=100,
        output_tokens=10,
        other_units={"web_searches": 1},
    )
    within = (await sonnet.settle(await hold(sonnet, **bounds), usage)).entry
    assert (within.cost_nano_usd, within.overage_nano_usd) == (13_675_000, 0)
    beyond = (await sonnet.settle(await hold(sonnet), usage)).entry
    # The hold had room for all input written for an hour, but for no search.
    assert (beyond.cost_nano_usd, beyond.held_nano_usd) == (13_675_000, 6_150_000)
    assert (beyond.overage_nano_usd, flags(beyond)) == (7_525_000, {"OVERAGE"})
    assert (await sonnet.workflow_budget()).unguarded_nano_usd == 7_525_000


async def test_fewer_output_tokens_of_a_tiered_model(sonnet: Governor) -> None:
    """What does not fit in full is granted with as many output tokens as fit beside the dearest input."""
    await sonnet.set_workflow_limit(2_400_012_000 + 7 * 22_500 + 22_499)
    held = await sonnet.authorize(
        models=[SONNET], input_tokens_max=200_001, output_tokens_max=1_000, output_tokens_min=1
    )
    assert (held.output_tokens_max, held.held_nano_usd) == (7, 2_400_012_000 + 7 * 22_500)
    await sonnet.void(held)
    refused = await refusal(
        sonnet.authorize(
            models=[SONNET], input_tokens_max=200_001, output_tokens_max=1_000, output_tokens_min=8
        )
    )
    assert refused.reason == "BUDGET_EXCEEDED"
    assert refused.metadata["requested_nano_usd"] == str(2_400_012_000 + 1_000 * 22_500)


@pytest.fixture
async def variants(governor: Governor) -> Governor:
    """A governor with a model at 1,000 nano-USD a token, 500 in batches, 400 in large ones, 2,000 at once."""
    for context, nano_usd in (
        ({}, 1_000),
        (BATCH, 500),
        (BATCH | {"size": "large"}, 400),
        (PRIORITY, 2_000),
    ):
        await enter(
            governor,
            input_nano_usd_per_mtok=nano_usd * TOKEN,
            output_nano_usd_per_mtok=nano_usd * TOKEN,
            price_context=context,
        )
    return governor


@pytest.mark.parametrize(
    ("context", "nano_usd"),
    [
        ({}, 1_000),
        (BATCH, 500),
        (PRIORITY, 2_000),
        (BATCH | {"size": "large"}, 400),
        # The variant counts that has the most of these keys and values, and no others.
        (BATCH | {"size": "small"}, 500),
        ({"size": "large"}, 1_000),
        ({"processing": "flex"}, 1_000),
        ({"region": "eu"}, 1_000),
    ],
)
async def test_a_context_selects_a_variant(
    variants: Governor, context: dict[str, str], nano_usd: int
) -> None:
    """Its price is held and charged; the context is part of the authorization and of the entry."""
    held = await hold(variants, price_context=context)
    assert held.held_nano_usd == 1_010 * nano_usd
    assert dict(held.price_context) == context
    entry = (await variants.settle(held, entry_pb2.Usage(input_tokens=3, output_tokens=4))).entry
    assert (entry.cost_nano_usd, entry.price_id) == (7 * nano_usd, held.price.price_id)
    assert (dict(entry.price_context), flags(entry)) == (context, set())
    assert await violations(variants) == []


async def test_another_variant_at_settlement(variants: Governor) -> None:
    """It is rated at its own price as of the hold, and is no drift; an empty one stands for the hold's."""
    usage = entry_pb2.Usage(input_tokens=3, output_tokens=4)
    held = [await hold(variants, price_context=BATCH) for _ in range(3)]
    # Holds keep their prices, and so do the other variants as of the hold.
    await enter(
        variants,
        input_nano_usd_per_mtok=9_000 * TOKEN,
        output_nano_usd_per_mtok=9_000 * TOKEN,
        price_context=PRIORITY,
    )
    same = (await variants.settle(held[0], usage)).entry
    assert (same.cost_nano_usd, dict(same.price_context)) == (3_500, BATCH)
    dearer = (await variants.settle(held[1], usage, price_context=PRIORITY)).entry
    assert (dearer.cost_nano_usd, dict(dearer.price_context), flags(dearer)) == (14_000, PRIORITY, set())
    unlisted = (await variants.settle(held[2], usage, price_context={"processing": "flex"})).entry
    assert unlisted.cost_nano_usd == 7_000
    again = await variants.settle(held[1], usage, price_context=PRIORITY)
    assert (again.replayed, again.entry) == (True, dearer)
    for other in ({}, BATCH):
        refused = await refusal(variants.settle(held[1], usage, price_context=other))
        assert refused.reason == "AUTHORIZATION_NOT_PENDING"
    explicit = await variants.settle(held[0], usage, price_context=BATCH)
    assert (explicit.replayed, explicit.entry) == (True, same)
    assert await violations(variants) == []


@pytest.mark.parametrize(
    ("same", "other"),
    [
        ({"other_units_max": {"web_searches": 0}}, {"other_units_max": {"web_searches": 1}}),
        ({}, {"cache_write_tokens_max": 0}),
        ({}, {"cache_write_1h_tokens_max": 1_000}),
        ({"price_context": {}}, {"price_context": BATCH}),
    ],
)
async def test_replays_of_a_hold(sonnet: Governor, same: dict[str, Any], other: dict[str, Any]) -> None:
    """The new fields are part of a request's content; empty ones and counts of 0 mean the same as unset."""
    fields = {"models": [SONNET], "request_id": new_id()}
    held = await sonnet.authorize(**fields)
    assert (await sonnet.authorize(**fields, **same)).authorization_id == held.authorization_id
    assert (await refusal(sonnet.authorize(**fields, **other))).reason == "REQUEST_ID_REUSED"


async def test_replays_of_a_settlement(sonnet: Governor) -> None:
    """Counts of the new units are part of a settlement's content."""
    usage = entry_pb2.Usage(input_tokens=10, cache_write_tokens=5, cache_write_1h_tokens=2)
    held = await hold(sonnet)
    settled = await sonnet.settle(held, usage)
    usage.other_units["web_searches"] = 0
    again = await sonnet.settle(held, usage)
    assert (again.replayed, again.entry) == (True, settled.entry)
    for changed in (
        entry_pb2.Usage(input_tokens=10, cache_write_tokens=5, cache_write_1h_tokens=1),
        entry_pb2.Usage(
            input_tokens=10, cache_write_tokens=5, cache_write_1h_tokens=2, other_units={"web_searches": 1}
        ),
    ):
        assert (await refusal(sonnet.settle(held, changed))).reason == "AUTHORIZATION_NOT_PENDING"
