"""One RPC, tried again within one deadline. The request is the same each time, its request_id with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import grpc
import stamina

from governor_client._errors import GovernorUnavailableError, refusal_of

T = TypeVar("T")

# An attempt that hangs must leave time for another one.
_ATTEMPT_TIMEOUT_SECONDS: Final = 5.0
_WAIT_INITIAL_SECONDS: Final = 0.1
_WAIT_MAX_SECONDS: Final = 2.0


async def call_until(timeout_seconds: float, attempt: Callable[[float], Awaitable[T]]) -> T:
    """`attempt` is given the seconds it may take. Raises Refusal, GovernorUnavailableError among them."""
    clock = asyncio.get_running_loop()
    deadline = clock.time() + timeout_seconds

    def backoff(error: Exception) -> bool | float:
        """Whether to try again, and after how many seconds where the governor said so."""
        if not (isinstance(error, GovernorUnavailableError) and error.is_transient):
            return False
        if error.retry_after_seconds is None:
            return True
        return error.retry_after_seconds if clock.time() + error.retry_after_seconds < deadline else False

    try:
        async with asyncio.timeout_at(deadline):
            async for trial in stamina.retry_context(
                on=backoff,
                attempts=None,
                timeout=timeout_seconds,
                wait_initial=_WAIT_INITIAL_SECONDS,
                wait_max=_WAIT_MAX_SECONDS,
                wait_jitter=_WAIT_INITIAL_SECONDS,
            ):
                with trial:
                    try:
                        return await attempt(min(deadline - clock.time(), _ATTEMPT_TIMEOUT_SECONDS))
                    except grpc.aio.AioRpcError as error:
                        raise refusal_of(error) from None
    except TimeoutError:
        raise GovernorUnavailableError(
            f"no answer from the governor within {timeout_seconds:g} s", is_transient=True
        ) from None
    raise AssertionError("stamina lets the last exception through")
