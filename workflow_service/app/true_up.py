"""Corrects calls that were charged as unknown, once the provider's record of them is there.

What is to be looked up, and when, is in the journal, so any instance does it, also after a restart.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from service_chassis.refusal import Refusal
from workflow_service.app.end_call import CallEnder
from workflow_service.app.step_failed import StepFailed
from workflow_service.clients.openrouter import ModelCallFailed, OpenRouterClient
from workflow_service.domain.true_up import next_look_seconds
from workflow_service.store.invocations import Invocation, Invocations

_AT_ONCE: Final = 10
_POLL_SECONDS: Final = 5.0
# Longer than a look-up and a settlement take, so that two instances do not look the same call up.
_TAKEN_FOR: Final = timedelta(minutes=2)

_log = structlog.get_logger(__name__)


class TrueUps:
    """One per process. `run` ends when it is cancelled."""

    def __init__(self, journal: Invocations, provider: OpenRouterClient, ender: CallEnder) -> None:
        self._journal = journal
        self._provider = provider
        self._ender = ender

    async def run(self) -> None:
        while True:
            try:
                looked_up = await self.look()
            except Refusal:
                looked_up = 0  # the database is away
            except Exception:
                _log.exception("records_not_looked_up")
                looked_up = 0
            if looked_up < _AT_ONCE:
                await asyncio.sleep(_POLL_SECONDS)

    async def look(self) -> int:
        """Looks up the records that are due, a few at once. Returns how many it looked for."""
        due = await self._journal.take_due_true_ups(_AT_ONCE, taken_for=_TAKEN_FOR)
        await asyncio.gather(*(self._look_up(row, age_seconds) for row, age_seconds in due))
        return len(due)

    async def _look_up(self, row: Invocation, age_seconds: float) -> None:
        assert row.response.generation_id is not None, "only calls with an id are looked up"
        try:
            record = await self._provider.generation(row.response.generation_id)
        except ModelCallFailed:
            record = None
        try:
            if record is None or (record.usage is None and record.provider_cost_nano_usd is None):
                delay_seconds = next_look_seconds(age_seconds)
                delay = None if delay_seconds is None else timedelta(seconds=delay_seconds)
                await self._journal.set_true_up(row, delay)
            else:
                await self._ender.true_up(row, record)
        except (Refusal, StepFailed):
            # The governor or the database is away. The row is due again when `_TAKEN_FOR` has passed.
            _log.warning("call_not_trued_up_yet", request_id=str(row.request_id))
