"""Limits how many calls are served at once, and how many bytes of their messages are in memory."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import grpc

from service_chassis.refusal import Refusal

MESSAGE_BYTES_MAX = 4 * 1024 * 1024
"""The largest message that gRPC itself accepts. Each method has its own bound, see bounds.py."""

# If other calls wait to be received, a call whose message takes longer to arrive is ended.
_RECEIVE_SECONDS_MAX = 5.0


class Admission:
    """Refuses calls with OVERLOADED beyond `calls_max` calls, or `bytes_max` bytes of received messages.

    gRPC reads a message only on request, so a refused call costs no memory. The length of a message is not
    known before it has arrived. So only as many are received at once as fit into `bytes_max` if each has
    MESSAGE_BYTES_MAX bytes. Further calls wait for their turn.
    """

    def __init__(
        self, *, calls_max: int, bytes_max: int, give_up: Callable[[asyncio.Task[Any], Refusal], None]
    ) -> None:
        """`give_up` ends the call that the task serves, with the refusal."""
        self._calls_left = calls_max
        self._bytes_left = bytes_max
        self._receivers_max = max(1, bytes_max // MESSAGE_BYTES_MAX)
        self._give_up = give_up
        self._receiving: dict[asyncio.Task[Any], float] = {}  # monotonic time of the start, oldest first
        self._waiting: deque[asyncio.Future[None]] = deque()

    def enter(self) -> None:
        """Counts a call. Raises OVERLOADED. Every call that was counted must call `leave`."""
        if self._calls_left <= 0:
            raise overloaded()
        self._calls_left -= 1

    def leave(self, message_bytes: int) -> None:
        """Must be called when a counted call has ended and its message is no longer in memory."""
        self._calls_left += 1
        self._bytes_left += message_bytes

    def hold(self, message_bytes: int) -> None:
        """Counts a message until its call leaves. If it raises OVERLOADED, it has counted nothing."""
        if message_bytes > self._bytes_left:
            raise overloaded()
        self._bytes_left -= message_bytes

    async def receive(self, context: grpc.aio.ServicerContext[Any, Any], task: asyncio.Task[Any]) -> Any:
        """The message's bytes, or EOF if the caller sent none."""
        if self._waiting or len(self._receiving) >= self._receivers_max:
            await self._turn()
        self._receiving[task] = time.monotonic()
        try:
            return await context.read()
        finally:
            del self._receiving[task]
            if self._waiting:
                self._call_next()

    async def _turn(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            while not turn.done():
                if len(self._receiving) < self._receivers_max:  # a task whose turn had come was cancelled
                    self._call_next()
                    continue
                oldest, since = next(iter(self._receiving.items()))
                seconds_left = since + _RECEIVE_SECONDS_MAX - time.monotonic()
                if seconds_left <= 0:
                    self._give_up(oldest, _too_slow())
                    seconds_left = _RECEIVE_SECONDS_MAX
                await asyncio.wait({turn}, timeout=seconds_left)
        except BaseException:
            if turn.done():
                self._call_next()
            else:
                self._waiting.remove(turn)
            raise

    def _call_next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return


def overloaded() -> Refusal:
    return Refusal("OVERLOADED", "too many calls are being served; nothing was done", retry_after_seconds=1)


def _too_slow() -> Refusal:
    return Refusal(
        "OVERLOADED",
        f"the message did not arrive within {_RECEIVE_SECONDS_MAX:g} s while other calls waited",
        retry_after_seconds=1,
    )
