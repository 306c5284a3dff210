"""A bill is charged as it is told, also without its tokens; every unit is rated, and settled once.

The answers come from an HTTP server, are read by the workflow service and settled with the real governor.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from infin8.governor.v1.entry_pb2 import LedgerEntry, Usage
from infin8.governor.v1.price_pb2 import Rate
from infin8.governor.v1.pricing_service_pb2 import CreatePriceRequest
from infin8.governor.v1.pricing_service_pb2_grpc import PricingServiceStub
from tests.executor.conftest import SONAR, Bench, flags, kinds
from tests.executor.examples import answer as good_answer
from tests.executor.talk import answer_document, behave, execute_with
from tests.models.http_server import answer
from workflow_service.domain.states import Step
from workflow_service.domain.workflow import Lease
from workflow_service.store.invocations import CallUsage, Response

OVERAGE = "OVERAGE"
NO_RECORD = answer(404, {"error": {"code": 404, "message": "Generation not found"}})
TOKENS = {"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150}
MTOK = 10**6


def record(**fields: Any) -> bytes:
    return answer(200, {"data": {"id": "gen-1", "model": SONAR, **fields}})


def refused(status: int, **usage: Any) -> bytes:
    return answer(status, {"error": {"code": status, "message": "no"}, "usage": usage})


# What the usage of a good answer says, the answer of /generation, and the bill in nano-USD.
BILLS: dict[str, tuple[dict[str, Any], bytes, int]] = {
    "a cost alone": ({"cost": 0.0005}, NO_RECORD, 500_000),
    "a cost of nothing": ({"cost": 0}, NO_RECORD, 0),
    "a cost above the hold": ({"cost": 0.5}, NO_RECORD, 500_000_000),
    "negative counts": ({"cost": 0.0005, "prompt_tokens": -1, "completion_tokens": 3}, NO_RECORD, 500_000),
    "enormous counts": (TOKENS | {"cost": 0.0005, "prompt_tokens": 10**10}, NO_RECORD, 500_000),
    "text out of no tokens": (
        {"cost": 0.0005, "prompt_tokens": 120, "completion_tokens": 0},
        NO_RECORD,
        500_000,
    ),
    "one's own key": (
        {"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.0005}},
        NO_RECORD,
        500_000,
    ),
    "a record with a cost alone": ({}, record(total_cost=0.0005), 500_000),
    "a record with a smaller cost": ({"cost": 0.0005}, record(total_cost=0.0004), 500_000),
    "no record but an error": ({"cost": 0.0005}, refused(500), 500_000),
}


def assert_is_the_bill(entry: LedgerEntry, nano_usd: int) -> None:
    """The bill is charged and flagged, and not the hold."""
    assert (kinds([entry]), flags(entry) - {OVERAGE}) == (["USAGE"], {"USAGE_UNKNOWN"})
    assert (OVERAGE in flags(entry)) == (nano_usd > entry.held_nano_usd)
    assert entry.HasField("provider_cost_nano_usd")
    assert (entry.cost_nano_usd, entry.provider_cost_nano_usd) == (nano_usd, nano_usd)
    assert (entry.usage.input_tokens, entry.usage.output_tokens) == (0, 0)


@pytest.mark.parametrize("name", BILLS)
async def test_a_bill_without_tokens(bench: Bench, name: str) -> None:
    """What the provider says that it costs is charged, wherever it says so."""
    usage, generation, nano_usd = BILLS[name]
    lease = await bench.workflows.lease(Step.ICP)
    await execute_with(bench, lease, answer(200, answer_document(lease, usage)), generation)
    [entry] = await bench.entries(lease)
    assert_is_the_bill(entry, nano_usd)
    assert entry.provider_generation_id == "gen-1"
    [call] = await bench.workflows.calls(lease)
    assert (call.response.usage, call.response.provider_cost_nano_usd) == (None, nano_usd)
    await bench.assert_books_agree(lease)


@pytest.mark.parametrize(
    "failure",
    [
        refused(503, cost=0.0005),
        refused(429, cost=0.0005),
        refused(500, cost=0.0005),
        answer(200, {"error": {"code": 502, "message": "no"}, "usage": {"cost": 0.0005}}),
        answer(200, {"choices": [], "usage": {"cost": 0.0005}}),
    ],
    ids=["503", "429", "500", "200 with an error", "200 without a choice"],
)
async def test_a_failed_call_with_a_bill(bench: Bench, failure: bytes) -> None:
    """The failure is charged as it says, and the next attempt on its own."""
    lease = await bench.workflows.lease(Step.ICP)
    good = answer(200, answer_document(lease, TOKENS))
    await execute_with(bench, lease, failure, good)
    billed, entry = await bench.entries(lease)
    assert_is_the_bill(billed, 500_000)
    assert (entry.cost_nano_usd, flags(entry)) == (120 * 1000 + 30 * 2000, set())
    await bench.assert_books_agree(lease)


async def test_a_bill_is_settled_after_a_crash(bench: Bench) -> None:
    """A process that is killed between answer and settlement leaves the bill in the journal."""
    lease = await bench.workflows.lease(Step.ICP)
    await answer_and_die(bench, lease, usage=None, provider_cost_nano_usd=500_000)
    await bench.executor.execute(await bench.workflows.take_over(lease))
    assert bench.simulator.calls == ()
    [entry] = await bench.entries(lease)
    assert_is_the_bill(entry, 500_000)
    await bench.assert_books_agree(lease)


async def answer_and_die(bench: Bench, lease: Lease, **response: Any) -> None:
    """A call of sonar whose process was killed after the response and before settling."""
    journal = bench.workflows.journal
    row = await journal.request_if_leased(
        lease.organization_id, lease.workflow_id, lease.step, "", 1, epoch=lease.epoch, models=[SONAR]
    )
    assert row is not None
    hold = await bench.client.authorize(
        organization_id=lease.organization_id,
        workflow_id=lease.workflow_id,
        request_id=row.request_id,
        models=[SONAR],
        input_tokens_max=1000,
        output_tokens_max=700,
    )
    authorized = await journal.authorize_if_requested(
        row,
        authorization_id=UUID(hold.authorization_id),
        model=hold.model,
        held_nano_usd=hold.held_nano_usd,
        output_tokens_max=hold.output_tokens_max,
    )
    assert authorized is not None
    dispatched = await journal.dispatch_if_authorized_and_leased(authorized)
    assert dispatched is not None
    written = Response(answer=good_answer(lease.step), served_model=SONAR, generation_id="gen-1", **response)
    assert await journal.respond_if_dispatched(dispatched, written) is not None


async def test_every_unit_is_settled_after_a_crash(bench: Bench) -> None:
    """The settlement has the same usage as if nothing had happened."""
    lease = await bench.workflows.lease(Step.ICP)
    units = {"web_searches": 5, "input_audio_tokens": 3}
    await answer_and_die(bench, lease, usage=CallUsage(100, 10, 50, 50, 20, 1, 30, units))
    await bench.executor.execute(await bench.workflows.take_over(lease))
    [entry] = await bench.entries(lease)
    assert entry.usage == Usage(
        input_tokens=100,
        cached_input_tokens=10,
        cache_write_tokens=50,
        output_tokens=50,
        reasoning_tokens=20,
        requests=1,
        cache_write_1h_tokens=30,
        other_units=units,
    )


async def model_with_units(bench: Bench) -> str:
    """A model that costs 3,000 nano-USD an input token, 300 cached, 3,750 written, 6,000 written for an hour,
    15,000 an output token and 10,000,000 a search."""
    model = f"vendor/units-{uuid4()}"
    await PricingServiceStub(bench.channel).CreatePrice(
        CreatePriceRequest(
            model=model,
            input_nano_usd_per_mtok=3_000 * MTOK,
            cached_input_nano_usd_per_mtok=300 * MTOK,
            cache_write_nano_usd_per_mtok=3_750 * MTOK,
            output_nano_usd_per_mtok=15_000 * MTOK,
            rates=[
                Rate(unit="cache_write_1h_tokens", per=MTOK, nano_usd=6_000 * MTOK),
                Rate(unit="web_searches", per=1_000, nano_usd=10_000_000_000),
            ],
        )
    )
    return model


ANTHROPIC = {
    "input_tokens": 1,
    "output_tokens": 672,
    "cache_read_input_tokens": 634,
    "cache_creation_input_tokens": 190,
    "cache_creation": {"ephemeral_5m_input_tokens": 90, "ephemeral_1h_input_tokens": 100},
    "server_tool_use": {"web_search_requests": 5},
}
OPENROUTER = {
    "prompt_tokens": 825,
    "completion_tokens": 672,
    "total_tokens": 1497,
    "prompt_tokens_details": {
        "cached_tokens": 634,
        "cache_creation_tokens": 190,
        "cache_creation_token_details": {"ephemeral_5m_input_tokens": 90, "ephemeral_1h_input_tokens": 100},
    },
    "server_tool_use_details": {"web_search_requests": 5},
}


@pytest.mark.own_world
@pytest.mark.parametrize("usage", [ANTHROPIC, OPENROUTER], ids=["Anthropic's names", "OpenAI's names"])
@pytest.mark.parametrize("cost_usd", [None, 0.0612107, 0.1])
async def test_five_searches_and_cache_writes_of_an_hour(
    bench: Bench, usage: dict[str, Any], cost_usd: float | None
) -> None:
    """Each is counted and rated by its own rate: 61,210,700 nano-USD."""
    rated = 1 * 3_000 + 634 * 300 + 90 * 3_750 + 100 * 6_000 + 672 * 15_000 + 5 * 10_000_000
    model = await model_with_units(bench)
    lease = await bench.workflows.lease(Step.ICP)
    document = answer_document(lease, usage | {"cost": cost_usd}, model=model)
    await execute_with(bench, lease, answer(200, document), models=(model,))
    [entry] = await bench.entries(lease)
    assert entry.usage == Usage(
        input_tokens=825,
        cached_input_tokens=634,
        cache_write_tokens=190,
        output_tokens=672,
        requests=1,
        cache_write_1h_tokens=100,
        other_units={"web_searches": 5},
    )
    assert (kinds([entry]), entry.rated_cost_nano_usd) == (["USAGE"], rated)
    assert entry.cost_nano_usd == max(rated, round((cost_usd or 0) * 10**9))
    # The hold has no searches: nobody asked for any.
    assert flags(entry) == {OVERAGE} | ({"PROVIDER_VARIANCE"} if cost_usd == 0.1 else set())
    [call] = await bench.workflows.calls(lease)
    assert call.response.usage == CallUsage(825, 634, 190, 672, 0, 1, 100, {"web_searches": 5})
    await bench.assert_books_agree(lease)


@pytest.mark.own_world
async def test_a_hold_has_no_cache_writes_of_an_hour(bench: Bench) -> None:
    """No call of ours asks for them. Those of five minutes some providers make without being asked."""
    model = await model_with_units(bench)
    lease = await bench.workflows.lease(Step.ICP)
    document = answer_document(lease, TOKENS, model=model)
    await execute_with(bench, lease, answer(200, document), models=(model,))
    [call] = await bench.workflows.calls(lease)
    hold = await bench.client.get_authorization(
        organization_id=lease.organization_id, request_id=call.request_id
    )
    assert hold.HasField("cache_write_1h_tokens_max")
    assert (hold.cache_write_1h_tokens_max, hold.HasField("cache_write_tokens_max")) == (0, False)
    assert hold.held_nano_usd == hold.input_tokens_max * 3_750 + hold.output_tokens_max * 15_000


@pytest.mark.own_world
async def test_nothing_billed_has_no_fee_either(bench: Bench) -> None:
    """A model with a fee for each request: nothing used and nothing billed is settled at 0."""
    model = f"vendor/fee-{uuid4()}"
    await PricingServiceStub(bench.channel).CreatePrice(
        CreatePriceRequest(model=model, input_nano_usd_per_mtok=MTOK, request_nano_usd=5_000_000)
    )
    lease = await bench.workflows.lease(Step.ICP)
    nothing = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "cost": 0}
    document = answer_document(lease, nothing, model=model)
    await execute_with(bench, lease, answer(200, document), models=(model,))
    [entry] = await bench.entries(lease)
    assert_is_the_bill(entry, 0)
    await bench.assert_books_agree(lease)


async def test_nothing_of_the_usage_is_lost_on_its_way(bench: Bench) -> None:
    """Searches of a model whose price has none are kept with the entry, and cost what the provider says."""
    lease = await bench.workflows.lease(Step.ICP)
    searched = TOKENS | {"server_tool_use": {"web_search_requests": 5}, "cost": 0.0512}
    bench.simulator.misbehave(behave("bare_usage", usage=searched))
    await bench.executor.execute(lease)
    [entry] = await bench.entries(lease)
    assert entry.usage.other_units == {"web_searches": 5}
    assert (entry.rated_cost_nano_usd, entry.cost_nano_usd) == (180_000, 51_200_000)
    [call] = await bench.workflows.calls(lease)
    assert call.response.usage == CallUsage(120, 0, 0, 30, 0, 1, 0, {"web_searches": 5})
