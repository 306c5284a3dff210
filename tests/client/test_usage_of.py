"""Every vendor's own answer is read into our Usage, or refused with a reason."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from governor_client import usage_of
from infin8.governor.v1.entry_pb2 import Usage


def chat(prompt: Any, completed: Any, total: Any = None, **more: Any) -> dict[str, Any]:
    """A chat completion; None leaves a field out."""
    usage = {"prompt_tokens": prompt, "completion_tokens": completed, "total_tokens": total, **more}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "gpt-6-sol",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi."}}
        ],
        "usage": {name: value for name, value in usage.items() if value is not None},
    }


def responses(**usage: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "metadata": {}, "output": [], "usage": usage}


def message(**usage: Any) -> dict[str, Any]:
    """Anthropic's."""
    return {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "usage": usage}


def gemini(**usage: Any) -> dict[str, Any]:
    return {"candidates": [], "usageMetadata": usage, "modelVersion": "gemini-3-flash"}


def modalities(**tokens: int) -> list[dict[str, Any]]:
    return [{"modality": name, "tokenCount": count} for name, count in tokens.items()]


WRITES = {"ephemeral_5m_input_tokens": 90, "ephemeral_1h_input_tokens": 100}
ANTHROPIC = {
    "input_tokens": 1,
    "cache_read_input_tokens": 634,
    "cache_creation_input_tokens": 190,
    "output_tokens": 672,
}
OF_ANTHROPIC = Usage(
    input_tokens=825, cached_input_tokens=634, cache_write_tokens=190, output_tokens=672, requests=1
)
AUDIO = {"audio_tokens": 40}

ANSWERS: dict[str, tuple[Mapping[str, Any], Usage]] = {
    "OpenAI": (
        chat(
            2006,
            300,
            2306,
            prompt_tokens_details={"cached_tokens": 1920, "cache_write_tokens": 64, "audio_tokens": 0},
            completion_tokens_details={"reasoning_tokens": 128, "rejected_prediction_tokens": 0},
        ),
        Usage(
            input_tokens=2006,
            cached_input_tokens=1920,
            cache_write_tokens=64,
            output_tokens=300,
            reasoning_tokens=128,
            requests=1,
        ),
    ),
    "OpenAI, audio": (
        chat(100, 50, 150, prompt_tokens_details=AUDIO, completion_tokens_details=AUDIO),
        Usage(
            input_tokens=100,
            output_tokens=50,
            requests=1,
            other_units={"input_audio_tokens": 40, "output_audio_tokens": 40},
        ),
    ),
    "OpenAI, audio that may be cached": (
        chat(100, 50, 150, prompt_tokens_details={"cached_tokens": 80, **AUDIO}),
        Usage(input_tokens=100, cached_input_tokens=80, output_tokens=50, requests=1),
    ),
    "OpenAI, the last chunk of a stream": (
        chat(12, 3, 15) | {"object": "chat.completion.chunk", "choices": []},
        Usage(input_tokens=12, output_tokens=3, requests=1),
    ),
    "OpenAI, embeddings": (chat(12, None, 12), Usage(input_tokens=12, requests=1)),
    "OpenAI's Responses": (
        responses(
            input_tokens=36,
            input_tokens_details={"cached_tokens": 20},
            output_tokens=87,
            output_tokens_details={"reasoning_tokens": 64},
            total_tokens=123,
        ),
        Usage(input_tokens=36, cached_input_tokens=20, output_tokens=87, reasoning_tokens=64, requests=1),
    ),
    "OpenAI's Responses, the last event of a stream": (
        {
            "type": "response.completed",
            "response": responses(input_tokens=36, input_tokens_details={}, output_tokens=87),
        },
        Usage(input_tokens=36, output_tokens=87, requests=1),
    ),
    "OpenAI's images": (
        responses(
            input_tokens=50,
            input_tokens_details={"text_tokens": 10, "image_tokens": 40},
            output_tokens=1000,
            output_tokens_details={"text_tokens": 0, "image_tokens": 1000},
        ),
        Usage(
            input_tokens=50,
            output_tokens=1000,
            requests=1,
            other_units={"input_text_tokens": 10, "input_image_tokens": 40, "output_image_tokens": 1000},
        ),
    ),
    "OpenRouter": (
        chat(194, 70, 264, cost=0.95, prompt_tokens_details={"cached_tokens": 90, "cache_write_tokens": 100}),
        Usage(input_tokens=194, cached_input_tokens=90, cache_write_tokens=100, output_tokens=70, requests=1),
    ),
    "xAI, whose reasoning is beside the output": (
        chat(279, 1015, 1594, completion_tokens_details={"reasoning_tokens": 300}),
        Usage(input_tokens=279, output_tokens=1315, reasoning_tokens=300, requests=1),
    ),
    "more reasoning than output": (
        chat(100, 293, completion_tokens_details={"reasoning_tokens": 321}),
        Usage(input_tokens=100, output_tokens=614, reasoning_tokens=321, requests=1),
    ),
    "Perplexity": (
        chat(14, 30, 44, search_context_size="low", cost={"total_cost": 0.005}),
        Usage(input_tokens=14, output_tokens=30, requests=1),
    ),
    "Perplexity, deep research": (
        chat(108, 3256, 3364, citation_tokens=7299, num_search_queries=74, reasoning_tokens=2000),
        Usage(
            input_tokens=108,
            output_tokens=12555,
            reasoning_tokens=2000,
            requests=1,
            other_units={"web_searches": 74, "output_citation_tokens": 7299},
        ),
    ),
    "Anthropic": (
        message(**ANTHROPIC, cache_creation=WRITES, server_tool_use={"web_search_requests": 5}),
        Usage(
            input_tokens=825,
            cached_input_tokens=634,
            cache_write_tokens=190,
            cache_write_1h_tokens=100,
            output_tokens=672,
            requests=1,
            other_units={"web_searches": 5},
        ),
    ),
    "Anthropic, nothing in details": (
        message(**ANTHROPIC, cache_creation=None, server_tool_use=None, service_tier="standard"),
        OF_ANTHROPIC,
    ),
    "Anthropic, the last event of a stream": (
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": ANTHROPIC},
        OF_ANTHROPIC,
    ),
    "Gemini": (
        gemini(
            promptTokenCount=100,
            promptTokensDetails=modalities(TEXT=60, AUDIO=40),
            candidatesTokenCount=20,
            candidatesTokensDetails=modalities(TEXT=20),
            thoughtsTokenCount=30,
            totalTokenCount=150,
        ),
        Usage(
            input_tokens=100,
            output_tokens=50,
            reasoning_tokens=30,
            requests=1,
            other_units={"input_text_tokens": 60, "input_audio_tokens": 40, "output_text_tokens": 20},
        ),
    ),
    "Gemini, cached": (
        gemini(
            promptTokenCount=100,
            promptTokensDetails=modalities(TEXT=60, AUDIO=40),
            cachedContentTokenCount=50,
            cacheTokensDetails=modalities(TEXT=20, AUDIO=30),
            candidatesTokenCount=20,
        ),
        Usage(
            input_tokens=100,
            cached_input_tokens=50,
            output_tokens=20,
            requests=1,
            other_units={
                "input_text_tokens": 60,
                "input_audio_tokens": 40,
                "cache_text_read_tokens": 20,
                "cache_audio_read_tokens": 30,
            },
        ),
    ),
    "Gemini, cached without details": (
        gemini(
            promptTokenCount=100,
            promptTokensDetails=modalities(TEXT=60, AUDIO=40),
            cachedContentTokenCount=50,
            candidatesTokenCount=20,
        ),
        Usage(
            input_tokens=100,
            cached_input_tokens=50,
            output_tokens=20,
            requests=1,
            other_units={"input_audio_tokens": 40},
        ),
    ),
    "Bedrock's Converse": (
        {"output": {}, "usage": {"inputTokens": 30, "outputTokens": 628, "cacheReadInputTokens": 5}},
        Usage(input_tokens=35, cached_input_tokens=5, output_tokens=628, requests=1),
    ),
    "Bedrock's Converse, the last event of a stream": (
        {"metadata": {"usage": {"inputTokens": 30, "outputTokens": 628, "totalTokens": 658}}},
        Usage(input_tokens=30, output_tokens=628, requests=1),
    ),
    "Cohere": (
        {"usage": {"billed_units": {"input_tokens": 5, "output_tokens": 418}, "tokens": {}}},
        Usage(input_tokens=5, output_tokens=418, requests=1),
    ),
    "fractions": (chat(25.0, 14417.92), Usage(input_tokens=25, output_tokens=14418, requests=1)),
}


@pytest.mark.parametrize("vendor", ANSWERS)
def test_an_answer_is_read(vendor: str) -> None:
    """Each total with its parts, and everything else by genai-prices' key."""
    answer, usage = ANSWERS[vendor]
    assert usage_of(answer) == usage


class _Details(BaseModel):
    cached_tokens: int | None = None


class _Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: None = None


class Completion(BaseModel):
    """As OpenAI's SDK has it: what is not said is None."""

    model: str
    usage: _Usage | None


class _UsageMetadata(BaseModel):
    prompt_token_count: int = Field(alias="promptTokenCount")
    candidates_token_count: int = Field(alias="candidatesTokenCount")
    prompt_tokens_details: None = Field(None, alias="promptTokensDetails")


class GeneratedContent(BaseModel):
    """As Google's SDK has it: the names of the API are aliases."""

    model_config = ConfigDict(populate_by_name=True)

    usage_metadata: _UsageMetadata = Field(alias="usageMetadata")


def test_an_sdks_object_is_read() -> None:
    """It is taken as its JSON would be."""
    completion = Completion(
        model="gpt-6-sol",
        usage=_Usage(prompt_tokens=25, completion_tokens=3, prompt_tokens_details=_Details(cached_tokens=20)),
    )
    assert usage_of(completion) == Usage(input_tokens=25, cached_input_tokens=20, output_tokens=3, requests=1)
    counts = _UsageMetadata.model_validate({"promptTokenCount": 12, "candidatesTokenCount": 3})
    content = GeneratedContent(usage_metadata=counts)
    assert usage_of(content) == Usage(input_tokens=12, output_tokens=3, requests=1)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (None, "NoneType is neither a mapping nor an object with model_dump"),
        ("usage", "str is neither"),
        ([chat(1, 1)], "list is neither"),
        ({}, "has no usage"),
        ({"error": {"message": "no"}}, "has no usage"),
        ({"usage": None}, "has no usage"),
        ({"usage": [1]}, "has no usage"),
        ({"usageMetadata": None}, "has no usage"),
        (Completion(model="gpt-6-sol", usage=None), "has no usage"),
        # The beginning of a stream of Anthropic's does not know the output yet.
        ({"type": "message_start", "message": message(**ANTHROPIC)}, "has no usage"),
        ({"type": "response.created", "response": {"usage": None}}, "has no usage"),
        ({"usage": {}}, "input_tokens"),
        (message(output_tokens=7), "input_tokens"),
        (chat(5, "many"), "completion_tokens"),
        (chat(-5, 1), "input_tokens"),
        (chat(True, 1), "input_tokens"),
        (chat(float("inf"), 1), "input_tokens"),
        (gemini(), "usageMetadata"),
        (chat(5, 1, prompt_tokens_details={"cached_tokens": 9}), "exceed their whole"),
        (message(input_tokens=5, output_tokens=1, cache_creation=WRITES), "exceed their whole"),
        (chat(10**30, 1), "range"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(answer: Any, why: str) -> None:
    """With ValueError, which says what is missing or wrong."""
    with pytest.raises(ValueError, match=why):
        usage_of(answer)


def test_the_price_list_is_loaded_when_it_is_needed() -> None:
    """Whoever imports the client does not wait for it."""
    code = "import governor_client, sys; assert not [name for name in sys.modules if 'genai' in name]"
    subprocess.run([sys.executable, "-c", code], check=True)
