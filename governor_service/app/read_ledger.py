"""ListEntries and GetWorkflowCost: what was spent."""

from __future__ import annotations

from uuid import UUID

from governor_service.domain.ledger import EntryFilter, LedgerEntry, WorkflowCost
from governor_service.store import ledger
from service_chassis.database import Database


async def list_entries(
    database: Database, entries: EntryFilter, *, after_sequence: int, limit: int
) -> list[LedgerEntry]:
    """At most `limit` entries after a sequence."""
    async with database.read() as connection:
        return await ledger.list_entries(connection, entries, after_sequence=after_sequence, limit=limit)


async def get_workflow_cost(database: Database, organization_id: UUID, workflow_id: UUID) -> WorkflowCost:
    """Zero for a workflow without entries: the governor does not know workflows, only what they cost."""
    async with database.read() as connection:
        return await ledger.workflow_cost(connection, organization_id, workflow_id)
