"""The deadline of the call that is being served, for all code that waits while it serves the call."""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar
from dataclasses import dataclass

# We answer this much before the deadline, so that our clear answer arrives before the caller's gRPC gives up.
_MARGIN_SECONDS_MAX = 0.25
_MARGIN_SHARE = 0.1


@dataclass(slots=True)  # a frozen one takes four times as long to create
class _Deadline:
    task: asyncio.Task[object] | None
    monotonic_seconds: float


_deadline: ContextVar[_Deadline | None] = ContextVar("deadline", default=None)


def set_deadline(seconds_left: float | None) -> None:
    """Sets it for the current task only: tasks that this one starts may outlive the call."""
    if seconds_left is None:
        _deadline.set(None)
        return
    margin = min(_MARGIN_SECONDS_MAX, seconds_left * _MARGIN_SHARE)
    _deadline.set(_Deadline(asyncio.current_task(), time.monotonic() + seconds_left - margin))


def seconds_left() -> float | None:
    """Seconds until the answer must be sent, never below 0; None without a deadline."""
    deadline = _deadline.get()
    if deadline is None or deadline.task is not asyncio.current_task():
        return None
    return max(0.0, deadline.monotonic_seconds - time.monotonic())
