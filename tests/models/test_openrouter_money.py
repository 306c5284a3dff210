"""Usage and cost are read exactly, and impossible values are ignored."""

import json
from typing import Any

import pytest

from tests.models.http_server import REQUEST, answer, calling, completion, failure, serving
from workflow_service.clients.openrouter import ChargeKind, Completion, TokenUsage


async def read(body: bytes) -> Completion:
    async with serving(answer(200, body)) as server, calling(server.base_url) as client:
        return await client.complete(REQUEST)


async def read_usage(usage: Any) -> Completion:
    return await read(json.dumps(completion(usage=usage)).encode())


@pytest.mark.parametrize(
    ("cost", "nano_usd"),
    [
        ("0", 0),
        ("0.0", 0),
        ("0.012015", 12_015_000),
        ("0.000000001", 1),
        ("0.0000000001", 1),
        ("0.0120150000001", 12_015_001),
        ("1.2e-5", 12_000),
        ("1E+1", 10_000_000_000),
        ("0.1", 100_000_000),
        ("9007.199254740993", 9_007_199_254_741),
        ("1e-999999", 1),
        ("10000", 10**13),
        ("10000.000000001", None),
        ("1e999999", None),
        ("-0.000001", None),
        ("-0", 0),
        ("null", None),
        ("true", None),
        ('"0.012015"', 12_015_000),
        ('" 1.2e-5 "', 12_000),
        ('"0.0000000001"', 1),
        ('"1,5"', None),
        ('"-0.01"', None),
        ('"NaN"', None),
        ('"1e9999999"', None),
        ('"' + "9" * 100 + '"', None),
        ('{"request_cost": 0.005, "total_cost": 0.00515}', 5_150_000),
        ('{"total_cost": "0.00515"}', 5_150_000),
        ('{"request_cost": 0.005}', None),
        ("[]", None),
    ],
)
async def test_cost_is_read_from_the_text(cost: str, nano_usd: int | None) -> None:
    """A number, a text or Perplexity's object becomes whole nano-USD, rounded up; an absurd one is None."""
    text = json.dumps(completion()).replace("0.012015", cost)
    completed = await read(text.encode())
    assert completed.provider_cost_nano_usd == nano_usd
    assert completed.usage == TokenUsage(12, 3)


async def test_every_count_is_read() -> None:
    """Totals and their parts are read by OpenRouter's names."""
    completed = await read_usage(
        {
            "prompt_tokens": 194,
            "completion_tokens": 70,
            "total_tokens": 264,
            "cost": 0.95,
            "prompt_tokens_details": {"cached_tokens": 90, "cache_write_tokens": 100, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 64},
        }
    )
    assert completed.usage == TokenUsage(194, 70, 90, 100, 64)


@pytest.mark.parametrize(
    "usage",
    [
        None,
        [],
        {"cost": 0.01},
        {"prompt_tokens": 12, "cost": 0.01},
        {"prompt_tokens": 0, "completion_tokens": 0, "cost": 0.01},
        {"prompt_tokens": 0, "completion_tokens": 3, "cost": 0.01},
        {"prompt_tokens": 12, "completion_tokens": 0, "cost": 0.01},
        {"prompt_tokens": -1, "completion_tokens": 3, "cost": 0.01},
        {"prompt_tokens": 12, "completion_tokens": -3, "cost": 0.01},
        {"prompt_tokens": 10**9 + 1, "completion_tokens": 3, "cost": 0.01},
        {"prompt_tokens": 12, "completion_tokens": 10**30, "cost": 0.01},
        {"prompt_tokens": "a dozen", "completion_tokens": 3, "cost": 0.01},
        {"prompt_tokens": True, "completion_tokens": 3, "cost": 0.01},
        {"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": -1}},
        {"prompt_tokens": 12, "completion_tokens": 3, "completion_tokens_details": {"reasoning_tokens": -1}},
        {"total_tokens": 15, "cost": 0.01},
        {"prompt_tokens": 16, "total_tokens": 15, "cost": 0.01},
        {"input_tokens": 10**9, "output_tokens": 3, "cache_read_input_tokens": 1, "cost": 0.01},
    ],
)
async def test_usage_that_cannot_be_true_is_none(usage: Any) -> None:
    """Usage that is missing, zero, negative, enormous or mistyped is None; the cost is kept."""
    completed = await read_usage(usage)
    assert completed.text == "Hello."
    assert completed.usage is None
    assert completed.provider_cost_nano_usd == (
        10_000_000 if isinstance(usage, dict) and "cost" in usage else None
    )


async def test_a_failed_call_says_what_it_used() -> None:
    """An error inside a 200 is charged by its usage; without usage its charge is unknown, not zero."""
    error = {"code": 502, "message": "Provider returned error"}
    bodies = (completion(error=error, choices=None), completion(error=error, choices=None, usage=None))
    async with (
        serving(*(answer(200, body) for body in bodies)) as server,
        calling(server.base_url) as client,
    ):
        used, unknown = (await failure(client)).charge, (await failure(client)).charge
    assert (used.kind, used.usage) == (ChargeKind.USED, TokenUsage(12, 3))
    assert used.provider_cost_nano_usd == 12_015_000
    assert (unknown.kind, unknown.usage, unknown.generation_id) == (ChargeKind.UNKNOWN, None, "gen-1")
