"""What a provider's error means: OpenRouter's, and those of other servers of OpenAI's API. Pure.

OpenRouter's has the shape {"error": {"code", "message", "metadata"}} with a number as its code. OpenAI's code
is a word ("rate_limit_exceeded"), Anthropic's word is its type, LiteLLM quotes the number and may wrap the
message, vLLM and Mistral put the fields at the top, Ollama and xAI make the error a text, and Gemini puts the
whole into a list.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from workflow_service.domain.error_class import ErrorClass

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
# These say more than the status that they come with: OpenAI answers 429 where the credit is used up.
_CLASS_BY_WORD: Final[Mapping[str, ErrorClass]] = {
    "rate_limit_exceeded": ErrorClass.RATE_LIMITED,
    "rate_limit_error": ErrorClass.RATE_LIMITED,
    "rate_limited": ErrorClass.RATE_LIMITED,
    "too_many_requests": ErrorClass.RATE_LIMITED,
    "resource_exhausted": ErrorClass.RATE_LIMITED,
    "insufficient_quota": ErrorClass.INSUFFICIENT_CREDITS,
    "insufficient_credits": ErrorClass.INSUFFICIENT_CREDITS,
    "insufficient_balance": ErrorClass.INSUFFICIENT_CREDITS,
    "billing_error": ErrorClass.INSUFFICIENT_CREDITS,
    "billing_not_active": ErrorClass.INSUFFICIENT_CREDITS,
    "billing_hard_limit_reached": ErrorClass.INSUFFICIENT_CREDITS,
    "budget_exceeded": ErrorClass.INSUFFICIENT_CREDITS,
    "model_not_found": ErrorClass.UNKNOWN_MODEL,
    "model_not_available": ErrorClass.UNKNOWN_MODEL,
    "model_not_supported": ErrorClass.UNKNOWN_MODEL,
    "unknown_model": ErrorClass.UNKNOWN_MODEL,
    "invalid_model": ErrorClass.UNKNOWN_MODEL,
    "deploymentnotfound": ErrorClass.UNKNOWN_MODEL,
    "invalid_api_key": ErrorClass.PROVIDER_UNAUTHORIZED,
    "authentication_error": ErrorClass.PROVIDER_UNAUTHORIZED,
    "content_filter": ErrorClass.FORBIDDEN,
    "content_policy_violation": ErrorClass.FORBIDDEN,
    "permission_error": ErrorClass.FORBIDDEN,
    "permission_denied": ErrorClass.FORBIDDEN,
    "context_length_exceeded": ErrorClass.INVALID_REQUEST,
}
# These say less: they count only inside a 200 that names no number.
_CLASS_BY_VAGUE_WORD: Final[Mapping[str, ErrorClass]] = {
    "invalid_request_error": ErrorClass.INVALID_REQUEST,
    "invalid_request": ErrorClass.INVALID_REQUEST,
    "bad_request": ErrorClass.INVALID_REQUEST,
    "not_found_error": ErrorClass.UNKNOWN_MODEL,
    "timeout": ErrorClass.TIMEOUT,
    "timeout_error": ErrorClass.TIMEOUT,
    "request_timeout": ErrorClass.TIMEOUT,
    "gateway_timeout": ErrorClass.TIMEOUT,
    "deadline_exceeded": ErrorClass.TIMEOUT,
    "unprocessable_entity": ErrorClass.UNPROCESSABLE,
}
_UNKNOWN_MODEL: Final = re.compile(
    r"""\bnot\ a\ valid\ model\b
    | \b(invalid|unknown|no\ such)\ model(\ name|\ id)?(\ passed\b | \s*[:=`'"] | \s*$)
    | \b(model|deployment)s?\b .{0,250} \b(does\ not\ exist|not\ exist|not\ found)\b""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class ProviderError:
    code: int | None
    """400 to 599, where the error names such a number, also in quotes."""
    words: tuple[str, ...]
    """Its code, type and status where they are words, in lower case."""
    message: str
    metadata: Mapping[str, Any]
    is_structured: bool
    """It is an object with fields, as the API promises, and not the text of some server in between."""


def refusal_in(document: object) -> ProviderError | None:
    """The error that the body of an answer with an error status is; None where it is none that we know."""
    if isinstance(document, list) and document:
        document = document[0]
    if not isinstance(document, dict):
        return None
    if (error := error_in(document)) is not None:
        return error
    for name in ("message", "detail"):
        if isinstance(document.get(name), str):
            return _error(document, document[name], is_structured=False)
    return None


def error_in(document: Mapping[str, Any]) -> ProviderError | None:
    """The error inside an answer, or inside one of its choices."""
    error = document.get("error")
    if isinstance(error, dict) and error:
        return _error(error, error.get("message"), is_structured=True)
    if isinstance(error, str) and error:
        return _error(document, error, is_structured=False)
    if document.get("object") == "error":
        return _error(document, document.get("message"), is_structured=True)
    return None


def error_class(status: int, error: ProviderError | None) -> ErrorClass:
    """`status` is the answer's; inside a 200 the error alone says what it is."""
    words = error.words if error is not None else ()
    for word in words:
        if word in _CLASS_BY_WORD:
            return _CLASS_BY_WORD[word]
    code: int | None = status
    if error is not None and status not in _CLASS_BY_CODE and status != 404:
        code = error.code or (status if status >= 300 else None)
    if error is not None and code in (400, 404, 422, None) and _UNKNOWN_MODEL.search(error.message):
        return ErrorClass.UNKNOWN_MODEL
    if code is None:
        vague = (_CLASS_BY_VAGUE_WORD[word] for word in words if word in _CLASS_BY_VAGUE_WORD)
        return next(vague, ErrorClass.PROVIDER_ERROR)
    if code == 404 and error is not None and error.is_structured:
        # "No endpoints found for …": nobody serves it, or nobody at our price.
        return ErrorClass.UNKNOWN_MODEL
    if code in _CLASS_BY_CODE:
        return _CLASS_BY_CODE[code]
    return ErrorClass.PROVIDER_ERROR if code >= 500 else ErrorClass.INVALID_REQUEST


def _error(fields: Mapping[str, Any], message: object, *, is_structured: bool) -> ProviderError:
    if isinstance(message, dict):
        message = message.get("error", message.get("message"))
    code: int | None = None
    words: list[str] = []
    for value in (fields.get("code"), fields.get("type"), fields.get("status")):
        if isinstance(value, str):
            words.append(value.strip().lower())
            value = int(value) if re.fullmatch(r"[0-9]{3}", value.strip()) else None
        if code is None and isinstance(value, int) and 400 <= value <= 599:
            code = value
    metadata = fields.get("metadata")
    return ProviderError(
        code=code,
        words=tuple(words),
        message=message if isinstance(message, str) else "",
        metadata=metadata if isinstance(metadata, dict) else {},
        is_structured=is_structured,
    )
