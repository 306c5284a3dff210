"""S18: a date or a variant that has a price of its own is a model of its own, in every call."""

from __future__ import annotations

import pytest

from infin8.governor.v1 import entry_pb2
from infin8.governor.v1.pricing_service_pb2 import ResolveModelRequest
from tests.governor.conftest import Governor, governor, new_id, refusal
from tests.ledger.conftest import flags, record
from tests.pricing.tariffs import TOKEN

pytestmark = pytest.mark.own_world

__all__ = ["governor"]

GENERAL, EXTENDED, DATED = "openai/gpt-4o", "openai/gpt-4o:extended", "openai/gpt-4o-2024-05-13"
NANO_USD_A_TOKEN = {GENERAL: 2_500, EXTENDED: 6_000, DATED: 5_000}
USAGE = entry_pb2.Usage(input_tokens=7, requests=1)


@pytest.fixture
async def gpt_4o(governor: Governor) -> Governor:
    """A governor with prices of three models whose general name is one."""
    for model, nano_usd in NANO_USD_A_TOKEN.items():
        await governor.price(model, nano_usd * TOKEN)
    return governor


@pytest.mark.parametrize(
    ("spelling", "model"),
    [
        ("openai/gpt-4o", GENERAL),
        ("gpt-4o:free", GENERAL),
        ("gpt-4o-2024-08-06", GENERAL),
        ("OpenAI/GPT-4o:Extended", EXTENDED),
        ("gpt-4o:extended", EXTENDED),
        ("openrouter/openai/gpt-4o-2024-05-13", DATED),
        ("gpt-4o-2024-05-13", DATED),
        # Of two parts the price book knows one.
        ("gpt-4o-2024-05-13:free", DATED),
    ],
)
async def test_the_longest_name_with_a_price_counts(gpt_4o: Governor, spelling: str, model: str) -> None:
    """Taking a date or a variant off never makes a model cheaper."""
    cost = 7 * NANO_USD_A_TOKEN[model]
    assert (await gpt_4o.prices.ResolveModel(ResolveModelRequest(model=spelling))).model == model
    held = await gpt_4o.authorize(models=[spelling])
    assert held.model == model
    entry = (await gpt_4o.settle(held, USAGE, served_model=spelling)).entry
    assert (entry.served_model, entry.cost_nano_usd, flags(entry)) == (model, cost, set())
    assert (await record(gpt_4o, served_model=spelling, usage=USAGE)).cost_nano_usd == cost


async def test_the_dearer_variant_that_served_is_drift(gpt_4o: Governor) -> None:
    """It is rated at its own price."""
    entry = (
        await gpt_4o.settle(await gpt_4o.authorize(models=[GENERAL]), USAGE, served_model=EXTENDED)
    ).entry
    assert (entry.cost_nano_usd, flags(entry)) == (42_000, {"MODEL_DRIFT"})


async def test_replays(gpt_4o: Governor) -> None:
    """A variant without a price of its own is the same content; one that has a price is another model."""
    request_id = new_id()
    held = await gpt_4o.authorize(models=[EXTENDED], request_id=request_id)
    again = await gpt_4o.authorize(models=["gpt-4o:EXTENDED"], request_id=request_id)
    assert (again.replayed, again.authorization_id) == (True, held.authorization_id)
    settled = await gpt_4o.settle(held, USAGE)
    assert (await gpt_4o.settle(held, USAGE, served_model=EXTENDED)).entry == settled.entry
    recorded = await record(gpt_4o, served_model=DATED, usage=USAGE, request_id=request_id)
    same = await record(gpt_4o, served_model=f"{DATED}:free", usage=USAGE, request_id=request_id)
    assert same == recorded
    for other in (GENERAL, "gpt-4o:free"):
        refused = await refusal(gpt_4o.authorize(models=[other], request_id=request_id))
        assert refused.reason == "REQUEST_ID_REUSED"
        refused = await refusal(gpt_4o.settle(held, USAGE, served_model=other))
        assert refused.reason == "AUTHORIZATION_NOT_PENDING"
        refused = await refusal(record(gpt_4o, served_model=other, usage=USAGE, request_id=request_id))
        assert refused.reason == "REQUEST_ID_REUSED"


async def test_candidates_are_told_apart(gpt_4o: Governor) -> None:
    """A variant that has a price is a candidate of its own."""
    await gpt_4o.set_workflow_limit(1_700 * 5_500)
    held = await gpt_4o.authorize(models=[EXTENDED, DATED, GENERAL])
    assert (held.model, held.downgraded) == (DATED, True)
