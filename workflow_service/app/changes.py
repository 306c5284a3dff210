"""Wakes those who wait for a workflow when it has changed, on this instance or another."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final

import structlog

from service_chassis.postgres.database import Database
from service_chassis.refusal import Refusal
from workflow_service.domain.workflow import WorkflowKey
from workflow_service.store import workflows

_READ_AT_ONCE: Final = 1000

_log = structlog.get_logger(__name__)


class Changes:
    """One per process.

    What this process changes is told at once, by `notify`. For what other instances change, the time of each
    awaited workflow's last change is read about once in `poll_seconds`: one query for a thousand workflows,
    however many wait for them.
    """

    def __init__(
        self, database: Database, *, poll_seconds: float, told: Callable[[], None] = lambda: None
    ) -> None:
        """`told` is called with each `notify`."""
        self._database = database
        self._told = told
        self._poll_seconds = poll_seconds
        self._waiting: defaultdict[WorkflowKey, set[asyncio.Event]] = defaultdict(set)
        self._seen: dict[WorkflowKey, datetime] = {}
        self._polling: asyncio.Task[None] | None = None

    @contextmanager
    def watching(self, key: WorkflowKey) -> Iterator[asyncio.Event]:
        """The event is set at each change from now on, and sometimes without one. Who waits clears it."""
        event = asyncio.Event()
        self._waiting[key].add(event)
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        try:
            yield event
        finally:
            self._waiting[key].discard(event)
            if not self._waiting[key]:
                del self._waiting[key]
                self._seen.pop(key, None)

    def notify(self, key: WorkflowKey) -> None:
        self._told()
        self._wake(key)

    def notify_all(self) -> None:
        for key in list(self._waiting):
            self._wake(key)

    async def close(self) -> None:
        self.notify_all()
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)

    async def _poll(self) -> None:
        """Ends when nobody waits any more."""
        while self._waiting:
            keys = list(self._waiting)
            for start in range(0, len(keys), _READ_AT_ONCE):
                await self._look_at(keys[start : start + _READ_AT_ONCE])
            await asyncio.sleep(self._poll_seconds * random.uniform(0.75, 1.25))  # noqa: S311 - no secret

    async def _look_at(self, keys: Sequence[WorkflowKey]) -> None:
        try:
            async with self._database.read() as connection:
                times = await workflows.list_update_times(connection, keys)
        except Refusal:
            return
        except Exception:
            _log.exception("changes_not_read")
            return
        for key, update_time in times.items():
            if key in self._waiting and self._seen.get(key) != update_time:
                self._seen[key] = update_time
                self._wake(key)

    def _wake(self, key: WorkflowKey) -> None:
        for event in self._waiting.get(key, ()):
            event.set()
