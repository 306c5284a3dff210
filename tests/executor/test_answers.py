"""What a provider's answer says is what the ledger has: usage, cost and flags, whatever form it comes in.

The simulator answers over HTTP, the workflow service reads it and settles with the real governor. At the
document's prices a sonar token costs 1,000 nano-USD as input and 2,000 as output, reasoning included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from infin8.governor.v1.entry_pb2 import LedgerEntry
from tests.executor.conftest import MINI, SONAR, Bench, flags, kinds
from tests.executor.talk import GOOD_MINI, GOOD_SONAR, assert_charged_as_billed, behave, route_of
from workflow_service.app.execute_step import StepFailed
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.states import Step
from workflow_service.domain.steps import IcpResult
from workflow_service.simulator.behaviours import Behaviour

VARIANCE, OVERAGE = "PROVIDER_VARIANCE", "OVERAGE"


@dataclass(frozen=True)
class Told:
    """What an answer's usage says, and the entry that follows."""

    usage: dict[str, Any]
    tokens: tuple[int, int, int, int, int]
    """Input, cached, cache-write, output and reasoning."""
    rated_nano_usd: int
    provider_nano_usd: int | None
    flags: set[str] = field(default_factory=set)
    record: dict[str, Any] = field(default_factory=dict)
    """The same as the provider's record tells it."""


def openai(prompt: Any, completed: Any, total: Any, reasoning: Any = 0, **more: Any) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completed,
        "total_tokens": total,
        "completion_tokens_details": {"reasoning_tokens": reasoning},
        **more,
    }


def record(prompt: Any, completed: Any, cost: Any, reasoning: Any = 0, **more: Any) -> dict[str, Any]:
    return {
        "native_tokens_prompt": prompt,
        "native_tokens_completion": completed,
        "native_tokens_reasoning": reasoning,
        "total_cost": cost,
        **more,
    }


UPSTREAM = {"upstream_inference_cost": 0.0360795, "upstream_inference_prompt_cost": 0.0343845}

TOLD = {
    "one's own key": Told(
        openai(9171, 113, 9284, 55, cost=0, is_byok=True, cost_details=UPSTREAM),
        (9171, 0, 0, 113, 55),
        9_397_000,
        36_079_500,
        {VARIANCE, OVERAGE},
        record(9171, 113, 0, 55, is_byok=True, byok_usage_inference=0.0360795),
    ),
    "OpenRouter's key": Told(
        openai(917, 113, 1030, 55, cost=0.0011433, is_byok=False, cost_details=UPSTREAM),
        (917, 0, 0, 113, 55),
        1_143_000,
        1_143_300,
        set(),
        record(917, 113, 0.0011433, 55, is_byok=False, upstream_inference_cost=0.0360795),
    ),
    "reasoning beside the output": Told(
        openai(100, 293, 714, 321, cost=0.00034),
        (100, 0, 0, 614, 321),
        1_328_000,
        340_000,
        {VARIANCE},
        record(100, 293, 0.00034, 321),
    ),
    "reasoning beside the output, by the total": Told(
        openai(279, 1015, 1594, 300), (279, 0, 0, 1315, 300), 2_909_000, None
    ),
    "reasoning in the output, by the total": Told(
        openai(500, 500, 1000, 200, cost="0.0015"), (500, 0, 0, 500, 200), 1_500_000, 1_500_000
    ),
    "more in the total than is named": Told(openai(92, 79, 211), (92, 0, 0, 119, 0), 330_000, None),
    "fractions and null": Told(
        openai(12, 1441.92, 1453.92, None, prompt_tokens_details=None),
        (12, 0, 0, 1442, 0),
        2_896_000,
        None,
        set(),
        record(12, 1441.92, None, None, native_tokens_cached=None),
    ),
    "a fraction of nothing": Told(openai(25.0, 9.0, 34.0), (25, 0, 0, 9, 0), 43_000, None),
    "a cost by component": Told(
        openai(9, 30, 39, cost={"request_cost": 0.005, "total_cost": 0.005069}),
        (9, 0, 0, 30, 0),
        69_000,
        5_069_000,
        {VARIANCE, OVERAGE},
    ),
    "a cost as a text": Told(
        openai(100, 300, 400, cost="0.00070000001"), (100, 0, 0, 300, 0), 700_000, 700_001
    ),
    "Anthropic's names": Told(
        {
            "input_tokens": 1,
            "output_tokens": 672,
            "cache_read_input_tokens": 634,
            "cache_creation_input_tokens": 190,
            "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 90},
            "server_tool_use": {"web_search_requests": 5},
            "cost": 0.0553,
        },
        (825, 634, 190, 672, 0),
        2_169_000,
        55_300_000,
        {VARIANCE, OVERAGE},
    ),
}


def tokens_of(entry: LedgerEntry) -> tuple[int, int, int, int, int]:
    usage = entry.usage
    return (
        usage.input_tokens,
        usage.cached_input_tokens,
        usage.cache_write_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
    )


async def assert_entry_tells(bench: Bench, behaviour: Behaviour, told: Told) -> None:
    lease = await bench.workflows.lease(Step.ICP)
    bench.simulator.misbehave(behaviour)
    assert isinstance(await bench.executor.execute(lease), IcpResult)
    assert route_of(await bench.workflows.calls(lease)) == [GOOD_SONAR]
    [entry] = await bench.entries(lease)
    assert kinds([entry]) == ["USAGE"]
    assert tokens_of(entry) == told.tokens
    assert entry.rated_cost_nano_usd == told.rated_nano_usd
    assert entry.cost_nano_usd == max(told.rated_nano_usd, told.provider_nano_usd or 0)
    assert entry.HasField("provider_cost_nano_usd") == (told.provider_nano_usd is not None)
    assert entry.provider_cost_nano_usd == (told.provider_nano_usd or 0)
    assert flags(entry) - {OVERAGE} == told.flags - {OVERAGE}
    assert (OVERAGE in flags(entry)) == (entry.cost_nano_usd > entry.held_nano_usd)
    await bench.assert_books_agree(lease)


@pytest.mark.parametrize("name", TOLD)
async def test_an_answer_is_settled_as_it_says(bench: Bench, name: str) -> None:
    """The entry has the answer's usage and the provider's cost, and no hold is charged whole."""
    told = TOLD[name]
    await assert_entry_tells(bench, behave("bare_usage", usage=told.usage), told)


@pytest.mark.parametrize("name", [name for name, told in TOLD.items() if told.record])
async def test_the_providers_record_is_settled_as_it_says(bench: Bench, name: str) -> None:
    """The same where the answer says nothing of usage and `/generation` is asked for it."""
    told = TOLD[name]
    await assert_entry_tells(bench, behave("missing_usage", record=told.record), told)


async def test_neither_usage_nor_a_record(bench: Bench) -> None:
    """Only then nobody knows, and the hold is charged."""
    lease = await bench.workflows.lease(Step.ICP)
    bench.simulator.misbehave(behave("missing_usage", has_record=False))
    await bench.executor.execute(lease)
    [entry] = await bench.entries(lease)
    assert (kinds([entry]), flags(entry)) == (["UNKNOWN"], {"UNKNOWN_OUTCOME"})
    assert entry.cost_nano_usd == entry.held_nano_usd > 0


@pytest.mark.parametrize(
    "behaviour",
    [
        behave("nothing", has_record=False),
        behave("error_inside", with_usage=True, usage=openai(0, 0, 0, cost=0)),
    ],
    ids=["no text", "an error"],
)
async def test_nothing_billed_is_settled_at_nothing(bench: Bench, behaviour: Behaviour) -> None:
    """No tokens, no text, no cost: an entry of 0, and the whole hold is free again."""
    lease = await bench.workflows.lease(Step.ICP)
    bench.simulator.misbehave(behaviour)
    await bench.executor.execute(lease)
    [nothing, good] = await bench.entries(lease)
    assert (kinds([nothing]), flags(nothing)) == (["USAGE"], set())
    assert tokens_of(nothing) == (0, 0, 0, 0, 0)
    assert (nothing.cost_nano_usd, nothing.provider_cost_nano_usd) == (0, 0)
    assert nothing.held_nano_usd > 0
    assert good.cost_nano_usd > 0
    await bench.assert_books_agree(lease)


@dataclass(frozen=True)
class Route:
    """What the provider is told to do, and the calls that follow."""

    behaviours: list[Behaviour]
    calls: Sequence[tuple[str, str, str | None]]
    failed: ErrorClass | None = None


LITELLM = {"message": f"Invalid model name passed in model={SONAR}", "type": "None", "code": "400"}
NOT_FOUND = {"message": f"The model `{SONAR}` does not exist", "code": "model_not_found"}

ROUTES = {
    "a list of parts": Route([behave("content_parts")], [GOOD_SONAR]),
    "reasoning alone": Route([behave("reasoning_content")], [GOOD_SONAR]),
    "all tokens are reasoning": Route(
        [behave("output_limit", model=SONAR, times=None)],
        [(SONAR, "SETTLED", "OUTPUT_LIMIT_REACHED")] * 2 + [GOOD_MINI],
    ),
    "all tokens are reasoning, everywhere": Route(
        [behave("output_limit", times=None)],
        [(SONAR, "SETTLED", "OUTPUT_LIMIT_REACHED")] * 2 + [(MINI, "SETTLED", "OUTPUT_LIMIT_REACHED")] * 2,
        ErrorClass.OUTPUT_LIMIT_REACHED,
    ),
    "LiteLLM does not know the model": Route(
        [behave("status", status=400, error=LITELLM, model=SONAR, times=None)],
        [(SONAR, "VOIDED", "UNKNOWN_MODEL"), GOOD_MINI],
    ),
    "model_not_found": Route(
        [behave("status", status=404, error=NOT_FOUND, model=SONAR, times=None)],
        [(SONAR, "VOIDED", "UNKNOWN_MODEL"), GOOD_MINI],
    ),
    "a text says that the model does not exist": Route(
        [behave("status", status=404, error=NOT_FOUND["message"], model=SONAR, times=None)],
        [(SONAR, "VOIDED", "UNKNOWN_MODEL"), GOOD_MINI],
    ),
    "rate_limit_exceeded": Route(
        [behave("status", status=400, error={"code": "rate_limit_exceeded"})],
        [(SONAR, "VOIDED", "RATE_LIMITED"), GOOD_SONAR],
    ),
    "insufficient_quota": Route(
        [behave("status", status=429, error={"code": "insufficient_quota"})],
        [(SONAR, "VOIDED", "INSUFFICIENT_CREDITS")],
        ErrorClass.INSUFFICIENT_CREDITS,
    ),
    '"429" inside a 200': Route(
        [behave("error_inside", error={"code": "429"}, with_usage=True)],
        [(SONAR, "SETTLED", "RATE_LIMITED"), GOOD_SONAR],
    ),
    "insufficient_quota inside a choice": Route(
        [behave("error_in_choice", error={"code": "insufficient_quota"}, with_usage=True)],
        [(SONAR, "SETTLED", "INSUFFICIENT_CREDITS")],
        ErrorClass.INSUFFICIENT_CREDITS,
    ),
}


@pytest.mark.parametrize("name", ROUTES)
async def test_the_route_that_an_answer_leads_to(bench: Bench, name: str) -> None:
    """The class of each call, the model that is asked next, and what is billed and nothing else."""
    case = ROUTES[name]
    lease = await bench.workflows.lease(Step.ICP)
    bench.simulator.misbehave(*case.behaviours)
    if case.failed is None:
        assert isinstance(await bench.executor.execute(lease), IcpResult)
    else:
        with pytest.raises(StepFailed) as caught:
            await bench.executor.execute(lease)
        assert caught.value.error.error_class is case.failed
    assert route_of(await bench.workflows.calls(lease)) == list(case.calls)
    entries = await bench.entries(lease)
    assert set(kinds(entries)) <= {"USAGE"}
    assert [flags(entry) for entry in entries] == [set()] * len(entries)
    await bench.assert_books_agree(lease)
    await assert_charged_as_billed(bench, lease)
