"""The order of models is data, and the same failures always give the same route."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.output_tokens import OUTPUT_TOKENS_LIMIT, OutputTokens, output_tokens
from workflow_service.domain.retry import RetryPolicy
from workflow_service.domain.routing import (
    Fail,
    Failure,
    MoreTokens,
    Move,
    NextModel,
    Repair,
    Retry,
    Route,
    candidates,
    next_move,
)

SONAR, MINI = "perplexity/sonar", "openai/gpt-4o-mini"
ROUTE = Route()
FINAL = (
    ErrorClass.INVALID_REQUEST,
    ErrorClass.PROVIDER_UNAUTHORIZED,
    ErrorClass.FORBIDDEN,
    ErrorClass.UNPROCESSABLE,
    ErrorClass.BUDGET_DENIED,
    ErrorClass.GOVERNOR_REFUSED,
    ErrorClass.GOVERNOR_UNAVAILABLE,
    ErrorClass.NOTHING_VALID,
    ErrorClass.INTERNAL,
)
RETRIED = (
    ErrorClass.RATE_LIMITED,
    ErrorClass.PROVIDER_ERROR,
    ErrorClass.TIMEOUT,
    ErrorClass.CONNECTION_FAILED,
    ErrorClass.MALFORMED_RESPONSE,
)


def route_of(*failures: Failure, route: Route = ROUTE) -> Move:
    return next_move(route, failures, jitter=1.0)


def test_the_default_order_is_sonar_then_mini() -> None:
    """Before any failure the whole route is requested, in its order."""
    assert candidates(ROUTE, ()) == (SONAR, MINI)
    assert candidates(Route(disable_fallback=True), ()) == (SONAR,)


@pytest.mark.parametrize("error_class", RETRIED)
def test_a_temporary_failure_is_retried_and_then_leaves_the_model(error_class: ErrorClass) -> None:
    """A model gets three attempts, 1 s and 2 s apart; then the next model follows at once, or the end."""
    sonar, mini = Failure(SONAR, error_class), Failure(MINI, error_class)
    assert route_of(sonar) == Retry((SONAR, MINI), 1.0)
    assert route_of(sonar, sonar) == Retry((SONAR, MINI), 2.0)
    assert route_of(sonar, sonar, sonar) == NextModel((MINI,))
    assert route_of(sonar, sonar, sonar, mini) == Retry((MINI,), 1.0)
    assert route_of(sonar, sonar, sonar, mini, mini, mini) == Fail(error_class)


@pytest.mark.parametrize("error_class", FINAL)
def test_a_final_failure_ends_the_route(error_class: ErrorClass) -> None:
    """Neither the same model nor the next one is tried."""
    assert route_of(Failure(SONAR, error_class)) == Fail(error_class)


UNPARSABLE, CUT_OFF, LIMITED = (
    ErrorClass.UNPARSABLE_RESULT,
    ErrorClass.OUTPUT_LIMIT_REACHED,
    ErrorClass.RATE_LIMITED,
)

# The classes of a model's failures, oldest first, and what follows the last one.
DIFFERENTLY: list[tuple[list[ErrorClass], Move]] = [
    ([UNPARSABLE], Repair((SONAR, MINI))),
    ([UNPARSABLE, UNPARSABLE], NextModel((MINI,))),
    ([CUT_OFF], MoreTokens((SONAR,))),
    ([CUT_OFF, CUT_OFF], NextModel((MINI,))),
    ([UNPARSABLE, LIMITED], Retry((SONAR, MINI), 2.0)),
    ([LIMITED, UNPARSABLE], Repair((SONAR, MINI))),
    ([LIMITED, LIMITED, UNPARSABLE], NextModel((MINI,))),
    ([UNPARSABLE, CUT_OFF], MoreTokens((SONAR,))),
    ([CUT_OFF, UNPARSABLE], Repair((SONAR, MINI))),
    ([CUT_OFF, UNPARSABLE, CUT_OFF], NextModel((MINI,))),
]


@pytest.mark.parametrize(("classes", "move"), DIFFERENTLY)
def test_an_answer_that_is_no_use_is_asked_for_once_more(classes: list[ErrorClass], move: Move) -> None:
    """Once shown its mistake, once with more tokens, then the next model: nothing is asked twice alike."""
    assert route_of(*(Failure(SONAR, error_class) for error_class in classes)) == move


def test_a_model_without_more_tokens_is_left_at_once() -> None:
    """The budget has none, or there are none: the next model follows, or the end."""
    sonar, mini = (Failure(model, CUT_OFF, is_last=True) for model in (SONAR, MINI))
    assert route_of(sonar) == NextModel((MINI,))
    assert route_of(sonar, mini) == Fail(CUT_OFF)


@pytest.mark.parametrize(
    ("usual", "cut_off_at", "asked"),
    [
        (700, None, OutputTokens(700)),
        (700, 700, OutputTokens(2100, 1050)),
        (700, 2100, OutputTokens(6300, 3150)),
        (700, 1, OutputTokens(3, 2)),
        (700, 21_845, OutputTokens(OUTPUT_TOKENS_LIMIT, 32_768)),
        (700, 21_846, None),
        (700, OUTPUT_TOKENS_LIMIT, None),
    ],
)
def test_a_ceiling_is_never_the_same_again(
    usual: int, cut_off_at: int | None, asked: OutputTokens | None
) -> None:
    """Three times as many, at least half as many again, up to a limit."""
    assert output_tokens(usual, cut_off_at) == asked


@pytest.mark.parametrize("error_class", [ErrorClass.UNKNOWN_MODEL])
def test_a_failure_of_one_model_moves_on_at_once(error_class: ErrorClass) -> None:
    """The next model follows at once without a wait; after the last model the route ends."""
    assert route_of(Failure(SONAR, error_class)) == NextModel((MINI,))
    assert route_of(Failure(SONAR, error_class), Failure(MINI, error_class)) == Fail(error_class)


def test_disable_fallback_keeps_to_the_first_model() -> None:
    """The first model is retried as usual, and then the step fails."""
    route = Route(disable_fallback=True)
    sonar = Failure(SONAR, ErrorClass.TIMEOUT)
    assert route_of(sonar, route=route) == Retry((SONAR,), 1.0)
    assert route_of(sonar, sonar, sonar, route=route) == Fail(ErrorClass.TIMEOUT)
    assert route_of(Failure(SONAR, ErrorClass.UNKNOWN_MODEL), route=route) == Fail(ErrorClass.UNKNOWN_MODEL)


def test_a_402_waits_only_with_a_retry_after() -> None:
    """With a Retry-After the same model is tried again; without one a 402 is final."""
    credits_class = ErrorClass.INSUFFICIENT_CREDITS
    waiting = Failure(SONAR, credits_class, retry_after_seconds=5.0)
    assert route_of(waiting) == Retry((SONAR, MINI), 6.0)
    assert route_of(waiting, waiting, waiting) == Fail(credits_class)
    assert route_of(Failure(SONAR, credits_class)) == Fail(credits_class)


def test_a_downgraded_grant_can_go_back_to_the_first_model() -> None:
    """After a downgrade only the model that failed is given up, so the first model can be next."""
    mini = Failure(MINI, ErrorClass.PROVIDER_ERROR)
    assert route_of(mini) == Retry((MINI, SONAR), 1.0)
    assert route_of(mini, mini, mini) == NextModel((SONAR,))


def test_a_route_and_a_failure_are_checked() -> None:
    """An empty route, a model named twice, and a failure of a model not in the route raise an error."""
    for models in ((), (SONAR, SONAR)):
        with pytest.raises(ValueError, match="route"):
            Route(models=models)
    with pytest.raises(ValueError, match="route"):
        route_of(Failure("x-ai/grok-4-fast", ErrorClass.TIMEOUT))


@given(
    models=st.integers(1, 5),
    attempts=st.integers(1, 4),
    disable_fallback=st.booleans(),
    data=st.data(),
)
def test_every_route_ends(models: int, attempts: int, disable_fallback: bool, data: st.DataObject) -> None:
    """Each model gets at most `attempts` attempts, and the same history gives the same decision."""
    route = Route(
        models=tuple(f"vendor/model-{number}" for number in range(models)),
        disable_fallback=disable_fallback,
        retry=RetryPolicy(attempts=attempts),
    )
    failures: list[Failure] = []
    asked = candidates(route, ())
    while True:
        retry_after = data.draw(st.none() | st.floats(0, 100))
        failures.append(Failure(asked[0], data.draw(st.sampled_from(ErrorClass)), retry_after))
        move = next_move(route, failures, jitter=0.0)
        assert move == next_move(route, tuple(failures), jitter=0.0)
        assert sum(failure.model == asked[0] for failure in failures) <= attempts
        if isinstance(move, Fail):
            assert move.error_class is failures[-1].error_class
            break
        asked = move.models
    if disable_fallback:
        assert {failure.model for failure in failures} == {route.models[0]}
