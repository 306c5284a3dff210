"""When a model that keeps failing is left alone for a while. Pure: a breaker, an outcome, a time → a breaker.

A breaker opens when most of a model's recent calls failed, and enough of them. While it is open, nobody
calls the model. After that one caller tries it, the probe: its outcome closes the breaker or opens it again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from workflow_service.domain.error_class import ErrorClass

_OUTAGES = frozenset(
    {
        ErrorClass.PROVIDER_ERROR,
        ErrorClass.TIMEOUT,
        ErrorClass.CONNECTION_FAILED,
        ErrorClass.MALFORMED_RESPONSE,
    }
)
_ANSWERS = frozenset(
    {
        None,
        ErrorClass.UNPARSABLE_RESULT,
        ErrorClass.OUTPUT_LIMIT_REACHED,
        ErrorClass.NOTHING_VALID,
    }
)


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    failures_min: int = 5
    """Fewer failures open no breaker."""
    window_seconds: float = 60.0
    """Older outcomes do not count."""
    outcomes_max: int = 50
    """Of more outcomes within the window, the newest count."""
    open_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Breaker:
    outcomes: Sequence[tuple[float, bool]] = ()
    """The time of each recent call's end, and whether it failed, oldest first; empty while it is open."""
    open_until: float | None = None
    """When the next probe may begin; None: closed."""

    @property
    def is_closed(self) -> bool:
        return self.open_until is None


def is_failure(error_class: ErrorClass | None) -> bool | None:
    """Whether a call says that its model is out of order; None where it says nothing about that.

    `error_class` None: the call was good. A model that answers badly is in order. A refused request, and a
    rate limit, which names its own wait, say nothing.
    """
    if error_class in _OUTAGES:
        return True
    return False if error_class in _ANSWERS else None


def after_outcome(breaker: Breaker, policy: BreakerPolicy, *, failed: bool, now: float) -> Breaker:
    """An answer closes an open breaker, also that of a call that began before it opened."""
    if not breaker.is_closed:
        return Breaker(open_until=now + policy.open_seconds) if failed else Breaker()
    recent = [outcome for outcome in breaker.outcomes if outcome[0] > now - policy.window_seconds]
    outcomes = (*recent, (now, failed))[-policy.outcomes_max :]
    failures = sum(failed for _, failed in outcomes)
    if failures >= policy.failures_min and 2 * failures >= len(outcomes):
        return Breaker(open_until=now + policy.open_seconds)
    return Breaker(outcomes)


def begin_probe(breaker: Breaker, policy: BreakerPolicy, *, now: float) -> Breaker | None:
    """The breaker once the caller has begun to probe; None where it may not.

    A probe whose outcome says nothing, or never comes, is followed by the next one after the same time.
    """
    if breaker.open_until is None or now < breaker.open_until:
        return None
    return replace(breaker, open_until=now + policy.open_seconds)
