"""Reads what a call used out of a provider's own answer, with the extractors of genai-prices.

genai-prices is imported at the first call, because its data takes most of a second to load.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from infin8.governor.v1.entry_pb2 import Usage

_Counts = Mapping[str, int]
"""By the usage keys of genai-prices."""

_FIELDS: Final = {
    "input_tokens": "input_tokens",
    "cache_read_tokens": "cached_input_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "cache_write_1h_tokens": "cache_write_1h_tokens",
    "output_tokens": "output_tokens",
    "output_reasoning_tokens": "reasoning_tokens",
}
"""The fields of our Usage by the usage keys of genai-prices. All other keys are other units."""

_FIVE_MINUTES: Final = "cache_write_5m_tokens"
_OF_PERPLEXITY: Final = ("citation_tokens", "num_search_queries", "search_context_size")
# The first takes reasoning for a part of the output, as OpenAI does, the second does not.
_CHAT: Final = (("openrouter", "chat"), ("x-ai", "chat"))


def usage_of(response: object) -> Usage:
    """The usage that a provider's answer reports, as one request.

    `response` is the answer as a mapping, or an SDK's object with `model_dump()`: a chat completion (of
    OpenAI, OpenRouter, Perplexity, xAI or another server of that API), OpenAI's Responses, Anthropic's
    Messages, Gemini's generateContent, Bedrock's Converse or Cohere's chat. Of a stream, it is the last
    chunk, which has the usage of the whole.

    Only the answer's usage counts. It does not have the web searches of OpenAI's Responses, for example.

    Raises ValueError if the answer has no usage that can be read, or one that cannot be true.
    """
    answer = _answer(_mapping(response))
    readings = [_reading(answer, provider, form) for provider, form in _readers(answer)]
    total = answer["usage"].get("total_tokens") if len(readings) > 1 else None
    readings.sort(key=lambda counts: counts["input_tokens"] + counts["output_tokens"] != total)
    for counts in readings:
        if (fitting := _fitting(counts)) is not None:
            return _usage(fitting)
    raise ValueError("the answer's usage cannot be true: parts of its tokens exceed their whole")


def _mapping(response: object) -> Mapping[str, Any]:
    dump = getattr(response, "model_dump", None)
    # Google's SDK has the names of the API as aliases.
    document = dump(by_alias=True) if callable(dump) else response
    if not isinstance(document, Mapping):
        raise ValueError(f"{type(response).__name__} is neither a mapping nor an object with model_dump()")
    return document


def _answer(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part with the usage: the last events of some streams have it one level below."""
    for name in ("response", "metadata"):
        inner = document.get(name)
        if "usage" not in document and isinstance(inner, Mapping) and "usage" in inner:
            return inner
    return document


def _readers(answer: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The extractors that may fit the answer's form, the usual one first: provider and form."""
    if isinstance(answer.get("usageMetadata"), Mapping):
        return (("google", "default"),)
    usage = answer.get("usage")
    if not isinstance(usage, Mapping):
        raise ValueError("the answer has no usage")
    input_details = usage.get("input_tokens_details")
    if "prompt_tokens" in usage:
        if any(usage.get(name) is not None for name in _OF_PERPLEXITY):
            return (("perplexity", "default"),)
        return _CHAT if "completion_tokens" in usage else (("openai", "embeddings"),)
    if "inputTokens" in usage:
        return (("aws", "default"),)
    if "billed_units" in usage:
        return (("cohere", "default"),)
    if "tool_calls_details" in usage:
        return (("perplexity", "responses"),)
    if isinstance(input_details, Mapping):
        is_of_images = "image_tokens" in input_details and "cached_tokens" not in input_details
        return (("openai", "images" if is_of_images else "responses"),)
    return (("anthropic", "default"),)


def _reading(answer: Mapping[str, Any], provider: str, form: str) -> _Counts:
    """Raises ValueError if a count that is always there is missing, or one is no count."""
    from genai_prices.data_snapshot import find_provider_by_id, get_snapshot

    extractors = find_provider_by_id(get_snapshot().providers, provider)
    assert extractors is not None, f"genai-prices has {provider}"
    _, extracted = extractors.extract_usage(answer, api_flavor=form)
    counts = dict.fromkeys(_FIELDS, 0) | {unit: math.ceil(count) for unit, count in vars(extracted).items()}
    # There are two lifetimes only: what is not kept for an hour is kept for five minutes.
    five_minutes = counts.pop(_FIVE_MINUTES, 0)
    if not counts["cache_write_tokens"]:
        counts["cache_write_tokens"] = five_minutes + counts["cache_write_1h_tokens"]
    return counts


def _fitting(counts: _Counts) -> _Counts | None:
    """The counts without those of media that do not fit beside the other parts; None if others do not.

    Gemini counts text that was read from a cache both as text and as cached. How much of the cached is text
    it says in another field, which may be missing. No list prices text apart, so text is left out first.
    """
    for left_out in ("", "_text_", "_tokens"):
        fitting = {
            unit: count
            for unit, count in counts.items()
            if unit in _FIELDS or not left_out or left_out not in unit
        }
        if _can_be_true(fitting):
            return fitting
    return None


def _can_be_true(counts: _Counts) -> bool:
    """Whether every used unit, and every unit that one of them is a part of, has at least its parts."""
    from genai_prices.data_units import unit_data

    dimensions = {unit: set(known["dimensions"].items()) for unit, known in unit_data.items()}
    used = {unit for unit, count in counts.items() if count}
    wholes = {unit for unit in dimensions if any(dimensions[unit] <= dimensions[part] for part in used)}
    alone: dict[str, int] = {}
    for unit in sorted(wholes, key=lambda unit: len(dimensions[unit]), reverse=True):
        parts = sum(count for part, count in alone.items() if dimensions[unit] < dimensions[part])
        alone[unit] = counts.get(unit, 0) - parts
    return min(alone.values(), default=0) >= 0


def _usage(counts: _Counts) -> Usage:
    fields = {field: counts[unit] for unit, field in _FIELDS.items()}
    other_units = {unit: count for unit, count in counts.items() if count and unit not in _FIELDS}
    return Usage(**fields, requests=1, other_units=other_units)
