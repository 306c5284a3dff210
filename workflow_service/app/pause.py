"""Pauses and resumes workflows: one, or all of an organization that match a filter.

While a workflow is paused, nothing new is begun. What runs finishes, and the state stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from service_chassis.postgres.database import Connection, Database
from workflow_service.domain.events import EventType
from workflow_service.domain.refusals import workflow_not_found
from workflow_service.domain.states import WorkflowState
from workflow_service.domain.workflow import WaitKind, Workflow, WorkflowKey
from workflow_service.store import events, workflows

PAUSED_AT_ONCE_MAX: Final = 1000


@dataclass(frozen=True, slots=True)
class Matching:
    """Workflows of an organization; None: any."""

    state: WorkflowState | None = None
    waits_for: WaitKind | None = None


@dataclass(frozen=True, slots=True)
class Paused:
    """How many were changed. `more`: further ones match, and were left."""

    workflow: Workflow | None
    count: int
    more: bool = False


async def pause_or_resume(
    database: Database, key: WorkflowKey, *, pauses: bool, actor: str, reason: str
) -> Paused:
    """A workflow that is so already, or at its end, stays as it is. Raises WORKFLOW_NOT_FOUND."""

    async def work(connection: Connection) -> Paused:
        changed = await _set(connection, key, pauses=pauses, actor=actor, reason=reason)
        if changed is not None:
            return Paused(changed, 1)
        present = await workflows.get_workflow(connection, key.organization_id, key.workflow_id)
        if present is None:
            raise workflow_not_found()
        return Paused(present, 0)

    return await database.write(work)


async def pause_or_resume_matching(
    database: Database, organization_id: UUID, matching: Matching, *, pauses: bool, actor: str, reason: str
) -> Paused:
    """At most a thousand at once."""

    async def work(connection: Connection) -> Paused:
        keys = await workflows.lock_matching(
            connection,
            organization_id,
            state=matching.state,
            waits_for=matching.waits_for,
            is_paused=not pauses,
            limit=PAUSED_AT_ONCE_MAX + 1,
        )
        for key in keys[:PAUSED_AT_ONCE_MAX]:
            await _set(connection, key, pauses=pauses, actor=actor, reason=reason)
        return Paused(None, min(len(keys), PAUSED_AT_ONCE_MAX), more=len(keys) > PAUSED_AT_ONCE_MAX)

    return await database.write(work)


async def _set(
    connection: Connection, key: WorkflowKey, *, pauses: bool, actor: str, reason: str
) -> Workflow | None:
    workflow = await workflows.set_pause(connection, key, (actor, reason) if pauses else None)
    if workflow is not None:
        event_type = EventType.PAUSED if pauses else EventType.RESUMED
        await events.insert_event(connection, key, event_type, actor=actor, reason=reason)
    return workflow
