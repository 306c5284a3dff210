"""What a provider says that a call used and cost. Pure.

Servers of OpenAI's API differ in the names of their counts and in what a count includes. OpenAI's totals
include their parts: cached and cache-write tokens are input, reasoning is output. Anthropic's `input_tokens`
are without cache reads and writes, Perplexity's `completion_tokens` are without reasoning and citations, and
some servers behind OpenRouter, and Gemini's OpenAI endpoint, leave reasoning out. So the figures decide: that
reading counts whose parts fit into their wholes, and whose sum is `total_tokens`.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, Context, Decimal
from typing import Any, Final

from workflow_service.clients.openrouter_types import (
    PROVIDER_COST_MAX_NANO_USD,
    TOKENS_MAX,
    UNITS_MAX,
    TokenUsage,
)

_NANO: Final = Decimal("1e-9")
_COST_MAX_USD: Final = Decimal(PROVIDER_COST_MAX_NANO_USD) * _NANO
# Sixty digits hold every nano-dollar up to the bound, so rounding up twice is rounding up once.
_UP: Final = Context(prec=60, rounding=ROUND_CEILING)
_NUMBER: Final = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?")

# Paths into the usage object, the usual name first.
_INPUT: Final = ("prompt_tokens", "input_tokens")
_OUTPUT: Final = ("completion_tokens", "output_tokens")
_TOTAL: Final = ("total_tokens",)
_CACHED: Final = (
    "prompt_tokens_details.cached_tokens",
    "input_tokens_details.cached_tokens",
    "cache_read_input_tokens",
    "prompt_cache_hit_tokens",
    "cached_tokens",
)
_CACHE_WRITE: Final = (
    "prompt_tokens_details.cache_write_tokens",
    "prompt_tokens_details.cache_creation_tokens",
    "input_tokens_details.cache_write_tokens",
    "cache_creation_input_tokens",
)
_CACHE_WRITE_5M: Final = (
    "cache_creation.ephemeral_5m_input_tokens",
    "prompt_tokens_details.cache_creation_token_details.ephemeral_5m_input_tokens",
)
_CACHE_WRITE_1H: Final = (
    "cache_creation.ephemeral_1h_input_tokens",
    "prompt_tokens_details.cache_creation_token_details.ephemeral_1h_input_tokens",
)
_REASONING: Final = (
    "completion_tokens_details.reasoning_tokens",
    "output_tokens_details.reasoning_tokens",
    "output_tokens_details.thinking_tokens",
)
_PERPLEXITY: Final = ("citation_tokens", "num_search_queries")
# By genai-prices' usage keys.
_OTHER_UNITS: Final[Mapping[str, Sequence[str]]] = {
    "web_searches": (
        "server_tool_use_details.web_search_requests",
        "server_tool_use.web_search_requests",
        "prompt_tokens_details.web_search_requests",
        "server_side_tool_usage_details.web_search_calls",
        "tool_calls_details.search_web.invocation",
        "num_search_queries",
    ),
    "social_searches": ("server_side_tool_usage_details.x_search_calls",),
    "storage_searches": ("server_side_tool_usage_details.file_search_calls",),
    "code_executions": (
        "server_tool_use.code_execution_requests",
        "server_side_tool_usage_details.code_interpreter_calls",
    ),
    "input_audio_tokens": ("prompt_tokens_details.audio_tokens", "input_tokens_details.audio_tokens"),
    "input_image_tokens": ("prompt_tokens_details.image_tokens", "input_tokens_details.image_tokens"),
    "input_video_tokens": ("prompt_tokens_details.video_tokens",),
    "output_audio_tokens": ("completion_tokens_details.audio_tokens", "output_tokens_details.audio_tokens"),
    "output_image_tokens": ("completion_tokens_details.image_tokens", "output_tokens_details.image_tokens"),
    "output_citation_tokens": ("citation_tokens",),
}


def read_cost(reported: Mapping[str, Any]) -> int | None:
    """What the call cost, in nano-USD rounded up, out of an answer's `usage`; None if it does not say so."""
    cost = reported.get("cost")
    if isinstance(cost, dict):  # Perplexity's, by component
        cost = cost.get("total_cost")
    return _cost_nano_usd(
        cost, reported.get("is_byok"), [_at(reported, "cost_details.upstream_inference_cost")]
    )


def read_record_cost(record: Mapping[str, Any]) -> int | None:
    """The same out of a record of `/generation`."""
    cost = record.get("total_cost")
    return _cost_nano_usd(
        record.get("usage") if cost is None else cost,
        record.get("is_byok"),
        [record.get("byok_usage_inference"), record.get("upstream_inference_cost")],
    )


def read_usage(reported: Mapping[str, Any], cost_nano_usd: int | None) -> TokenUsage | None:
    """The counts in an answer's `usage`; None if they cannot be true.

    No model reads a prompt of no tokens, so counts that are all 0 are true only where the provider bills 0.
    """
    try:
        usage = _believed(reported)
    except ValueError:
        return None
    if usage.input_tokens == 0 and (usage.output_tokens > 0 or cost_nano_usd != 0):
        return None
    return usage


def read_record_usage(record: Mapping[str, Any], cost_nano_usd: int | None) -> TokenUsage | None:
    """The same out of a record of `/generation`.

    Its native counts are those that the provider bills; the others are of a tokenizer common to all models.
    """
    return read_usage(
        {
            "prompt_tokens": _first(record, ("native_tokens_prompt", "tokens_prompt")),
            "completion_tokens": _first(record, ("native_tokens_completion", "tokens_completion")),
            "prompt_tokens_details": {"cached_tokens": record.get("native_tokens_cached")},
            "completion_tokens_details": {
                "reasoning_tokens": record.get("native_tokens_reasoning"),
                "image_tokens": record.get("native_tokens_completion_images"),
            },
        },
        cost_nano_usd,
    )


def _believed(reported: Mapping[str, Any]) -> TokenUsage:
    """Raises ValueError where a count is negative, enormous or no number, or where totals are missing."""
    total = _count(reported, _TOTAL)
    input_tokens, output_tokens = _whole_counts(reported, total)
    cached = _count(reported, _CACHED) or 0
    write_5m, write_1h = _count(reported, _CACHE_WRITE_5M), _count(reported, _CACHE_WRITE_1H)
    cache_write = max(_count(reported, _CACHE_WRITE) or 0, (write_5m or 0) + (write_1h or 0))
    if write_1h is None and write_5m is not None:
        write_1h = cache_write - write_5m  # there are two lifetimes only
    reasoning = _count(reported, _REASONING)
    is_perplexity = reasoning is None and _first(reported, _PERPLEXITY) is not None
    if reasoning is None:
        reasoning = _count(reported, ("reasoning_tokens",)) or 0
    input_tokens, output_tokens = _reconciled(
        input_tokens,
        output_tokens,
        # Perplexity's own total is of prompt and completion alone.
        None if is_perplexity else total,
        cache=cached + cache_write,
        reasoning=reasoning,
        cache_is_apart=not _count(reported, _INPUT[:1])
        and _first(reported, ("cache_read_input_tokens", "cache_creation_input_tokens")) is not None,
        reasoning_is_apart=is_perplexity,
    )
    other_units = _other_units(reported)
    output_tokens += other_units.get("output_citation_tokens", 0)
    if max(input_tokens, output_tokens) > TOKENS_MAX:
        raise ValueError("more tokens than a call can use")
    return TokenUsage(
        input_tokens,
        output_tokens,
        cached,
        cache_write,
        reasoning,
        cache_write_1h_tokens=write_1h or 0,
        other_units=_that_fit(
            other_units, {"input": input_tokens - cached - cache_write, "output": output_tokens - reasoning}
        ),
    )


def _whole_counts(reported: Mapping[str, Any], total: int | None) -> tuple[int, int]:
    """Input and output as they are said; one that is missing is what the total leaves for it."""
    input_tokens, output_tokens = _count(reported, _INPUT), _count(reported, _OUTPUT)
    if input_tokens is None and output_tokens is None:
        raise ValueError("neither count is said")
    left = (-1 if total is None else total) - (input_tokens or 0) - (output_tokens or 0)
    if None in (input_tokens, output_tokens) and left < 0:
        raise ValueError("one count is missing, and no total tells it")
    return left if input_tokens is None else input_tokens, left if output_tokens is None else output_tokens


def _reconciled(
    input_tokens: int,
    output_tokens: int,
    total: int | None,
    *,
    cache: int,
    reasoning: int,
    cache_is_apart: bool,
    reasoning_is_apart: bool,
) -> tuple[int, int]:
    """Input and output with all their parts included. The two flags say which reading is the usual one."""
    readings = [
        (input_tokens + (cache if adds_cache else 0), output_tokens + (reasoning if adds_reasoning else 0))
        for adds_cache in (cache_is_apart, not cache_is_apart)
        for adds_reasoning in (reasoning_is_apart, not reasoning_is_apart)
    ]
    readings = [reading for reading in readings if cache <= reading[0] and reasoning <= reading[1]]
    for reading in readings:
        if sum(reading) == total:
            return reading
    input_tokens, output_tokens = readings[0]  # there is one: with both parts added, both fit
    if total is not None and total > input_tokens + output_tokens:
        # Providers count tokens in the total that they name nowhere else, such as thoughts: they are output.
        # A prompt of no tokens is what is missing itself.
        if input_tokens == 0:
            input_tokens = total - output_tokens
        else:
            output_tokens = total - input_tokens
    return input_tokens, output_tokens


def _other_units(reported: Mapping[str, Any]) -> dict[str, int]:
    """A count that cannot be true is left out: the tokens beside it are true all the same."""
    units: dict[str, int] = {}
    for unit, paths in _OTHER_UNITS.items():
        try:
            count = _count(reported, paths) or 0
        except ValueError:
            continue
        if 0 < count <= (TOKENS_MAX if unit.endswith("_tokens") else UNITS_MAX):
            units[unit] = count
    return units


def _that_fit(units: Mapping[str, int], left: dict[str, int]) -> dict[str, int]:
    """The units without those that do not fit beside the other parts of their whole.

    `left` is what the parts with names of their own leave of the input and of the output. Audio that came
    from a cache is in two parts, and no field says how much of it: it stays with the cached tokens.
    """
    fitting: dict[str, int] = {}
    for unit, count in units.items():
        if unit.endswith("_tokens"):
            whole = unit.partition("_")[0]
            if count > left[whole]:
                continue
            left[whole] -= count
        fitting[unit] = count
    return fitting


def _count(reported: Mapping[str, Any], paths: Sequence[str]) -> int | None:
    """The first count above 0, fractions rounded up; 0 if all are 0, None if there is none.

    Some servers send the fields of every vendor and fill only one vendor's. Raises ValueError.
    """
    count: int | None = None
    for path in paths:
        value = _at(reported, path)
        if value is None:
            continue
        number = _number(value)
        if number is None or not 0 <= number <= TOKENS_MAX:
            raise ValueError(f"{path} is no count")
        count = int(number.to_integral_value(rounding=ROUND_CEILING))
        if count > 0:
            break
    return count


def _cost_nano_usd(cost: object, is_byok: object, upstream: Sequence[object]) -> int | None:
    """With the account's own key at the provider (BYOK), `cost` is OpenRouter's fee alone: upstream is added.

    Otherwise `cost` includes what upstream bills. So where an answer does not say whose key it was, a cost
    below upstream's is such a fee.
    """
    billed = _usd(cost)
    if cost is not None and billed is None:
        return None
    upstream_usd = max((usd for usd in map(_usd, upstream) if usd is not None), default=None)
    if is_byok is None and billed is not None and upstream_usd is not None:
        is_byok = upstream_usd > billed
    if is_byok is True:
        billed = None if upstream_usd is None else _UP.add(billed or Decimal(0), upstream_usd)
    if billed is None or billed > _COST_MAX_USD:
        return None
    return int(_UP.quantize(billed, _NANO).scaleb(9))


def _usd(value: object) -> Decimal | None:
    number = _number(value)
    return number if number is not None and 0 <= number <= _COST_MAX_USD else None


def _number(value: object) -> Decimal | None:
    """A number as it stands in the JSON text, also in quotes, without a float between."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return Decimal(value.strip()) if _NUMBER.fullmatch(value.strip()) else None
    return Decimal(value) if isinstance(value, int | Decimal) else None


def _first(document: Mapping[str, Any], paths: Sequence[str]) -> object:
    return next((value for path in paths if (value := _at(document, path)) is not None), None)


def _at(document: Mapping[str, Any], path: str) -> object:
    """The value under a dotted path; None where there is none, or null."""
    value: object = document
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
