"""The deadline of the call that is being served, for whoever waits on its behalf."""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar
from dataclasses import dataclass

# So much earlier our own, clear answer leaves than the caller's transport would give up.
_MARGIN_SECONDS_MAX = 0.25
_MARGIN_SHARE = 0.1


@dataclass(slots=True)  # frozen ones take four times as long to make
class _Deadline:
    task: asyncio.Task[object] | None
    monotonic_seconds: float


_deadline: ContextVar[_Deadline | None] = ContextVar("deadline", default=None)


def set_deadline(seconds_left: float | None) -> None:
    """Of the current task alone: work that it leaves behind in tasks of its own outlives the caller."""
    if seconds_left is None:
        _deadline.set(None)
        return
    margin = min(_MARGIN_SECONDS_MAX, seconds_left * _MARGIN_SHARE)
    _deadline.set(_Deadline(asyncio.current_task(), time.monotonic() + seconds_left - margin))


def seconds_left() -> float | None:
    """Until an answer must be on its way, never below 0; None without a deadline."""
    deadline = _deadline.get()
    if deadline is None or deadline.task is not asyncio.current_task():
        return None
    return max(0.0, deadline.monotonic_seconds - time.monotonic())
