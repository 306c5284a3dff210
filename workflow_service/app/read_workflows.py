"""Reads: a workflow, lists of them, their history and results; and the merge of `workflow_data`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from service_chassis.postgres.database import Connection, Database
from service_chassis.refusal import invalid_field
from workflow_service.domain.refusals import workflow_not_found
from workflow_service.domain.states import WorkflowState
from workflow_service.domain.workflow import WaitKind, Workflow
from workflow_service.store import workflows

T = TypeVar("T")

DATA_BYTES_MAX: Final = 256 * 1024


async def get_workflow(database: Database, organization_id: UUID, workflow_id: UUID) -> Workflow:
    """Raises WORKFLOW_NOT_FOUND."""
    async with database.read() as connection:
        return await _existing(connection, organization_id, workflow_id)


async def list_workflows(
    database: Database,
    organization_id: UUID,
    *,
    state: WorkflowState | None,
    waits_for: WaitKind | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Workflow]:
    """At most `limit` workflows after a creation time and id, newest first."""
    async with database.read() as connection:
        return await workflows.list_workflows(
            connection, organization_id, state=state, waits_for=waits_for, after=after, limit=limit
        )


async def update_workflow_data(
    database: Database, organization_id: UUID, workflow_id: UUID, data: Mapping[str, Any]
) -> Workflow:
    """Raises WORKFLOW_NOT_FOUND; INVALID_FIELD where the whole would be too large."""

    async def work(connection: Connection) -> Workflow:
        merged = await workflows.merge_data_if_it_fits(
            connection, organization_id, workflow_id, data, bytes_max=DATA_BYTES_MAX
        )
        if merged is None:
            await _existing(connection, organization_id, workflow_id)
            raise invalid_field(
                "workflow_data", f"would make the whole larger than {DATA_BYTES_MAX} bytes of JSON"
            )
        return merged

    return await database.write(work)


async def list_of_workflow(
    database: Database,
    organization_id: UUID,
    workflow_id: UUID,
    fetch: Callable[[Connection], Awaitable[list[T]]],
) -> list[T]:
    """What `fetch(connection)` lists of a workflow. Raises WORKFLOW_NOT_FOUND."""
    async with database.read() as connection:
        found = await fetch(connection)
        if not found:
            await _existing(connection, organization_id, workflow_id)
    return found


async def _existing(connection: Connection, organization_id: UUID, workflow_id: UUID) -> Workflow:
    workflow = await workflows.get_workflow(connection, organization_id, workflow_id)
    if workflow is None:
        raise workflow_not_found()
    return workflow
