"""The closed set of failure classes, as events, the history and `last_error` have them.

A class says what went wrong. The functions below say what routing does about it. The class does not say
what the failure cost: the client gives that beside it.
"""

from enum import StrEnum


class ErrorClass(StrEnum):
    """Why a model call or a step failed. The names are those of the proto enum, without its prefix."""

    RATE_LIMITED = "RATE_LIMITED"
    """The provider answered 429: too many requests."""
    PROVIDER_ERROR = "PROVIDER_ERROR"
    """The provider or the model behind it failed: 5xx, or an error inside a 200."""
    TIMEOUT = "TIMEOUT"
    """The total deadline of the call passed, or the provider gave up waiting (408, 504, 524)."""
    CONNECTION_FAILED = "CONNECTION_FAILED"
    """No connection could be made, or it broke before the whole answer was read."""
    INVALID_REQUEST = "INVALID_REQUEST"
    """The provider rejects the request (400, 413 and other 4xx)."""
    PROVIDER_UNAUTHORIZED = "PROVIDER_UNAUTHORIZED"
    """The provider does not accept the API key (401)."""
    INSUFFICIENT_CREDITS = "INSUFFICIENT_CREDITS"
    """The credit does not suffice (402). Waiting helps only if calls in flight hold it."""
    FORBIDDEN = "FORBIDDEN"
    """The provider refuses the content, or the key has no permission (403)."""
    UNPROCESSABLE = "UNPROCESSABLE"
    """The request is well formed but cannot be carried out (422)."""
    UNKNOWN_MODEL = "UNKNOWN_MODEL"
    """The provider does not know the model (400), or nobody serves it at the price allowed (404)."""
    MALFORMED_RESPONSE = "MALFORMED_RESPONSE"
    """The answer is not a chat completion: HTML, truncated JSON, no choices, a body that is too large."""
    UNPARSABLE_RESULT = "UNPARSABLE_RESULT"
    """The model answered, but its text does not parse as the step's result."""
    OUTPUT_LIMIT_REACHED = "OUTPUT_LIMIT_REACHED"
    """The model used up the granted output tokens before its answer was whole."""
    BUDGET_DENIED = "BUDGET_DENIED"
    """The governor refused the hold: no candidate model fits the budgets."""
    GOVERNOR_REFUSED = "GOVERNOR_REFUSED"
    """The governor refused for a reason other than a budget (model not allowed, not priced, frozen)."""
    GOVERNOR_UNAVAILABLE = "GOVERNOR_UNAVAILABLE"
    """The governor could not be asked, so no model call was sent."""
    NOTHING_VALID = "NOTHING_VALID"
    """VALIDATION found no valid cluster, so there is nothing to write articles about."""
    PUBLISH_FAILED = "PUBLISH_FAILED"
    """An article could not be delivered to the publish target."""
    LEASE_EXPIRED = "LEASE_EXPIRED"
    """The step's lease expired more often than takeovers are allowed."""
    REPORTED_BY_WORKER = "REPORTED_BY_WORKER"
    """An outside worker failed the step."""
    INTERNAL = "INTERNAL"
    """A fault of this service. Its log has the details under the correlation id."""


_RETRIED = frozenset(
    {
        ErrorClass.RATE_LIMITED,
        ErrorClass.PROVIDER_ERROR,
        ErrorClass.TIMEOUT,
        ErrorClass.CONNECTION_FAILED,
        ErrorClass.MALFORMED_RESPONSE,
    }
)
_ASKED_DIFFERENTLY = frozenset({ErrorClass.UNPARSABLE_RESULT, ErrorClass.OUTPUT_LIMIT_REACHED})


def is_retried(error_class: ErrorClass, retry_after_seconds: float | None) -> bool:
    """Whether the same model may be asked the same again.

    A 402 is final unless it has a Retry-After. The client reports a Retry-After for a 402 only if the
    provider says that calls in flight hold the credit.
    """
    if error_class is ErrorClass.INSUFFICIENT_CREDITS:
        return retry_after_seconds is not None
    return error_class in _RETRIED


def is_asked_differently(error_class: ErrorClass) -> bool:
    """Whether the same model may be asked once more, but not the same.

    It is shown what is wrong with its answer, or gets more output tokens.
    """
    return error_class in _ASKED_DIFFERENTLY


def moves_to_next_model(error_class: ErrorClass) -> bool:
    """Whether another model may succeed after this one was given up.

    Another model does not help where the API key, the credit, the request or the budgets are the problem.
    """
    return (
        error_class in _RETRIED
        or error_class in _ASKED_DIFFERENTLY
        or error_class is ErrorClass.UNKNOWN_MODEL
    )
