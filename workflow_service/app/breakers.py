"""The circuit breakers of this process, one for each model of the route."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from workflow_service.domain.breaker import (
    Breaker,
    BreakerPolicy,
    after_outcome,
    begin_probe,
    is_failure,
)
from workflow_service.domain.error_class import ErrorClass

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BreakerChange:
    """A model's breaker has opened, or closed again."""

    model: str
    is_open: bool


def log_change(change: BreakerChange) -> None:
    _log.warning("breaker_opened" if change.is_open else "breaker_closed", model=change.model)


class Breakers:
    """`on_change` is called at each change, in the event loop: it must not block and not raise."""

    def __init__(
        self,
        models: Sequence[str],
        policy: BreakerPolicy,
        *,
        on_change: Callable[[BreakerChange], None] = log_change,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._breakers = dict.fromkeys(models, Breaker())
        self._policy = policy
        self._on_change = on_change
        self._clock = clock

    def is_closed(self, model: str) -> bool:
        return self._breakers[model].is_closed

    def admitted(self, models: Sequence[str]) -> tuple[str, ...]:
        """Those of `models` that may be called now; () if none.

        Where the first is due for a probe, the caller is the one who probes it.
        """
        for position, model in enumerate(models):
            if not self.is_closed(model):
                probed = begin_probe(self._breakers[model], self._policy, now=self._clock())
                if probed is None:
                    continue
                self._breakers[model] = probed
            return (model, *filter(self.is_closed, models[position + 1 :]))
        return ()

    def wait_seconds(self, models: Sequence[str]) -> float:
        """Until the first of them may be called."""
        waits = (self._breakers[model].open_until or 0.0 for model in models)
        return max(min(waits) - self._clock(), 0.0)

    def note(self, model: str, error_class: ErrorClass | None) -> None:
        """A call of `model` has ended; None: well."""
        failed = is_failure(error_class)
        if failed is None:
            return
        before = self._breakers[model]
        after = after_outcome(before, self._policy, failed=failed, now=self._clock())
        self._breakers[model] = after
        if before.is_closed != after.is_closed:
            self._on_change(BreakerChange(model, is_open=not after.is_closed))
