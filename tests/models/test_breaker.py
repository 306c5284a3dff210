"""A model whose calls mostly fail is left alone, and then probed by one call after the other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_service.app.breakers import BreakerChange, Breakers
from workflow_service.domain.breaker import Breaker, BreakerPolicy, after_outcome, begin_probe, is_failure
from workflow_service.domain.error_class import ErrorClass

POLICY = BreakerPolicy(failures_min=3, window_seconds=60, outcomes_max=10, open_seconds=30)
SONAR, MINI = "perplexity/sonar", "openai/gpt-4o-mini"

# Outcomes at the given seconds (x: failed, o: answered), and whether the breaker is open after them.
SEQUENCES: list[tuple[list[tuple[float, str]], bool]] = [
    ([(0, "x"), (1, "x")], False),
    ([(0, "x"), (1, "x"), (2, "x")], True),
    ([(0, "x"), (1, "x"), (61, "x")], False),  # two are too old
    ([(0, "x"), (2, "x"), (61, "x"), (61.5, "x")], True),
    ([(0, "o"), (1, "o"), (2, "x"), (3, "x"), (4, "x")], True),
    ([(0, "o"), (1, "o"), (2, "o"), (3, "o"), (4, "x"), (5, "x"), (6, "x")], False),  # fewer than half
    ([(0, "x"), (1, "x"), (2, "x"), (3, "o")], False),  # an answer closes it
    ([(0, "x"), (1, "x"), (2, "x"), (3, "o"), (4, "x"), (5, "x")], False),  # and it begins anew
    ([(0, "x"), (1, "x"), (2, "x"), (3, "x")], True),
]


@pytest.mark.parametrize(("outcomes", "is_open"), SEQUENCES)
def test_when_a_breaker_opens(outcomes: list[tuple[float, str]], is_open: bool) -> None:
    """With enough failures in the window, and no fewer failures than answers."""
    breaker = Breaker()
    for now, outcome in outcomes:
        breaker = after_outcome(breaker, POLICY, failed=outcome == "x", now=now)
    assert breaker.is_closed != is_open


def test_a_probe_at_a_time() -> None:
    """After the time has passed one may probe; the next one only after as much time again."""
    opened = Breaker(open_until=30)
    assert begin_probe(Breaker(), POLICY, now=0) is None
    assert begin_probe(opened, POLICY, now=29.9) is None
    probed = begin_probe(opened, POLICY, now=30)
    assert probed == Breaker(open_until=60)
    assert begin_probe(probed, POLICY, now=31) is None
    assert after_outcome(probed, POLICY, failed=True, now=32) == Breaker(open_until=62)
    assert after_outcome(probed, POLICY, failed=False, now=32) == Breaker()


@given(st.lists(st.tuples(st.floats(0, 20), st.booleans()), max_size=200))
def test_a_breaker_stays_small(steps: list[tuple[float, bool]]) -> None:
    """However many outcomes there are."""
    breaker, now = Breaker(), 0.0
    for seconds, failed in steps:
        now += seconds
        breaker = after_outcome(breaker, POLICY, failed=failed, now=now)
        assert len(breaker.outcomes) <= POLICY.outcomes_max
        assert breaker.is_closed or not breaker.outcomes


def test_every_class_has_its_meaning() -> None:
    """Outages count, answers count as such, refusals say nothing."""
    outages = {error_class for error_class in ErrorClass if is_failure(error_class) is True}
    answers = {error_class for error_class in ErrorClass if is_failure(error_class) is False}
    assert outages == {"PROVIDER_ERROR", "TIMEOUT", "CONNECTION_FAILED", "MALFORMED_RESPONSE"}
    assert answers == {"UNPARSABLE_RESULT", "OUTPUT_LIMIT_REACHED", "NOTHING_VALID"}
    assert is_failure(None) is False


def test_models_that_may_be_called() -> None:
    """A model whose breaker is open is left out; one that is due is probed by whoever would ask it first."""
    changes: list[BreakerChange] = []
    now = 0.0
    breakers = Breakers((SONAR, MINI), POLICY, on_change=changes.append, clock=lambda: now)
    for _ in range(3):
        breakers.note(SONAR, ErrorClass.TIMEOUT)
        breakers.note(SONAR, ErrorClass.RATE_LIMITED)
    assert changes == [BreakerChange(SONAR, is_open=True)]
    assert breakers.admitted((SONAR, MINI)) == (MINI,)
    assert breakers.admitted((SONAR,)) == ()
    assert (breakers.wait_seconds((SONAR,)), breakers.wait_seconds((SONAR, MINI))) == (30.0, 0.0)
    now = 30.0
    assert breakers.admitted((MINI, SONAR)) == (MINI,)  # no probe for a model that is only the second choice
    assert breakers.admitted((SONAR, MINI)) == (SONAR, MINI)
    assert breakers.admitted((SONAR, MINI)) == (MINI,)
    breakers.note(SONAR, None)
    assert changes[1:] == [BreakerChange(SONAR, is_open=False)]
    assert breakers.admitted((SONAR, MINI)) == (SONAR, MINI)
