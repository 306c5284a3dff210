"""Goes on where an earlier holder of a step's lease stopped, without paying for anything twice.

What was never sent is voided, and what was answered is settled, both at once. A call that is DISPATCHED may
still be answered: by its holder, which may live, or never. Until its own deadline has passed, the item that
it is for waits for it, and only that item.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

from workflow_service.app.end_call import CallEnder
from workflow_service.domain.workflow import Lease
from workflow_service.store.invocations import Invocation, Invocations, InvocationState

_POLL_SECONDS: Final = 0.25
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

    async def end_open(self, lease: Lease) -> None:
        """Ends what earlier holders left open, but for calls that may still be answered."""
        await self._ender.end_open(
            await self._journal.adopt_open_if_leased(
                lease.organization_id,
                lease.workflow_id,
                lease.step,
                epoch=lease.epoch,
                call_deadline=self._call_deadline,
            )
        )

    async def ended(self, lease: Lease, row: Invocation) -> Invocation:
        """The call once it is settled, by whoever holds it; one that was never sent as it is."""
        while row.state in _SENT:
            await self.end_open(lease)
            present = await self._journal.get(row.organization_id, row.request_id)
            assert present is not None, "a journal row is never deleted"
            if present.state in _SENT:
                await asyncio.sleep(_POLL_SECONDS)
            row = present
        return row
