"""How long to wait before a model is asked again: 1 s, doubled each time, at most 30 s, with jitter."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RetryPolicy:
    attempts: int = 3
    """Calls to one model, the first included."""
    initial_seconds: float = 1.0
    delay_max_seconds: float = 30.0
    """Also bounds what a Retry-After can ask for: a provider must not be able to park a step for an hour."""


def delay_seconds(
    policy: RetryPolicy, *, failed_attempts: int, retry_after_seconds: float | None, jitter: float
) -> float:
    """The wait after `failed_attempts` (≥ 1) failures; `jitter` in [0, 1) is drawn by the caller.

    Without Retry-After: between a half and the whole of the exponential delay. With it: never earlier than
    the provider asked (up to the bound), and a little later, so that callers told the same do not return as
    one.
    """
    # The exponent is bounded before the power is taken: 2.0 ** 1024 overflows.
    backoff = min(policy.initial_seconds * 2.0 ** min(failed_attempts - 1, 64), policy.delay_max_seconds)
    delay = backoff * (0.5 + jitter / 2)
    if retry_after_seconds is not None:
        delay = max(delay, retry_after_seconds + jitter * policy.initial_seconds)
    return min(delay, policy.delay_max_seconds)
