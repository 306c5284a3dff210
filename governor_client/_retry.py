"""Retries an RPC within one deadline. Each attempt sends the same request, with the same request_id."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import grpc
import stamina

from governor_client._errors import GovernorUnavailableError, refusal_of

T = TypeVar("T")

# If an attempt hangs, there must be time for another one.
_ATTEMPT_TIMEOUT_SECONDS: Final = 5.0
_WAIT_INITIAL_SECONDS: Final = 0.1
_WAIT_MAX_SECONDS: Final = 2.0
# The least time that another attempt needs.
_SECONDS_LEFT_MIN: Final = 0.02


class _Retries:
    """The length of attempts, and the waits between them, until a deadline."""

    def __init__(self, timeout_seconds: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._wait_seconds = _WAIT_INITIAL_SECONDS
        self.deadline = clock() + timeout_seconds

    def attempt_seconds(self) -> float:
        return min(max(self._seconds_left(), 0.0), _ATTEMPT_TIMEOUT_SECONDS)

    def backoff(self, error: Exception) -> bool | float:
        """False, or the seconds to wait before the next attempt.

        The governor's own figure if it gave one. Otherwise the wait doubles each time, and leaves time for
        the attempt.
        """
        if not (isinstance(error, GovernorUnavailableError) and error.is_transient):
            return False
        seconds_left = self._seconds_left()
        if error.retry_after_seconds is not None:
            return error.retry_after_seconds if error.retry_after_seconds < seconds_left else False
        if seconds_left < _SECONDS_LEFT_MIN:
            return False
        jitter = random.uniform(0, _WAIT_INITIAL_SECONDS)  # noqa: S311 - no secret
        wait_seconds = min(self._wait_seconds + jitter, seconds_left / 2)
        self._wait_seconds = min(2 * self._wait_seconds, _WAIT_MAX_SECONDS)
        return wait_seconds

    def _seconds_left(self) -> float:
        return self.deadline - self._clock()


async def call_until(timeout_seconds: float, attempt: Callable[[float], Awaitable[T]]) -> T:
    """Calls `attempt` with the seconds that it may take. Raises Refusal, or its GovernorUnavailableError."""
    retries = _Retries(timeout_seconds, asyncio.get_running_loop().time)
    try:
        async with asyncio.timeout_at(retries.deadline):
            async for trial in stamina.retry_context(on=retries.backoff, attempts=None, timeout=None):
                with trial:
                    try:
                        return await attempt(retries.attempt_seconds())
                    except grpc.aio.AioRpcError as error:
                        raise refusal_of(error) from None
    except TimeoutError:
        raise GovernorUnavailableError(
            f"no answer from the governor within {timeout_seconds:g} s", is_transient=True
        ) from None
    raise AssertionError("stamina lets the last exception through")


def call_blocking_until(timeout_seconds: float, attempt: Callable[[float], T]) -> T:
    """As `call_until`, but blocks the calling thread."""
    retries = _Retries(timeout_seconds, time.monotonic)
    for trial in stamina.retry_context(on=retries.backoff, attempts=None, timeout=None):
        with trial:
            try:
                return attempt(retries.attempt_seconds())
            except grpc.RpcError as error:
                raise refusal_of(error) from None
    raise AssertionError("stamina lets the last exception through")
