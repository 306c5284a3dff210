"""How long to wait before a model is asked again: 1 s, doubled each time, at most 30 s, with jitter."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RetryPolicy:
    attempts: int = 3
    """Calls to one model, the first included."""
    initial_seconds: float = 1.0
    delay_max_seconds: float = 30.0
    """Also the bound of a Retry-After: a provider must not be able to stop a step for an hour."""


def delay_seconds(
    policy: RetryPolicy, *, failed_attempts: int, retry_after_seconds: float | None, jitter: float
) -> float:
    """The wait after `failed_attempts` (≥ 1) failures. The caller draws `jitter` from [0, 1).

    Without Retry-After the wait is between half and all of the exponential delay. With Retry-After it is a
    little longer than the provider asked (up to the bound), so that callers with the same Retry-After spread
    out.
    """
    # The exponent is bounded: 2.0 ** 1024 overflows.
    backoff = min(policy.initial_seconds * 2.0 ** min(failed_attempts - 1, 64), policy.delay_max_seconds)
    delay = backoff * (0.5 + jitter / 2)
    if retry_after_seconds is not None:
        delay = max(delay, retry_after_seconds + jitter * policy.initial_seconds)
    return min(delay, policy.delay_max_seconds)
