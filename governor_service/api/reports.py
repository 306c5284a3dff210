"""Reports: requests → domain, domain → answers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from governor_service.api import render
from governor_service.domain.ledger import ModelCost, WorkflowCost
from governor_service.domain.reports import (
    Margin,
    MonthlyCost,
    WorkflowMonthlyCost,
)
from infin8.governor.v1 import ledger_service_pb2 as ledger_pb2
from service_chassis.rpc.fields import Fields


def label_key(fields: Fields, value: str) -> str | None:
    """The label key to split the cost by; None: no split."""
    if not value:
        return None
    fields.labels("label_key", {value: ""})
    return value


def workflow_cost(value: WorkflowCost) -> ledger_pb2.WorkflowCost:
    return ledger_pb2.WorkflowCost(
        workflow_id=str(value.workflow_id),
        cost_nano_usd=render.saturated(value.cost_nano_usd),
        held_nano_usd=value.held_nano_usd,
        entries=sum(model.entries for model in value.models),
        models=_model_costs(value.models),
    )


def monthly_cost(value: MonthlyCost) -> ledger_pb2.OrganizationMonthlyCost:
    return ledger_pb2.OrganizationMonthlyCost(
        organization_id=str(value.organization_id),
        period_start=_first_instant(value.month),
        cost_nano_usd=render.saturated(value.cost_nano_usd),
        entries=value.entries,
        models=_model_costs(value.models),
        days=[
            ledger_pb2.DayCost(
                day=_first_instant(part.day),
                cost_nano_usd=render.saturated(part.cost_nano_usd),
                entries=part.entries,
            )
            for part in value.days
        ],
        labels=[
            ledger_pb2.LabelCost(
                key=part.key,
                value=part.value,
                cost_nano_usd=render.saturated(part.cost_nano_usd),
                entries=part.entries,
            )
            for part in value.labels
        ],
    )


def workflow_monthly_cost(
    organization_id: UUID, value: WorkflowMonthlyCost
) -> ledger_pb2.WorkflowMonthlyCost:
    return ledger_pb2.WorkflowMonthlyCost(
        organization_id=str(organization_id),
        workflow_id=str(value.workflow_id),
        cost_nano_usd=render.saturated(value.cost_nano_usd),
        entries=value.entries,
    )


def margin(value: Margin) -> ledger_pb2.Margin:
    return ledger_pb2.Margin(
        period_start=_first_instant(value.month),
        subscription_price_nano_usd=render.saturated(value.subscription_price_nano_usd),
        cost_nano_usd=render.saturated(value.cost_nano_usd),
        margin_nano_usd=render.saturated(value.margin_nano_usd),
        organizations=value.organizations,
    )


def _model_costs(values: Iterable[ModelCost]) -> list[ledger_pb2.ModelCost]:
    return [
        ledger_pb2.ModelCost(
            model=value.model,
            cost_nano_usd=render.saturated(value.cost_nano_usd),
            entries=value.entries,
            input_tokens=value.input_tokens,
            output_tokens=value.output_tokens,
        )
        for value in values
    ]


def _first_instant(day: date) -> Timestamp | None:
    return render.timestamp(datetime.combine(day, time.min, UTC))
