"""Gives out the events' offsets after their commit, and wakes those who follow them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import structlog

from service_chassis.postgres.database import Database
from service_chassis.refusal import Refusal
from workflow_service.store import events

_log = structlog.get_logger(__name__)


class Relay:
    """One per process. Of several, one at a time gives out offsets: an advisory lock decides.

    Each one also looks, about once in `poll_seconds`, whether another gave any out. However many follow, and
    however slowly, that costs two short queries a second.
    """

    def __init__(self, database: Database, *, poll_seconds: float) -> None:
        self._database = database
        self._poll_seconds = poll_seconds
        self._woken = asyncio.Event()
        self._following: set[asyncio.Event] = set()
        self._last_offset = 0
        self._relaying: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._relaying = asyncio.create_task(self._relay())

    def wake(self) -> None:
        """This process has written events."""
        self._woken.set()

    async def close(self) -> None:
        if self._relaying is not None:
            self._relaying.cancel()
            await asyncio.gather(self._relaying, return_exceptions=True)

    @contextmanager
    def following(self) -> Iterator[asyncio.Event]:
        """The event is set whenever offsets were given out."""
        event = asyncio.Event()
        self._following.add(event)
        try:
            yield event
        finally:
            self._following.discard(event)

    async def _relay(self) -> None:
        while True:
            self._woken.clear()
            try:
                await self._give_out()
            except Refusal:
                pass  # the database has trouble, and the events keep
            except Exception:
                _log.exception("relaying_broke")
            wait_seconds = self._poll_seconds * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
            # Not wait_for(): in Python 3.11 it can swallow a cancellation.
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_seconds):
                    await self._woken.wait()

    async def _give_out(self) -> None:
        while await self._database.write(events.give_out_offsets) == events.GIVEN_OUT_MAX:
            pass
        async with self._database.read() as connection:
            last_offset = await events.get_last_offset(connection)
        if last_offset != self._last_offset:
            self._last_offset = last_offset
            for event in self._following:
                event.set()
