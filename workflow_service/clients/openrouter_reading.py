"""Interprets an answer of OpenRouter: completion or failure, the failure's class, the cost. Pure.

The facts are from OpenRouter's reference ("Errors and Debugging", "Usage Accounting", "Get a generation"):

- After a model has begun, an error comes inside a 200, at the top or in a choice.
- A 402 says if calls in flight hold the credit, and then has a Retry-After.

Other servers of the same API are understood, too: their errors by `reported_errors`, their counts and costs
by `reported_usage`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, Final, Never

from workflow_service.clients.openrouter_stream import StreamedAnswer
from workflow_service.clients.openrouter_types import (
    NOT_CHARGED,
    Charge,
    ChargeKind,
    Completion,
    GenerationRecord,
    ModelCallFailed,
    is_cut_off,
)
from workflow_service.clients.provider_text import Confidential
from workflow_service.clients.reported_errors import ProviderError, error_class, error_in, refusal_in
from workflow_service.clients.reported_json import json_of, object_of, text_of
from workflow_service.clients.reported_usage import (
    read_cost,
    read_record_cost,
    read_record_usage,
    read_usage,
)
from workflow_service.domain.error_class import ErrorClass

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
    parsed = json_of(answer.body)
    if not 200 <= answer.status < 300:
        _raise_refusal(answer, parsed, confidential)
    document = object_of(parsed)
    if document is None:
        charge = Charge(ChargeKind.UNKNOWN, generation_id=answer.generation_id(confidential))
        raise _failed(answer, ErrorClass.MALFORMED_RESPONSE, "the answer is not a JSON object", charge)
    return _completion(answer, document, requested_model, confidential)


def read_streamed(
    answer: HttpAnswer, streamed: StreamedAnswer, *, requested_model: str, confidential: Confidential
) -> Completion:
    """The completion in a stream that has ended. Raises ModelCallFailed if there is none."""
    document = streamed.document
    if not streamed.is_whole:
        what = "has a chunk that is not a JSON object" if streamed.is_malformed else "ended too early"
        charge = charge_of(answer, document, confidential)
        raise _failed(answer, ErrorClass.MALFORMED_RESPONSE, f"the stream {what}", charge)
    return _completion(answer, document, requested_model, confidential)


def _completion(
    answer: HttpAnswer, document: dict[str, Any], requested_model: str, confidential: Confidential
) -> Completion:
    charge = charge_of(answer, document, confidential)
    if (error := error_in(document)) is not None:
        _raise_error_inside(answer, error, charge, confidential)
    choices = document.get("choices")
    choice = object_of(choices[0]) if isinstance(choices, list) and choices else None
    if choice is None:
        raise _failed(answer, ErrorClass.MALFORMED_RESPONSE, "the answer has no choices", charge)
    if (error := error_in(choice)) is not None:
        _raise_error_inside(answer, error, charge, confidential)
    finish_reason = confidential.name(choice.get("finish_reason"))
    if finish_reason == "error":
        raise _failed(answer, ErrorClass.PROVIDER_ERROR, "the model stopped with an error", charge)
    if finish_reason == "content_filter":
        raise _failed(answer, ErrorClass.FORBIDDEN, "the provider held the answer back", charge)
    written = _written(choice)
    if written is None:
        raise _failed(answer, ErrorClass.MALFORMED_RESPONSE, "the choice has no message with text", charge)
    if not written and is_cut_off(finish_reason):
        message = "the model used up its output tokens before it wrote any text"
        raise _failed(answer, ErrorClass.OUTPUT_LIMIT_REACHED, message, charge)
    text = confidential.answer(written or _reasoned(choice))
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
    document = json_of(answer.body)
    if answer.status == 404:
        return None
    if not 200 <= answer.status < 300:
        _raise_refusal(answer, document, confidential)
    data = object_of(document.get("data")) if isinstance(document, dict) else None
    if data is None:
        raise _failed(answer, ErrorClass.MALFORMED_RESPONSE, "the record is not a JSON object", NOT_CHARGED)
    cost_nano_usd = read_record_cost(data)
    return GenerationRecord(
        generation_id=generation_id,
        served_model=confidential.name(data.get("model")),
        usage=read_record_usage(data, cost_nano_usd),
        provider_cost_nano_usd=cost_nano_usd,
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


def _raise_refusal(answer: HttpAnswer, document: object, confidential: Confidential) -> Never:
    """For a status that is no success. That includes redirects, which are never followed.

    A refusal costs nothing unless it says that it does.
    """
    error = refusal_in(document)
    status = answer.status
    refused = status in _REFUSED_WITH_5XX and error is not None if status >= 500 else status != 408
    charge = charge_of(answer, object_of(document) or {}, confidential)
    if refused and not charge.provider_cost_nano_usd and not (charge.usage and charge.usage.input_tokens):
        charge = NOT_CHARGED
    text = _provider_text(error, confidential)
    kind = error_class(status, error)
    raise _failed(
        answer,
        kind,
        f"the provider answered {status}{text}",
        charge,
        retry_after=_retry_after(answer, kind, error),
    )


def _raise_error_inside(
    answer: HttpAnswer, error: ProviderError, charge: Charge, confidential: Confidential
) -> Never:
    """For an error inside a 200.

    A model may have begun, so a missing usage does not mean that nothing was charged.
    """
    text = _provider_text(error, confidential)
    kind = error_class(answer.status, error)
    raise _failed(
        answer,
        kind,
        f"the provider answered {answer.status} with an error inside{text}",
        charge,
        retry_after=_retry_after(answer, kind, error),
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


def _retry_after(answer: HttpAnswer, kind: ErrorClass, error: ProviderError | None) -> float | None:
    metadata = error.metadata if error is not None else {}
    if kind is ErrorClass.INSUFFICIENT_CREDITS and not (
        metadata.get("reason") == "in_flight_budget_exhausted"
        or metadata.get("limit_source") == "openrouter_in_flight_budget"
        or (error is not None and "in-flight requests" in error.message)
    ):
        return None
    asked = retry_after_seconds(answer.headers.get("retry-after"), answer.received_time)
    if asked is None:
        value = metadata.get("retry_after_seconds")  # present where OpenRouter passes on a provider's 429
        if isinstance(value, int | Decimal) and not isinstance(value, bool) and 0 <= value < 10**9:
            asked = float(value)
    return asked


def charge_of(answer: HttpAnswer, document: dict[str, Any], confidential: Confidential) -> Charge:
    """The charge that the body reports; UNKNOWN if its token counts are missing or cannot be true."""
    reported = object_of(document.get("usage")) or {}
    cost_nano_usd = read_cost(reported)
    usage = read_usage(reported, cost_nano_usd)
    return Charge(
        ChargeKind.UNKNOWN if usage is None else ChargeKind.USED,
        usage=usage,
        provider_cost_nano_usd=cost_nano_usd,
        served_model=confidential.name(document.get("model")),
        generation_id=confidential.name(document.get("id")) or answer.generation_id(confidential),
    )


def _written(choice: dict[str, Any]) -> str | None:
    """The answer's text, "" where the model wrote none; None where the choice has no message."""
    message = object_of(choice.get("message"))
    if message is None:
        text = choice.get("text")  # of the older completions API
        return text if isinstance(text, str) else None
    return text_of(message.get("content"))


def _reasoned(choice: dict[str, Any]) -> str:
    """Some servers take the whole answer for reasoning and leave `content` empty."""
    message = object_of(choice.get("message")) or {}
    for name in ("reasoning_content", "reasoning"):
        if isinstance(text := message.get(name), str) and text:
            return text
    return ""


def _provider_text(error: ProviderError | None, confidential: Confidential) -> str:
    """The provider's message, to append to our own text; "" if it must not be shown.

    The error's metadata is never shown: it can contain the flagged part of the prompt, or another service's
    answer.
    """
    text = confidential.message(error.message) if error is not None else ""
    return f": {text}" if text else ""
