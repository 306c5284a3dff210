"""Drives what is due: each instance takes due workflows while it has free slots, and does their steps.

What is due is a matter of the table. The driver keeps in memory only what it is doing right now, so a killed
instance loses nothing: the leases of its steps run out, and another instance takes them over.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID

import structlog

from service_chassis.postgres.database import Connection, Database
from service_chassis.refusal import Refusal
from workflow_service.app.changes import Changes
from workflow_service.app.step_worker import StepWorker, lease_key
from workflow_service.app.take_due import take_if_due
from workflow_service.domain.driving import Patience
from workflow_service.domain.workflow import Lease, WorkflowKey
from workflow_service.store import due as due_store
from workflow_service.store import leases

_TAKEN_AT_ONCE: Final = 8
"""Transactions at once, so that a burst leaves connections to everybody else."""
_ORGANIZATIONS_AT_ONCE: Final = 200
_POSTPONED: Final = timedelta(seconds=30)
_FIRST: Final = UUID(int=0)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Slots:
    """How many steps one instance does at once, in all and for one organization."""

    all_max: int
    organization_max: int


class Driver:
    """One per process."""

    def __init__(
        self,
        database: Database,
        worker: StepWorker,
        changes: Changes,
        *,
        slots: Slots,
        patience: Patience,
        poll_seconds: float,
    ) -> None:
        self._database = database
        self._worker = worker
        self._changes = changes
        self._slots = slots
        self._patience = patience
        self._poll_seconds = poll_seconds
        self._woken = asyncio.Event()
        self._driving: asyncio.Task[None] | None = None
        self._running: dict[asyncio.Task[None], Lease] = {}
        # Slots in use: by steps that are done and by workflows that are being taken.
        self._busy: Counter[UUID] = Counter()
        # Instances that begin at different organizations rarely want the same workflow.
        self._last_organization_id = UUID(int=random.getrandbits(128))
        self._stopping = False

    @property
    def stopping(self) -> bool:
        return self._stopping

    @property
    def running_count(self) -> int:
        return len(self._running)

    def is_running(self, key: WorkflowKey) -> bool:
        return any(
            (lease.organization_id, lease.workflow_id) == (key.organization_id, key.workflow_id)
            for lease in self._running.values()
        )

    def start(self) -> None:
        self._driving = asyncio.create_task(self._drive())

    def wake(self) -> None:
        """Something has become due in this process. What others make due is found by polling."""
        self._woken.set()

    async def stop(self, grace_seconds: float) -> None:
        """Takes nothing more, waits for what runs, and gives back what still runs after the grace."""
        self._stopping = True
        self._changes.notify_all()
        self.wake()
        if self._driving is not None:
            # Not cancelled: a step that is just being leased would be nobody's until its lease has run out.
            await asyncio.wait({self._driving}, timeout=grace_seconds)
            self._driving.cancel()
            await asyncio.gather(self._driving, return_exceptions=True)
        if self._running:
            await asyncio.wait(self._running, timeout=grace_seconds)
        left = dict(self._running)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await asyncio.gather(*(self._give_back(lease) for lease in left.values()))

    async def _drive(self) -> None:
        while not self._stopping:
            self._woken.clear()
            try:
                await self._fill()
            except Refusal:
                pass  # the database has trouble, and what is due stays due
            except Exception:
                _log.exception("driving_broke")
            # Jitter: instances that started together do not look together.
            wait_seconds = self._poll_seconds * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
            # Not wait_for(): in Python 3.11 it can swallow a cancellation.
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_seconds):
                    await self._woken.wait()

    async def _fill(self) -> None:
        """Takes due workflows until the slots are full, or nothing is due that could be taken."""
        while not self._stopping and (free := self._slots.all_max - self._busy.total()) > 0:
            wanted = [key for key in await self._pick(free) if self._has_room(key.organization_id)]
            has_taken = False
            for start in range(0, min(len(wanted), free), _TAKEN_AT_ONCE):
                taking = []
                for key in wanted[start : min(start + _TAKEN_AT_ONCE, free)]:
                    if self._has_room(key.organization_id):
                        self._busy[key.organization_id] += 1
                        taking.append(self._take(key))
                has_taken |= any(await asyncio.gather(*taking))
            if not has_taken:
                return

    def _has_room(self, organization_id: UUID) -> bool:
        return self._busy[organization_id] < self._slots.organization_max

    async def _pick(self, free: int) -> list[WorkflowKey]:
        """Due workflows: the organizations in turn, beginning after the last one; each one's oldest first."""
        full = [each for each in self._busy if not self._has_room(each)]
        began_after = self._last_organization_id
        has_wrapped = False
        while True:
            async with self._database.read() as connection:
                picked = await due_store.pick_due(
                    connection,
                    after_organization_id=self._last_organization_id,
                    organizations_max=_ORGANIZATIONS_AT_ONCE,
                    of_each_max=min(free, self._slots.organization_max),
                    except_of=full,
                )
            wanted = picked.workflows[:free]
            if wanted:
                # The next look begins after the last organization that gets its turn in this one.
                self._last_organization_id = max(key.organization_id for key in wanted)
                return wanted
            if len(picked.organizations) == _ORGANIZATIONS_AT_ONCE:
                self._last_organization_id = picked.organizations[-1]
            elif has_wrapped:
                return []
            else:
                self._last_organization_id = _FIRST
                has_wrapped = True
            if has_wrapped and self._last_organization_id > began_after:
                return []

    async def _take(self, key: WorkflowKey) -> bool:
        """Whether something was done about the workflow, for which a slot is in use."""
        lease = None
        try:
            taken = await self._database.write(
                partial(
                    take_if_due,
                    key=key,
                    patience=self._patience,
                    lease_duration=self._worker.lease_duration,
                )
            )
            if taken is not None and (lease := taken.lease) is not None:
                self._begin(lease)
        except Refusal:
            return False
        except Exception:
            # One workflow that cannot be taken must not keep the others waiting.
            _log.exception("due_workflow_broke", workflow_id=str(key.workflow_id))
            return await self._postpone(key)
        finally:
            if lease is None:
                self._free(key.organization_id)
        if taken is None:
            return False
        self._changes.notify(key)
        return True

    def _begin(self, lease: Lease) -> None:
        task = asyncio.create_task(self._work(lease))
        self._running[task] = lease
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        lease = self._running.pop(task)
        self._free(lease.organization_id)
        self._changes.notify(WorkflowKey(lease.organization_id, lease.workflow_id))
        self.wake()

    def _free(self, organization_id: UUID) -> None:
        self._busy[organization_id] -= 1
        if not self._busy[organization_id]:
            del self._busy[organization_id]

    async def _work(self, lease: Lease) -> None:
        try:
            await self._worker.work(lease)
        except Refusal as refusal:
            # Taken over or cancelled. The row says by whom.
            _log.info("step_left", reason=refusal.reason, workflow_id=str(lease.workflow_id))
        except Exception:
            # The lease runs out, and the step is taken over.
            _log.exception("step_lost", step=lease.step, workflow_id=str(lease.workflow_id))

    async def _postpone(self, key: WorkflowKey) -> bool:
        async def postpone(connection: Connection) -> None:
            await due_store.set_due_after(connection, key, _POSTPONED)

        try:
            await self._database.write(postpone)
        except Exception:
            _log.exception("due_workflow_not_postponed", workflow_id=str(key.workflow_id))
            return False
        return True

    async def _give_back(self, lease: Lease) -> None:
        with suppress(Refusal):  # then the lease runs out
            await self._database.write(partial(leases.release_if_leased, key=lease_key(lease)))
