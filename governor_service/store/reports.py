"""Reports, from the totals that each ledger entry updates."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from governor_service.domain.ledger import ModelCost, WorkflowCost
from governor_service.domain.reports import (
    DayCost,
    LabelCost,
    Margin,
    MonthlyCost,
    TopWorkflows,
    TopWorkflowsPage,
    WorkflowMonthlyCost,
)
from governor_service.store import records
from service_chassis.postgres.database import Connection
from service_chassis.postgres.queries import load_queries

QUERIES = load_queries(__package__, "reports.sql")


async def workflow_cost(connection: Connection, organization_id: UUID, workflow_id: UUID) -> WorkflowCost:
    """Zero for a workflow without entries."""
    row = await connection.fetchrow(QUERIES["workflow_cost"], organization_id, workflow_id)
    assert row is not None
    models = tuple(ModelCost(**model) for model in row["models"])
    return WorkflowCost(
        workflow_id=workflow_id,
        cost_nano_usd=sum(model.cost_nano_usd for model in models),
        held_nano_usd=row["held_nano_usd"],
        models=models,
    )


async def monthly_cost(
    connection: Connection, organization_id: UUID, month: date | None, label_key: str | None
) -> MonthlyCost:
    """Zero for a month without entries. `month` None: this month."""
    row = await connection.fetchrow(QUERIES["monthly_cost"], organization_id, _text(month), label_key)
    assert row is not None
    return MonthlyCost(
        organization_id=organization_id,
        month=records.month(row["month"]),
        models=tuple(ModelCost(**model) for model in row["models"]),
        days=tuple(DayCost(**day | {"day": date.fromisoformat(day["day"])}) for day in row["days"]),
        labels=tuple(LabelCost(**label) for label in row["labels"]),
    )


async def top_workflows(
    connection: Connection,
    organization_id: UUID,
    month: date | None,
    *,
    after: TopWorkflowsPage | None,
    limit: int,
) -> TopWorkflows:
    """At most `limit` workflows. `month` None: this month. The month of `after`, if given, counts instead."""
    rows = await connection.fetch(
        QUERIES["top_workflows"],
        organization_id,
        _text(after.month if after else month),
        after.cost_nano_usd if after else None,
        after.workflow_id if after else None,
        limit,
    )
    return TopWorkflows(
        month=records.month(rows[0]["month"]),
        workflows=tuple(
            WorkflowMonthlyCost(
                workflow_id=row["workflow_id"],
                cost_nano_usd=int(row["cost_nano_usd"]),
                entries=row["entries"],
            )
            for row in rows
            if row["workflow_id"] is not None
        ),
    )


async def margin(connection: Connection, organization_id: UUID | None, month: date | None) -> Margin:
    """Of one organization, or (None) of all. `month` None: this month."""
    row = await connection.fetchrow(QUERIES["margin"], organization_id, _text(month))
    assert row is not None
    return Margin(
        month=records.month(row["month"]),
        subscription_price_nano_usd=int(row["subscription_price_nano_usd"]),
        cost_nano_usd=int(row["cost_nano_usd"]),
        organizations=row["organizations"],
    )


def _text(month: date | None) -> str | None:
    # strftime does not pad the year.
    return month.isoformat()[:7] if month else None
