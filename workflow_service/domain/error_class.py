"""The closed set of failure classes: what events, the history, and `last_error` carry.

A class says what went wrong and, through the two functions below, what routing does about it. What the
failure cost is not part of the class: a client that raises a failure says that beside it.
"""

from enum import StrEnum


class ErrorClass(StrEnum):
    """Why a model call, or a step, failed. Names are those of the proto enum without its prefix."""

    RATE_LIMITED = "RATE_LIMITED"
    """The provider answered 429: too many requests for now."""
    PROVIDER_ERROR = "PROVIDER_ERROR"
    """The provider or the model behind it failed: 5xx, or an error inside a 200."""
    TIMEOUT = "TIMEOUT"
    """The total deadline of the call passed, or the provider gave up waiting (408, 504, 524)."""
    CONNECTION_FAILED = "CONNECTION_FAILED"
    """No connection could be made, or it broke before the answer was whole."""
    INVALID_REQUEST = "INVALID_REQUEST"
    """The provider does not take the request as it stands (400, 413 and other 4xx)."""
    PROVIDER_UNAUTHORIZED = "PROVIDER_UNAUTHORIZED"
    """The provider does not accept the API key (401)."""
    INSUFFICIENT_CREDITS = "INSUFFICIENT_CREDITS"
    """The credit does not suffice (402). Waiting helps only where calls in flight hold it."""
    FORBIDDEN = "FORBIDDEN"
    """The provider refuses the content, or the key may not do this (403)."""
    UNPROCESSABLE = "UNPROCESSABLE"
    """The request is well formed and cannot be carried out (422)."""
    UNKNOWN_MODEL = "UNKNOWN_MODEL"
    """The provider does not know the model (400), or has nobody who serves it on our terms (404)."""
    MALFORMED_RESPONSE = "MALFORMED_RESPONSE"
    """The answer is no chat completion: HTML, truncated JSON, no choices, too large a body."""
    UNPARSABLE_RESULT = "UNPARSABLE_RESULT"
    """The model answered, and its text does not parse as the step's result."""
    BUDGET_DENIED = "BUDGET_DENIED"
    """The governor refused the hold: no candidate model fits the budgets."""
    GOVERNOR_REFUSED = "GOVERNOR_REFUSED"
    """The governor refused for another reason than a budget (model not allowed, not priced, frozen)."""
    GOVERNOR_UNAVAILABLE = "GOVERNOR_UNAVAILABLE"
    """The governor could not be asked, so no model call was sent."""
    NOTHING_VALID = "NOTHING_VALID"
    """VALIDATION found no cluster valid: there is nothing to write articles about."""
    PUBLISH_FAILED = "PUBLISH_FAILED"
    """An article could not be delivered to the publish target."""
    LEASE_EXPIRED = "LEASE_EXPIRED"
    """The step's lease ran out more often than takeovers are allowed."""
    REPORTED_BY_WORKER = "REPORTED_BY_WORKER"
    """A worker outside failed the step."""
    INTERNAL = "INTERNAL"
    """Our own fault; the log has it under the correlation id."""


_RETRIED = frozenset(
    {
        ErrorClass.RATE_LIMITED,
        ErrorClass.PROVIDER_ERROR,
        ErrorClass.TIMEOUT,
        ErrorClass.CONNECTION_FAILED,
        ErrorClass.MALFORMED_RESPONSE,
        ErrorClass.UNPARSABLE_RESULT,
    }
)


def is_retried(error_class: ErrorClass, retry_after_seconds: float | None) -> bool:
    """Whether the same model may be asked again.

    A 402 is final unless it came with a Retry-After: the client passes one on for a 402 only where the
    provider says that calls in flight hold the credit.
    """
    if error_class is ErrorClass.INSUFFICIENT_CREDITS:
        return retry_after_seconds is not None
    return error_class in _RETRIED


def moves_to_next_model(error_class: ErrorClass) -> bool:
    """Whether another model may succeed once this one has been given up.

    Another model cannot help with our key, our credit, our request or our budgets.
    """
    return error_class in _RETRIED or error_class is ErrorClass.UNKNOWN_MODEL
