"""GetWorkflowCost, GetOrganizationMonthlyCost, ListTopWorkflows, GetMargin: totals of what was spent.

The governor keeps no list of workflows or months: one without entries has a cost of zero.
"""

from __future__ import annotations

from datetime import date
from uuid import UUID

from governor_service.domain.ledger import WorkflowCost
from governor_service.domain.reports import Margin, MonthlyCost, TopWorkflows, TopWorkflowsPage
from governor_service.store import reports
from service_chassis.postgres.database import Database


async def get_workflow_cost(database: Database, organization_id: UUID, workflow_id: UUID) -> WorkflowCost:
    """By served model, with the amount that the workflow holds now."""
    async with database.read() as connection:
        return await reports.workflow_cost(connection, organization_id, workflow_id)


async def get_monthly_cost(
    database: Database, organization_id: UUID, month: date | None, label_key: str | None
) -> MonthlyCost:
    """By model and by day, and by the values of `label_key` if it is given. `month` None: this month."""
    async with database.read() as connection:
        return await reports.monthly_cost(connection, organization_id, month, label_key)


async def list_top_workflows(
    database: Database,
    organization_id: UUID,
    month: date | None,
    *,
    after: TopWorkflowsPage | None,
    limit: int,
) -> TopWorkflows:
    """At most `limit` workflows, dearest first. `month` None: this month."""
    async with database.read() as connection:
        return await reports.top_workflows(connection, organization_id, month, after=after, limit=limit)


async def get_margin(database: Database, organization_id: UUID | None, month: date | None) -> Margin:
    """Subscription price − cost, of one organization or (None) of all. `month` None: this month."""
    async with database.read() as connection:
        return await reports.margin(connection, organization_id, month)
