"""Counts are believed by what they add up to, whatever a provider calls them and takes them to include."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.models.http_server import REQUEST, answer, calling, completion, failure, serving
from workflow_service.clients.openrouter import ChargeKind, Completion, TokenUsage
from workflow_service.clients.openrouter_types import PROVIDER_COST_MAX_NANO_USD, TOKENS_MAX
from workflow_service.clients.reported_usage import read_cost, read_usage


async def read(usage: dict[str, Any], text: str = "Hello.") -> Completion:
    choices = [{"finish_reason": "stop", "message": {"role": "assistant", "content": text}}]
    async with (
        serving(answer(200, completion(usage=usage, choices=choices))) as server,
        calling(server.base_url) as client,
    ):
        return await client.complete(REQUEST)


def openai(
    prompt: Any, completed: Any, total: Any = None, *, reasoning: Any = None, cached: Any = None, **more: Any
) -> dict[str, Any]:
    """By OpenAI's names; null where nothing is said."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completed,
        "total_tokens": total,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
        **more,
    }


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        # The total says that reasoning is in the output, or that it is not.
        (openai(500, 500, 1000, reasoning=200), (500, 500, 0, 0, 200)),
        (openai(279, 1015, 1594, reasoning=300), (279, 1315, 0, 0, 300)),
        (openai(21, 0, 81, reasoning=60), (21, 60, 0, 0, 60)),
        # Reasoning above the output is not in it, whatever the total says or does not say.
        (openai(40, 293, reasoning=321), (40, 614, 0, 0, 321)),
        (openai(40, 293, 654, reasoning=321), (40, 614, 0, 0, 321)),
        (openai(40, 293, 333, reasoning=321), (40, 614, 0, 0, 321)),
        # Without a total, parts are in their wholes where they fit.
        (openai(500, 500, reasoning=500), (500, 500, 0, 0, 500)),
        (openai(500, 500, cached=500), (500, 500, 500, 0, 0)),
        # The same for the prompt's parts.
        (openai(100, 50, 240, cached=90), (190, 50, 90, 0, 0)),
        (openai(10, 50, cached=90), (100, 50, 90, 0, 0)),
        (openai(1, 672, prompt_tokens_details={"cached_tokens": 32634, "cache_write_tokens": 1190}),
         (33825, 672, 32634, 1190, 0)),
        (openai(100, 50, 260, cached=90, reasoning=20), (190, 70, 90, 0, 20)),
        # What the total has and nothing names is output; what no prompt can lack is input.
        (openai(92, 79, 211), (92, 119, 0, 0, 0)),
        (openai(92, 79, 211, reasoning=30), (92, 119, 0, 0, 30)),
        (openai(0, 79, 171), (92, 79, 0, 0, 0)),
        (openai(92, None, 171), (92, 79, 0, 0, 0)),
        (openai(None, 79, 171), (92, 79, 0, 0, 0)),
        # A total that is too small, or none, is not believed.
        (openai(92, 79, 10), (92, 79, 0, 0, 0)),
        # Fractions are rounded up, whole numbers of any spelling taken, null is 0.
        (openai(12, 14417.92, 14429.92), (12, 14418, 0, 0, 0)),
        (openai(25.0, 3.0, 28.0, reasoning=2.5), (25, 3, 0, 0, 3)),
        (openai("25", "3"), (25, 3, 0, 0, 0)),
        ({"prompt_tokens": 25, "completion_tokens": 3, "prompt_tokens_details": None}, (25, 3, 0, 0, 0)),
        # OpenAI's Responses, and servers that send several vendors' fields and fill one vendor's.
        (
            {
                "input_tokens": 25,
                "output_tokens": 9,
                "total_tokens": 34,
                "input_tokens_details": {"cached_tokens": 20},
                "output_tokens_details": {"reasoning_tokens": 8},
            },
            (25, 9, 20, 0, 8),
        ),
        (openai(25, 9, 34, cached=20, input_tokens=0, output_tokens=0, cache_read_input_tokens=0),
         (25, 9, 20, 0, 0)),
        (openai(0, 0, 0, input_tokens=25, output_tokens=9, cache_read_input_tokens=20), (45, 9, 20, 0, 0)),
        # DeepSeek's and Moonshot's names of what is cached; LiteLLM repeats Anthropic's beside OpenAI's.
        (openai(25, 9, prompt_cache_hit_tokens=20, prompt_cache_miss_tokens=5), (25, 9, 20, 0, 0)),
        (openai(25, 9, cached_tokens=20), (25, 9, 20, 0, 0)),
        (openai(25, 9, 34, cache_read_input_tokens=20, cache_creation_input_tokens=4), (25, 9, 20, 4, 0)),
        (openai(25, 9, cache_read_input_tokens=20), (25, 9, 20, 0, 0)),
        # Anthropic's input is without what is read from the cache and written to it.
        ({"input_tokens": 25, "output_tokens": 9}, (25, 9, 0, 0, 0)),
        ({"input_tokens": 25, "output_tokens": 9, "cache_read_input_tokens": 20}, (45, 9, 20, 0, 0)),
        (
            {
                "input_tokens": 1,
                "output_tokens": 672,
                "cache_read_input_tokens": 32634,
                "cache_creation_input_tokens": 1190,
                "output_tokens_details": {"thinking_tokens": 600},
            },
            (33825, 672, 32634, 1190, 600),
        ),
        ({"input_tokens": 0, "output_tokens": 9, "cache_read_input_tokens": 20}, (20, 9, 20, 0, 0)),
        # A gateway that has Anthropic's names and includes them all the same says so by its total.
        (
            {"input_tokens": 45, "output_tokens": 9, "cache_read_input_tokens": 20, "total_tokens": 54},
            (45, 9, 20, 0, 0),
        ),
    ],
)  # fmt: skip
async def test_counts(usage: dict[str, Any], expected: tuple[int, int, int, int, int]) -> None:
    """Input, output, cached, cache-write and reasoning tokens, each total with all of its parts."""
    assert (await read(usage)).usage == TokenUsage(*expected)


CACHE = {"ephemeral_5m_input_tokens": 31_490, "ephemeral_1h_input_tokens": 152_967}
ANTHROPIC = {
    "input_tokens": 123_201,
    "output_tokens": 100,
    "cache_read_input_tokens": 426_653,
    "cache_creation_input_tokens": 184_457,
}


@pytest.mark.parametrize(
    ("usage", "cache_write_1h", "other_units"),
    [
        (
            ANTHROPIC | {"cache_creation": CACHE, "server_tool_use": {"web_search_requests": 5}},
            152_967,
            {"web_searches": 5},
        ),
        # There are two lifetimes: what is not of the one is of the other.
        (ANTHROPIC | {"cache_creation": {"ephemeral_5m_input_tokens": 31_490}}, 152_967, {}),
        (ANTHROPIC | {"cache_creation": {"ephemeral_1h_input_tokens": 7}}, 7, {}),
        (ANTHROPIC | {"cache_creation": None}, 0, {}),
        (openai(9, 9, server_tool_use_details={"web_search_requests": 5}), 0, {"web_searches": 5}),
        (openai(9, 9, prompt_tokens_details={"web_search_requests": 5}), 0, {"web_searches": 5}),
        (
            openai(9, 9, server_side_tool_usage_details={"web_search_calls": 2, "x_search_calls": 1}),
            0,
            {"web_searches": 2, "social_searches": 1},
        ),
        (
            openai(
                9,
                9,
                prompt_tokens_details={"audio_tokens": 4, "image_tokens": 0},
                completion_tokens_details={"audio_tokens": 3, "image_tokens": 2},
            ),
            0,
            {"input_audio_tokens": 4, "output_audio_tokens": 3, "output_image_tokens": 2},
        ),
        # What cannot be true is left out; the tokens are not.
        (openai(9, 9, server_tool_use={"web_search_requests": -1}), 0, {}),
        (openai(9, 9, server_tool_use={"web_search_requests": 10**6 + 1}), 0, {}),
        (openai(9, 9, prompt_tokens_details={"audio_tokens": 10}), 0, {}),
        (
            openai(9, 9, prompt_tokens_details={"audio_tokens": 5, "image_tokens": 5}),
            0,
            {"input_audio_tokens": 5},
        ),
        # Of audio that is also cached, nobody says how much.
        (openai(9, 9, prompt_tokens_details={"cached_tokens": 8, "audio_tokens": 2}), 0, {}),
        (openai(9, 9, reasoning=8, citation_tokens=3), 0, {"output_citation_tokens": 3}),
    ],
)
async def test_units_beside_the_plain_tokens(
    usage: dict[str, Any], cache_write_1h: int, other_units: dict[str, int]
) -> None:
    """Cache writes for an hour, searches and other media, by genai-prices' keys."""
    read_back = (await read(usage)).usage
    assert read_back is not None
    assert (read_back.cache_write_1h_tokens, read_back.other_units) == (cache_write_1h, other_units)
    assert read_back.input_tokens == (734_311 if "input_tokens" in usage else 9)


async def test_cache_writes_are_known_by_their_lifetimes_alone() -> None:
    """Where the sum of both is not said, it is their sum."""
    usage = (await read({"input_tokens": 5, "output_tokens": 9, "cache_creation": CACHE})).usage
    assert usage == TokenUsage(184_462, 9, 0, 184_457, 0, cache_write_1h_tokens=152_967)


async def test_perplexity_counts_reasoning_and_citations_apart() -> None:
    """Its total is of prompt and completion alone, so it says nothing of the rest."""
    usage = {"prompt_tokens": 108, "completion_tokens": 3256, "total_tokens": 3364, "reasoning_tokens": 2000}
    usage |= {"citation_tokens": 7299, "num_search_queries": 74}
    assert (await read(usage)).usage == TokenUsage(
        108, 12555, 0, 0, 2000, other_units={"web_searches": 74, "output_citation_tokens": 7299}
    )


BYOK = {"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.0360795}}


@pytest.mark.parametrize(
    ("usage", "nano_usd"),
    [
        (BYOK, 36_079_500),
        (BYOK | {"cost": 0.0018039751}, 37_883_476),
        (BYOK | {"cost": None}, 36_079_500),
        (BYOK | {"is_byok": False, "cost": 0.0360795}, 36_079_500),
        (BYOK | {"is_byok": False, "cost": 0.04}, 40_000_000),
        (BYOK | {"is_byok": False}, 0),
        # Not said: what is below upstream's cost is a fee beside it, as in "cost 0.95 of upstream 19".
        (
            BYOK | {"is_byok": None, "cost": 0.95, "cost_details": {"upstream_inference_cost": 19}},
            19_950_000_000,
        ),
        (BYOK | {"is_byok": None, "cost": 0.0360795}, 36_079_500),
        # Rounded up once, the sum; and what upstream took nobody says, or not believably.
        (BYOK | {"cost": 1e-10, "cost_details": {"upstream_inference_cost": 1e-10}}, 1),
        (BYOK | {"cost_details": {"upstream_inference_cost": None}}, None),
        (BYOK | {"cost_details": None}, None),
        (BYOK | {"cost_details": {"upstream_inference_cost": -1}}, None),
        (BYOK | {"cost": -1}, None),
        (BYOK | {"cost": 9999, "cost_details": {"upstream_inference_cost": 2}}, None),
        (BYOK | {"is_byok": "no", "cost": 0.5}, 500_000_000),
    ],
)  # fmt: skip
async def test_cost_with_a_key_of_ones_own(usage: dict[str, Any], nano_usd: int | None) -> None:
    """With one's own key at the provider, the cost is OpenRouter's fee and what the provider takes."""
    assert (await read(openai(9171, 113) | usage)).provider_cost_nano_usd == nano_usd


async def test_nothing_billed_is_no_unknown() -> None:
    """No tokens, no text and a cost of 0 is a charge of 0, also beside an error; all else stays unknown."""
    nothing = openai(0, 0, 0, cost=0)
    empty = await read(nothing, text="")
    assert (empty.usage, empty.provider_cost_nano_usd) == (TokenUsage(0, 0), 0)
    assert (await read(nothing)).usage is None  # text out of no tokens
    assert (await read(openai(0, 0, 0, cost=0.01), text="")).usage is None
    assert (await read(openai(0, 0, 0), text="")).usage is None
    assert (await read(openai(0, 5, 5, cost=0), text="")).usage is None

    error = {"code": 502, "message": "Provider returned error"}
    body = completion(usage=nothing, error=error, choices=None)
    async with serving(answer(200, body)) as server, calling(server.base_url) as client:
        charge = (await failure(client)).charge
    assert (charge.kind, charge.usage) == (ChargeKind.USED, TokenUsage(0, 0))


NUMBERS = (
    st.none()
    | st.integers(0, 1000)
    | st.integers(-2, 2 * TOKENS_MAX)
    | st.decimals(0, 1000, places=3)
    | st.sampled_from([True, "12", "x", "1e9999", [], {}, Decimal("1e-999999"), Decimal("1e999999")])
)
TOTALS = ("prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens")
PARTS = ("cached_tokens", "cache_write_tokens", "reasoning_tokens", "audio_tokens")
OTHERS = ("cache_read_input_tokens", "cache_creation_input_tokens", "reasoning_tokens", "citation_tokens")
LIFETIMES = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")


def numbers(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, NUMBERS))


@given(
    totals=numbers(*TOTALS, *OTHERS, "cost", "is_byok", "num_search_queries"),
    prompt=numbers(*PARTS),
    completed=numbers(*PARTS),
    lifetimes=numbers(*LIFETIMES),
    upstream=NUMBERS,
)
def test_whatever_is_said_the_counts_can_be_true(
    totals: dict[str, Any],
    prompt: dict[str, Any],
    completed: dict[str, Any],
    lifetimes: dict[str, Any],
    upstream: Any,
) -> None:
    """No answer makes the reading fail, and no part exceeds its whole, as the governor asks for."""
    reported = totals | {
        "prompt_tokens_details": prompt,
        "completion_tokens_details": completed,
        "cache_creation": lifetimes,
        "cost_details": {"upstream_inference_cost": upstream},
    }
    cost_nano_usd = read_cost(reported)
    usage = read_usage(reported, cost_nano_usd)
    assert cost_nano_usd is None or 0 <= cost_nano_usd <= PROVIDER_COST_MAX_NANO_USD
    if usage is None:
        return
    assert 0 <= usage.cached_input_tokens + usage.cache_write_tokens <= usage.input_tokens <= TOKENS_MAX
    assert 0 <= usage.cache_write_1h_tokens <= usage.cache_write_tokens
    assert 0 <= usage.reasoning_tokens <= usage.output_tokens <= TOKENS_MAX
    assert min(usage.other_units.values(), default=1) > 0
    parts = {"input": usage.cached_input_tokens + usage.cache_write_tokens, "output": usage.reasoning_tokens}
    for unit, count in usage.other_units.items():
        if unit.endswith("_tokens"):
            parts[unit.partition("_")[0]] += count
    assert parts["input"] <= usage.input_tokens
    assert parts["output"] <= usage.output_tokens
    assert usage.input_tokens > 0 or (usage.output_tokens, cost_nano_usd) == (0, 0)
