"""Delays: 1 s, doubled each time, at most 30 s, with jitter; Retry-After is respected within that bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_service.domain.retry import RetryPolicy, delay_seconds

POLICY = RetryPolicy()


@pytest.mark.parametrize(
    ("failed_attempts", "retry_after", "jitter", "expected"),
    [
        (1, None, 0.0, 0.5),
        (1, None, 1.0, 1.0),
        (2, None, 1.0, 2.0),
        (3, None, 1.0, 4.0),
        (5, None, 1.0, 16.0),
        (6, None, 1.0, 30.0),
        (2000, None, 1.0, 30.0),
        (1, 7.0, 0.0, 7.0),
        (1, 7.0, 0.5, 7.5),
        (4, 1.0, 1.0, 8.0),
        (1, 3600.0, 0.0, 30.0),
        (1, 0.0, 0.0, 0.5),
    ],
)
def test_delay(failed_attempts: int, retry_after: float | None, jitter: float, expected: float) -> None:
    """The delays are those of the table."""
    delay = delay_seconds(
        POLICY, failed_attempts=failed_attempts, retry_after_seconds=retry_after, jitter=jitter
    )
    assert delay == expected


@given(
    failed_attempts=st.integers(1, 10**6),
    retry_after=st.none() | st.floats(0, 1e12),
    jitter=st.floats(0, 1, exclude_max=True),
)
def test_delay_stays_within_its_bounds(
    failed_attempts: int, retry_after: float | None, jitter: float
) -> None:
    """A delay is between half a second and 30 s, and not shorter than a Retry-After within that bound."""
    delay = delay_seconds(
        POLICY, failed_attempts=failed_attempts, retry_after_seconds=retry_after, jitter=jitter
    )
    assert 0.5 <= delay <= 30
    assert delay >= min(retry_after or 0, 30)
