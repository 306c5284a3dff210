"""Interprets an answer of OpenRouter: completion or failure, the failure's class, the cost. Pure.

The facts are from OpenRouter's reference ("Errors and Debugging", "Usage Accounting", "Get a generation"):

- An error has the shape {"error": {"code", "message", "metadata"}}.
- After a model has begun, an error comes inside a 200, at the top or in a choice.
- A 402 says if calls in flight hold the credit, and then has a Retry-After.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from email.utils import parsedate_to_datetime
from typing import Any, Final, Never

from workflow_service.clients.openrouter_types import (
    NOT_CHARGED,
    PROVIDER_COST_MAX_NANO_USD,
    TOKENS_MAX,
    Charge,
    ChargeKind,
    Completion,
    GenerationRecord,
    ModelCallFailed,
    TokenUsage,
)
from workflow_service.clients.provider_text import Confidential
from workflow_service.domain.error_class import ErrorClass

_NANO: Final = Decimal("1e-9")

_CLASS_BY_CODE: Final[Mapping[int, ErrorClass]] = {
    401: ErrorClass.PROVIDER_UNAUTHORIZED,
    402: ErrorClass.INSUFFICIENT_CREDITS,
    403: ErrorClass.FORBIDDEN,
    408: ErrorClass.TIMEOUT,
    422: ErrorClass.UNPROCESSABLE,
    429: ErrorClass.RATE_LIMITED,
    504: ErrorClass.TIMEOUT,
    524: ErrorClass.TIMEOUT,
}
# OpenRouter sends these only before a model has begun. The other 5xx may come later.
_REFUSED_WITH_5XX: Final = frozenset({503, 529})


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes
    received_time: datetime
    """Timezone-aware. An HTTP-date in Retry-After is compared with it."""

    def generation_id(self, confidential: Confidential) -> str | None:
        return confidential.name(self.headers.get("x-generation-id"))


def read_completion(answer: HttpAnswer, *, requested_model: str, confidential: Confidential) -> Completion:
    """The completion in `answer`. Raises ModelCallFailed if there is none."""
    document = _json_object(answer.body)
    if not 200 <= answer.status < 300:
        _raise_refusal(answer, document, confidential)
    if document is None:
        charge = Charge(ChargeKind.UNKNOWN, generation_id=answer.generation_id(confidential))
        raise _failed(answer, ErrorClass.MALFORMED_RESPONSE, "the answer is not a JSON object", charge)
    charge = _charge(answer, document, confidential)
    if error := _object(document.get("error")):
        _raise_error_inside(answer, error, charge, confidential)
    choices = document.get("choices")
    choice = _object(choices[0]) if isinstance(choices, list) and choices else None
    if choice is None:
        raise _failed(answer, ErrorClass.MALFORMED_RESPONSE, "the answer has no choices", charge)
    if error := _object(choice.get("error")):
        _raise_error_inside(answer, error, charge, confidential)
    finish_reason = confidential.name(choice.get("finish_reason"))
    if finish_reason == "error":
        raise _failed(answer, ErrorClass.PROVIDER_ERROR, "the model stopped with an error", charge)
    message = _object(choice.get("message"))
    content = message.get("content") if message is not None else 0
    if not isinstance(content, str | None):
        raise _failed(answer, ErrorClass.MALFORMED_RESPONSE, "the choice has no message with text", charge)
    text = confidential.answer(content or "")
    usage = charge.usage
    if usage is not None and text and usage.output_tokens == 0:
        usage = None  # there is text, so a count of 0 is wrong
    return Completion(
        text=text,
        generation_id=charge.generation_id,
        served_model=charge.served_model or requested_model,
        usage=usage,
        provider_cost_nano_usd=charge.provider_cost_nano_usd,
        finish_reason=finish_reason,
    )


def read_generation(
    answer: HttpAnswer, *, generation_id: str, confidential: Confidential
) -> GenerationRecord | None:
    """The record in `answer`; None if the provider has none. Raises ModelCallFailed for any other answer."""
    document = _json_object(answer.body)
    if answer.status == 404:
        return None
    if not 200 <= answer.status < 300:
        _raise_refusal(answer, document, confidential)
    data = _object(document.get("data")) if document is not None else None
    if data is None:
        raise _failed(answer, ErrorClass.MALFORMED_RESPONSE, "the record is not a JSON object", NOT_CHARGED)
    # The provider bills the native counts. The others are from a common tokenizer.
    usage = _usage(
        input_tokens=data.get("native_tokens_prompt", data.get("tokens_prompt")),
        output_tokens=data.get("native_tokens_completion", data.get("tokens_completion")),
        cached_input_tokens=data.get("native_tokens_cached"),
        cache_write_tokens=None,
        reasoning_tokens=data.get("native_tokens_reasoning"),
    )
    return GenerationRecord(
        generation_id=generation_id,
        served_model=confidential.name(data.get("model")),
        usage=usage,
        provider_cost_nano_usd=_nano_usd(data.get("total_cost")),
    )


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """From a Retry-After header (RFC 9110): whole seconds or an HTTP-date. None for anything else."""
    if value is None:
        return None
    value = value.strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def _raise_refusal(answer: HttpAnswer, document: dict[str, Any] | None, confidential: Confidential) -> Never:
    """For a status that is no success. That includes redirects, which are never followed."""
    error = _object(document.get("error")) if document is not None else None
    status = answer.status
    refused = status in _REFUSED_WITH_5XX and error is not None if status >= 500 else status != 408
    charge = NOT_CHARGED if refused else _charge(answer, document or {}, confidential)
    text = _provider_text(error, confidential)
    raise _failed(
        answer,
        _error_class(status, error),
        f"the provider answered {status}{text}",
        charge,
        retry_after=_retry_after(answer, status, error),
    )


def _raise_error_inside(
    answer: HttpAnswer, error: dict[str, Any], charge: Charge, confidential: Confidential
) -> Never:
    """For an error inside a 200.

    A model may have begun, so a missing usage does not mean that nothing was charged.
    """
    code = error.get("code")
    if not isinstance(code, int) or not 400 <= code <= 599:
        code = 500
    text = _provider_text(error, confidential)
    raise _failed(
        answer,
        _error_class(code, error),
        f"the provider answered {answer.status} with an error inside{text}",
        charge,
        retry_after=_retry_after(answer, code, error),
    )


def _failed(
    answer: HttpAnswer,
    error_class: ErrorClass,
    message: str,
    charge: Charge,
    *,
    retry_after: float | None = None,
) -> ModelCallFailed:
    return ModelCallFailed(
        error_class, message, charge=charge, http_status=answer.status, retry_after_seconds=retry_after
    )


def _error_class(code: int, error: dict[str, Any] | None) -> ErrorClass:
    message = _message(error)
    if code == 400 and re.search(r"\bnot a valid model\b", message, re.IGNORECASE):
        return ErrorClass.UNKNOWN_MODEL  # "openai/gpt-0 is not a valid model ID"
    if code == 404 and error is not None:
        # "No endpoints found for …": also if nobody serves it at the price allowed.
        return ErrorClass.UNKNOWN_MODEL
    if code in _CLASS_BY_CODE:
        return _CLASS_BY_CODE[code]
    return ErrorClass.PROVIDER_ERROR if code >= 500 else ErrorClass.INVALID_REQUEST


def _retry_after(answer: HttpAnswer, code: int, error: dict[str, Any] | None) -> float | None:
    metadata = (_object(error.get("metadata")) if error is not None else None) or {}
    if code == 402 and not (
        metadata.get("reason") == "in_flight_budget_exhausted"
        or metadata.get("limit_source") == "openrouter_in_flight_budget"
        or "in-flight requests" in _message(error)
    ):
        return None
    asked = retry_after_seconds(answer.headers.get("retry-after"), answer.received_time)
    if asked is None:
        value = metadata.get("retry_after_seconds")  # present where OpenRouter passes on a provider's 429
        if isinstance(value, int | Decimal) and not isinstance(value, bool) and 0 <= value < 10**9:
            asked = float(value)
    return asked


def _charge(answer: HttpAnswer, document: dict[str, Any], confidential: Confidential) -> Charge:
    """The charge that the body reports; UNKNOWN if its token counts are missing or cannot be true."""
    reported = _object(document.get("usage")) or {}
    prompt_details = _object(reported.get("prompt_tokens_details")) or {}
    completion_details = _object(reported.get("completion_tokens_details")) or {}
    charge = Charge(
        ChargeKind.UNKNOWN,
        provider_cost_nano_usd=_nano_usd(reported.get("cost")),
        served_model=confidential.name(document.get("model")),
        generation_id=confidential.name(document.get("id")) or answer.generation_id(confidential),
    )
    usage = _usage(
        input_tokens=reported.get("prompt_tokens"),
        output_tokens=reported.get("completion_tokens"),
        cached_input_tokens=prompt_details.get("cached_tokens"),
        cache_write_tokens=prompt_details.get("cache_write_tokens"),
        reasoning_tokens=completion_details.get("reasoning_tokens"),
    )
    return charge if usage is None else replace(charge, kind=ChargeKind.USED, usage=usage)


def _usage(
    *,
    input_tokens: object,
    output_tokens: object,
    cached_input_tokens: object,
    cache_write_tokens: object,
    reasoning_tokens: object,
) -> TokenUsage | None:
    """None if a count cannot be true, such as a prompt of 0 tokens. A missing part counts as 0."""
    parts = [
        0 if part is None else part for part in (cached_input_tokens, cache_write_tokens, reasoning_tokens)
    ]
    counts = [
        count
        for count in (input_tokens, output_tokens, *parts)
        if isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= TOKENS_MAX
    ]
    if len(counts) != 5:
        return None
    total_input, total_output, cached, cache_write, reasoning = counts
    if total_input == 0 or cached + cache_write > total_input or reasoning > total_output:
        return None
    return TokenUsage(total_input, total_output, cached, cache_write, reasoning)


def _nano_usd(value: object) -> int | None:
    """USD, parsed without a float, as nano-USD rounded up. None if the amount cannot be true."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    usd = Decimal(value)
    if not 0 <= usd <= Decimal(PROVIDER_COST_MAX_NANO_USD) * _NANO:
        return None
    return int(usd.quantize(_NANO, rounding=ROUND_CEILING).scaleb(9))


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        return _object(json.loads(body, parse_float=Decimal, parse_constant=_refuse_constant))
    except (ValueError, ArithmeticError, RecursionError):  # includes bad UTF-8, and numbers that are too long
        return None


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is not JSON")


def _object(value: object) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


def _message(error: dict[str, Any] | None) -> str:
    message = error.get("message") if error is not None else None
    return message if isinstance(message, str) else ""


def _provider_text(error: dict[str, Any] | None, confidential: Confidential) -> str:
    """The provider's message, to append to our own text; "" if it must not be shown.

    The error's metadata is never shown: it can contain the flagged part of the prompt, or another service's
    answer.
    """
    text = confidential.message(_message(error))
    return f": {text}" if text else ""
