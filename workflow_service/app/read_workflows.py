"""Reads: a workflow, lists of them, their history and results; and the merge of `workflow_data`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from service_chassis.postgres.database import Connection, Database
from service_chassis.refusal import invalid_field
from workflow_service.domain.refusals import workflow_not_found
from workflow_service.domain.states import WorkflowState
from workflow_service.domain.workflow import StoredArticle, Workflow
from workflow_service.store import results, workflows

T = TypeVar("T")

DATA_BYTES_MAX: Final = 256 * 1024
ARTICLES_BYTES_MAX: Final = 3 * 1024 * 1024
"""Of one page: a message of 4 MiB is the most that clients take by default."""


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some items of a list, and whether there are more."""

    items: Sequence[T]
    more: bool


async def get_workflow(database: Database, organization_id: UUID, workflow_id: UUID) -> Workflow:
    """Raises WORKFLOW_NOT_FOUND."""
    async with database.read() as connection:
        return await _existing(connection, organization_id, workflow_id)


async def list_workflows(
    database: Database,
    organization_id: UUID,
    *,
    state: WorkflowState | None,
    after: tuple[datetime, UUID] | None,
    page_size: int,
) -> Page[Workflow]:
    async with database.read() as connection:
        found = await workflows.list_workflows(
            connection, organization_id, state=state, after=after, limit=page_size + 1
        )
    return Page(found[:page_size], len(found) > page_size)


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
    fetch: Callable[[Connection, int], Awaitable[list[T]]],
    *,
    page_size: int,
) -> Page[T]:
    """A page of what `fetch(connection, limit)` lists of a workflow. Raises WORKFLOW_NOT_FOUND."""
    async with database.read() as connection:
        found = await fetch(connection, page_size + 1)
        if not found:
            await _existing(connection, organization_id, workflow_id)
    return Page(found[:page_size], len(found) > page_size)


async def list_articles(
    database: Database,
    organization_id: UUID,
    workflow_id: UUID,
    *,
    after: tuple[int, UUID] | None,
    page_size: int,
) -> Page[tuple[tuple[int, UUID], StoredArticle]]:
    """A page that is shorter than asked for where its texts are long. Raises WORKFLOW_NOT_FOUND."""
    page = await list_of_workflow(
        database,
        organization_id,
        workflow_id,
        lambda connection, limit: results.list_articles(
            connection, organization_id, workflow_id, after=after, limit=limit
        ),
        page_size=page_size,
    )
    size_bytes = 0
    for count, (_, article) in enumerate(page.items):
        size_bytes += len(article.body_markdown.encode()) + 4096
        if count and size_bytes > ARTICLES_BYTES_MAX:
            return Page(page.items[:count], more=True)
    return page


async def _existing(connection: Connection, organization_id: UUID, workflow_id: UUID) -> Workflow:
    workflow = await workflows.get_workflow(connection, organization_id, workflow_id)
    if workflow is None:
        raise workflow_not_found()
    return workflow
