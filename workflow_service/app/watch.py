"""What those who watch are told: a workflow at each of its versions, an organization's events by offset.

Each stream reads its own pages at its reader's pace, so that a slow reader costs the others nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from service_chassis.postgres.database import Database
from service_chassis.refusal import Refusal
from workflow_service.app.changes import Changes
from workflow_service.app.relay import Relay
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.events import WorkflowEvent
from workflow_service.domain.refusals import workflow_not_found
from workflow_service.domain.states import FAILED, TERMINAL, Step, WorkflowState, step_of
from workflow_service.domain.workflow import LastError, Transition, Workflow, WorkflowKey
from workflow_service.store import events, workflows

_PAGE: Final = 100
_RETRY_SECONDS: Final = 1.0
_UNAVAILABLE: Final = frozenset({"DATABASE_UNAVAILABLE", "OVERLOADED"})


@dataclass(frozen=True, slots=True)
class Watch:
    """One per process."""

    database: Database
    changes: Changes
    relay: Relay

    async def workflow(self, key: WorkflowKey, after_version: int | None) -> AsyncGenerator[Workflow, None]:
        """The workflow now, or as of each version after `after_version`, and then at each transition.

        Ends after a terminal state. Raises WORKFLOW_NOT_FOUND.
        """
        with self.changes.watching(key) as changed:
            present, version = await self._present(key), after_version
            if version is None:
                yield present
                version = present.version
            elif version < 1:
                yield _as_created(present)
                version = 1
            while True:
                changed.clear()
                present, lines = await self._after(key, version)
                for line in lines:
                    yield _as_of(present, line)
                    version = line.version
                if present.state in TERMINAL and version >= present.version:
                    return
                if len(lines) < _PAGE:
                    await changed.wait()

    async def organization(
        self, organization_id: UUID, after_offset: int
    ) -> AsyncGenerator[WorkflowEvent, None]:
        """The organization's events after an offset. Does not end by itself."""
        offset = after_offset
        with self.relay.following() as given_out:
            while True:
                given_out.clear()
                page = await self._events(organization_id, offset)
                for event in page:
                    yield event
                    offset = event.offset
                if len(page) < _PAGE:
                    await given_out.wait()

    async def _present(self, key: WorkflowKey) -> Workflow:
        async with self.database.read() as connection:
            present = await workflows.get_workflow(connection, key.organization_id, key.workflow_id)
        if present is None:
            raise workflow_not_found()
        return present

    async def _after(self, key: WorkflowKey, version: int) -> tuple[Workflow, list[Transition]]:
        """The history after a version, and the workflow at least as new."""
        while True:
            try:
                async with self.database.read() as connection:
                    lines = await workflows.list_transitions(
                        connection, key.organization_id, key.workflow_id, after_version=version, limit=_PAGE
                    )
                return await self._present(key), lines
            except Refusal as refusal:
                if refusal.reason not in _UNAVAILABLE:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)

    async def _events(self, organization_id: UUID, offset: int) -> list[WorkflowEvent]:
        while True:
            try:
                async with self.database.read() as connection:
                    return await events.list_events(
                        connection, organization_id, after_offset=offset, limit=_PAGE
                    )
            except Refusal as refusal:
                if refusal.reason not in _UNAVAILABLE:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)


def _as_created(present: Workflow) -> Workflow:
    if present.version == 1:
        return present
    return replace(
        present,
        state=WorkflowState.CREATED,
        version=1,
        icp=None,
        last_error=None,
        total_ai_cost_nano_usd=0,
        epoch=0,
        lease_expire_time=None,
        update_time=present.create_time,
        waiting=None,
    )


def _as_of(present: Workflow, line: Transition) -> Workflow:
    """The workflow at a version of its history. Its profile, its data and its target are those of now."""
    if line.version == present.version:
        return present
    step = step_of(line.to_state)
    has_icp = step is not None and (step is not Step.ICP or line.to_state is WorkflowState.ICP_COMPLETED)
    return replace(
        present,
        state=line.to_state,
        version=line.version,
        icp=present.icp if has_icp else None,
        last_error=_error(line) if line.to_state in FAILED else None,
        total_ai_cost_nano_usd=line.total_ai_cost_nano_usd,
        epoch=line.epoch or present.epoch,
        lease_expire_time=None,
        update_time=line.create_time,
        waiting=None,
    )


def _error(line: Transition) -> LastError:
    """From the history's words, which have the class and the reason. The message is that of now, or lost."""
    name, _, reason = line.reason.partition(": ")
    if name in ErrorClass.__members__:
        return LastError(ErrorClass(name), reason, "")
    return LastError(ErrorClass.REPORTED_BY_WORKER, line.reason, "")
