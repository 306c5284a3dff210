"""Which model is asked next: a pure function of the route and of the failures so far.

The same failures always lead to the same models. Only the waits differ, by the jitter that the caller draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from workflow_service.domain.error_class import (
    ErrorClass,
    is_asked_differently,
    is_retried,
    moves_to_next_model,
)
from workflow_service.domain.retry import RetryPolicy, delay_seconds

DEFAULT_MODELS = ("perplexity/sonar", "openai/gpt-4o-mini")


@dataclass(frozen=True)
class Route:
    models: tuple[str, ...] = DEFAULT_MODELS
    """In order of preference, without repetitions."""
    disable_fallback: bool = False
    retry: RetryPolicy = field(default_factory=RetryPolicy)

    def __post_init__(self) -> None:
        if not self.models or len(set(self.models)) != len(self.models):
            raise ValueError("a route names at least one model, and each once")


@dataclass(frozen=True)
class Failure:
    """One failed call for one item of a step."""

    model: str
    """The route's name of the model that was granted and asked."""
    error_class: ErrorClass
    retry_after_seconds: float | None = None
    is_last: bool = False
    """The model cannot be asked again: it has no more output tokens, or no budget for more."""


@dataclass(frozen=True)
class Retry:
    """The same model again, after a wait."""

    models: tuple[str, ...]
    """What to authorize, in order: the same model first, then others that a tight budget may still grant."""
    delay_seconds: float


@dataclass(frozen=True)
class Repair:
    """The same model at once. It is shown its answer, and what is wrong with it."""

    models: tuple[str, ...]
    """As those of Retry."""


@dataclass(frozen=True)
class MoreTokens:
    """The same model at once, with more output tokens than before."""

    models: tuple[str, ...]
    """Only that model: the others have not been cut off."""


@dataclass(frozen=True)
class NextModel:
    """Another model, at once."""

    models: tuple[str, ...]
    """What to authorize, in order."""


@dataclass(frozen=True)
class Fail:
    """No model is left. The step fails with the class of the last failure."""

    error_class: ErrorClass


def candidates(route: Route, failures: Sequence[Failure]) -> tuple[str, ...]:
    """The models that may still be asked, in the order of the route."""
    usable = route.models[:1] if route.disable_fallback else route.models
    return tuple(model for model in usable if not _given_up(route, failures, model))


Move: TypeAlias = Retry | Repair | MoreTokens | NextModel | Fail


def next_move(route: Route, failures: Sequence[Failure], *, jitter: float) -> Move:
    """What follows the last of `failures` (at least one, oldest first).

    The governor may have granted another model than the first (a downgrade), so the model that failed counts.
    It is asked up to `retry.attempts` times, but only once more after an answer that does not parse, and once
    more after one that was cut off. After that the first model that was not given up is asked.
    """
    last = failures[-1]
    if last.model not in route.models:
        raise ValueError("a failure of a model that is not on the route")
    left = candidates(route, failures)
    if last.model in left:
        others = tuple(model for model in left if model != last.model)
        if last.error_class is ErrorClass.UNPARSABLE_RESULT:
            return Repair(models=(last.model, *others))
        if last.error_class is ErrorClass.OUTPUT_LIMIT_REACHED:
            return MoreTokens(models=(last.model,))
        failed_attempts = sum(failure.model == last.model for failure in failures)
        wait = delay_seconds(
            route.retry,
            failed_attempts=failed_attempts,
            retry_after_seconds=last.retry_after_seconds,
            jitter=jitter,
        )
        return Retry(models=(last.model, *others), delay_seconds=wait)
    if left and moves_to_next_model(last.error_class):
        return NextModel(models=left)
    return Fail(last.error_class)


def _given_up(route: Route, failures: Sequence[Failure], model: str) -> bool:
    mine = [failure for failure in failures if failure.model == model]
    if len(mine) >= route.retry.attempts or any(failure.is_last for failure in mine):
        return True
    classes = [failure.error_class for failure in mine]
    return any(
        classes.count(failure.error_class) > 1
        if is_asked_differently(failure.error_class)
        else not is_retried(failure.error_class, failure.retry_after_seconds)
        for failure in mine
    )
