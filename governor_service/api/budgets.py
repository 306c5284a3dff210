"""Budgets: requests → domain."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from governor_service.api import parse, render
from governor_service.domain.budgets import (
    LIMIT_NANO_USD_MAX,
    PERIODS,
    BudgetName,
    BudgetPeriod,
    BudgetScope,
    LimitChange,
)
from infin8.governor.v1 import budget_pb2, budget_service_pb2
from service_chassis.content_hash import content_hash
from service_chassis.rpc.fields import Fields

AFTER_ALL_CHANGES = datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1)
"""The time and id that the first page of changes ends before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitToSet:
    """A budget and its new limit, None to remove it; and when that ends, None for never."""

    organization_id: UUID
    name: BudgetName
    limit_nano_usd: int | None
    expire_time: datetime | None
    request_id: UUID | None

    @property
    def content_hash(self) -> bytes:
        """Distinguishes a replay of `request_id` from its reuse."""
        return content_hash(
            budget=self.name.key, limit_nano_usd=self.limit_nano_usd, expire_time=self.expire_time
        )


def limit_to_set(request: budget_service_pb2.SetBudgetRequest) -> LimitToSet:
    with Fields() as fields:
        name = budget_name(fields, request)
        if name.scope is BudgetScope.LABEL and not request.period:
            fields.invalid("period", "is required for a label's budget")
        return LimitToSet(
            organization_id=fields.required_uuid("organization_id", request.organization_id),
            name=name,
            limit_nano_usd=fields.integer(
                "limit_nano_usd", request.limit_nano_usd, minimum=0, maximum=LIMIT_NANO_USD_MAX
            )
            if request.HasField("limit_nano_usd")
            else None,
            expire_time=fields.timestamp("expire_time", request, "expire_time"),
            request_id=fields.optional_uuid("request_id", request.request_id),
        )


def budget_name(
    fields: Fields, request: budget_service_pb2.GetBudgetRequest | budget_service_pb2.SetBudgetRequest
) -> BudgetName:
    """The budget that the request names. Without a period, the scope's first period counts."""
    scope = budget_scope(fields, request.scope) or BudgetScope.ORGANIZATION
    if not request.scope:
        fields.invalid("scope", "is required")
    subject = request.subject
    period = fields.optional_enum(
        "period", request.period, budget_pb2.BudgetPeriod, "BUDGET_PERIOD_", BudgetPeriod
    )
    time = fields.timestamp("period_start", request, "period_start")
    # Which values the other fields may have depends on the scope.
    if not fields.is_bad("scope"):
        match scope:
            case BudgetScope.ORGANIZATION:
                if subject:
                    fields.invalid("subject", "must be empty for an organization's budget")
            case BudgetScope.WORKFLOW:
                subject = str(fields.required_uuid("subject", subject))
            case BudgetScope.LABEL:
                parse.label(fields, "subject", subject)
        if period is not None and period not in PERIODS[scope]:
            fields.invalid("period", f"must be {' or '.join(PERIODS[scope])} for a budget of this scope")
        elif time is not None and not (period or PERIODS[scope][0]).begins_anew:
            fields.invalid("period_start", "must be unset for a lifetime")
    period = period or PERIODS[scope][0]
    return BudgetName(
        scope=scope, subject=subject, period=period, start=period.start_of(time) if time else None
    )


def budget_scope(fields: Fields, value: budget_pb2.BudgetScope.ValueType) -> BudgetScope | None:
    """None if it is unset."""
    return fields.optional_enum("scope", value, budget_pb2.BudgetScope, "BUDGET_SCOPE_", BudgetScope)


def limit_change_message(value: LimitChange) -> budget_service_pb2.LimitChange:
    return budget_service_pb2.LimitChange(
        change_id=str(value.change_id),
        scope=render.SCOPES[value.name.scope],
        subject=value.name.subject,
        period=render.PERIODS[value.name.period],
        period_start=render.timestamp(value.name.start),
        limit_nano_usd=value.limit_nano_usd,
        expire_time=render.timestamp(value.expire_time),
        limit_after_nano_usd=value.limit_after_nano_usd,
        author=value.author,
        change_time=render.timestamp(value.change_time),
    )
