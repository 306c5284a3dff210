"""Goes on where an earlier holder of a step's lease stopped, without paying for anything twice.

What was never sent is voided, and what was answered is settled, both at once. A call that is DISPATCHED may
still be answered: by its holder, which may live, or never. Until its own deadline has passed, the item that
it is for waits for it, and only that item.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID

from workflow_service.app.end_call import CallEnder, persist
from workflow_service.domain.workflow import Lease
from workflow_service.store.invocations import Invocation, Invocations, InvocationState

_POLL_SECONDS: Final = 1.0
_POLL_SECONDS_MAX: Final = 5.0
_SENT: Final = frozenset({InvocationState.DISPATCHED, InvocationState.RESPONDED})


class Recovery:
    """One per process. Raises StepFailed while the governor is unavailable; Refusal for the journal."""

    def __init__(
        self,
        journal: Invocations,
        ender: CallEnder,
        *,
        call_deadline: timedelta,
    ) -> None:
        """`call_deadline` is the total deadline of a model call, counted from its dispatch."""
        self._journal = journal
        self._ender = ender
        self._call_deadline = call_deadline

    async def end_open(self, lease: Lease, *, answered: Sequence[UUID] = ()) -> None:
        """Ends what earlier holders left open, but for calls that may still be answered.

        The calls of `answered`, by their request_ids, have ended at the provider.
        """
        rows = await persist(
            lambda: self._journal.adopt_open_if_leased(
                lease.organization_id,
                lease.workflow_id,
                lease.step,
                epoch=lease.epoch,
                call_deadline=self._call_deadline,
                answered=answered,
            )
        )
        await self._ender.end_open(rows)

    async def ended(self, lease: Lease, row: Invocation) -> Invocation:
        """The call once it is settled, by whoever holds it; one that was never sent as it is."""
        answered: list[UUID] = []
        poll_seconds = _POLL_SECONDS
        while row.state in _SENT:
            await self.end_open(lease, answered=answered)
            present = await persist(partial(self._journal.get, row.organization_id, row.request_id))
            assert present is not None, "a journal row is never deleted"
            row = present
            if row.state in _SENT:
                # One more look after the provider has a record of the call: who made it may be about to write
                # its answer.
                answered = [row.request_id] if await self._ender.has_ended(row) else []
                await asyncio.sleep(poll_seconds)
                poll_seconds = min(2 * poll_seconds, _POLL_SECONDS_MAX)
        return row
