"""The provider's record of a call gives its usage and cost when the answer was lost."""

from __future__ import annotations

from typing import Any

import pytest

from tests.models.http_server import answer, calling, serving
from workflow_service.clients.openrouter import GenerationRecord, ModelCallFailed, TokenUsage
from workflow_service.domain.error_class import ErrorClass

RECORD: dict[str, Any] = {
    "id": "gen-7",
    "model": "perplexity/sonar",
    "total_cost": 0.0123450001,
    "tokens_prompt": 11,
    "tokens_completion": 22,
    "native_tokens_prompt": 10,
    "native_tokens_completion": 25,
    "native_tokens_reasoning": 5,
    "native_tokens_cached": 3,
}


async def look_up(raw: bytes) -> GenerationRecord | None:
    async with serving(raw) as server, calling(server.base_url) as client:
        record = await client.generation("gen 7&id=other")
    assert server.received[0].head.startswith("GET /api/v1/generation?id=gen+7%26id%3Dother HTTP/1.1")
    return record


async def test_a_record_is_read_exactly() -> None:
    """The billed, native counts are used, and the cost in whole nano-USD."""
    record = await look_up(answer(200, {"data": RECORD}))
    assert record == GenerationRecord(
        "gen 7&id=other", "perplexity/sonar", TokenUsage(10, 25, 3, 0, 5), 12_345_001
    )


async def test_a_record_with_common_counts_only() -> None:
    """Without native counts the common ones are used."""
    data = {name: value for name, value in RECORD.items() if not name.startswith("native")}
    record = await look_up(answer(200, {"data": data}))
    assert record is not None
    assert record.usage == TokenUsage(11, 22)


@pytest.mark.parametrize(
    ("changes", "usage", "nano_usd"),
    [
        # With one's own key at the provider, its cost is added to OpenRouter's.
        ({"is_byok": True, "total_cost": 0, "byok_usage_inference": 0.0360795}, None, 36_079_500),
        ({"is_byok": True, "total_cost": 0, "upstream_inference_cost": 0.0360795}, None, 36_079_500),
        (
            {
                "is_byok": True,
                "total_cost": 0.001,
                "byok_usage_inference": 0,
                "upstream_inference_cost": 0.02,
            },
            None,
            21_000_000,
        ),
        ({"is_byok": False, "total_cost": 0.02, "upstream_inference_cost": 0.02}, None, 20_000_000),
        ({"is_byok": False, "total_cost": 0.02, "byok_usage_inference": 0}, None, 20_000_000),
        ({"is_byok": True, "total_cost": 0}, None, None),
        ({"total_cost": None, "usage": 0.02}, None, 20_000_000),
        # Counts as in an answer.
        (
            {"native_tokens_completion": 293, "native_tokens_reasoning": 321},
            TokenUsage(10, 614, 3, 0, 321),
            12_345_001,
        ),
        ({"native_tokens_completion": 24.2}, TokenUsage(10, 25, 3, 0, 5), 12_345_001),
        (
            {name: None for name in RECORD if name.startswith("native")},
            TokenUsage(11, 22),
            12_345_001,
        ),
        ({name: 0 for name in RECORD if "tokens" in name} | {"total_cost": 0}, TokenUsage(0, 0), 0),
    ],
)
async def test_a_record_is_read_like_an_answer(
    changes: dict[str, Any], usage: TokenUsage | None, nano_usd: int | None
) -> None:
    """Whose key it was, parts beside their wholes, fractions, null, nothing billed."""
    record = await look_up(answer(200, {"data": RECORD | changes}))
    assert record is not None
    assert record.usage == (usage or TokenUsage(10, 25, 3, 0, 5))
    assert record.provider_cost_nano_usd == nano_usd


async def test_no_record() -> None:
    """None: the provider writes the record a moment after the call, so it may appear later."""
    assert await look_up(answer(404, {"error": {"code": 404, "message": "Generation not found"}})) is None


@pytest.mark.parametrize(
    ("raw", "error_class"),
    [
        (answer(500, b"no"), ErrorClass.PROVIDER_ERROR),
        (answer(401, b"no"), ErrorClass.PROVIDER_UNAUTHORIZED),
        (answer(200, b"no"), ErrorClass.MALFORMED_RESPONSE),
        (answer(200, {"data": []}), ErrorClass.MALFORMED_RESPONSE),
        (b"", ErrorClass.CONNECTION_FAILED),
    ],
)
async def test_a_provider_that_cannot_be_asked(raw: bytes, error_class: ErrorClass) -> None:
    """A failed look-up raises an error, unlike a missing record."""
    with pytest.raises(ModelCallFailed) as raised:
        await look_up(raw)
    assert raised.value.error_class is error_class
