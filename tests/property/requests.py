"""Operations as request messages."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from governor_service.domain.usage import Usage
from infin8.governor.v1 import authorization_pb2, budget_pb2, entry_pb2, price_pb2
from infin8.governor.v1 import budget_service_pb2 as budgets
from infin8.governor.v1 import governor_service_pb2 as governor
from infin8.governor.v1 import pricing_service_pb2 as pricing
from tests.property.names import Names
from tests.property.operations import (
    Adjust,
    Authorize,
    Call,
    CheckBudget,
    CreatePrice,
    DeleteModelAlias,
    Extend,
    Operation,
    RecordUsage,
    SetBudget,
    SetFreeze,
    SetModelAlias,
    SetOrganization,
    SetTier,
    Settle,
    Void,
)

_SETTABLE = ("tier", "workflow_limit_nano_usd", "monthly_quota_nano_usd", "cost_basis")


class Requests(Names):
    """Converts operations to messages."""

    def message(self, operation: Operation) -> tuple[str, Message]:
        """The method and its request."""
        return type(operation).__name__, self._request(operation)

    def _request(self, operation: Operation) -> Message:
        match operation:
            case Authorize(request, call, duration, on_expiry):
                return governor.AuthorizeRequest(
                    **self._call(call),
                    request_id=self.request_id(request),
                    hold_duration=None if duration is None else _duration(duration),
                    on_expiry=authorization_pb2.ExpiryAction.Value(
                        f"EXPIRY_ACTION_{on_expiry or 'UNSPECIFIED'}"
                    ),
                )
            case CheckBudget(call):
                return governor.CheckBudgetRequest(**self._call(call))
            case Settle(organization, hold, usage, served, provider_cost, context):
                outcome: dict[str, Any] = {"unknown_outcome": governor.UnknownOutcome()}
                if usage is not None:
                    outcome = {"usage": _usage(usage)}
                return governor.SettleRequest(
                    organization_id=self.organization_id(organization),
                    authorization_id=self.hold_id(hold),
                    served_model=self.model_id(served),
                    provider_cost_nano_usd=provider_cost,
                    price_context=dict(context),
                    **outcome,
                )
            case Void(organization, hold, by_request):
                target = {"authorization_id": self.hold_id(hold)}
                if by_request:
                    target = {"request_id": self.request_id(hold.request)}
                return governor.VoidRequest(
                    organization_id=self.organization_id(organization), reason="not sent", **target
                )
            case Extend(organization, hold, expire_time):
                return governor.ExtendRequest(
                    organization_id=self.organization_id(organization),
                    authorization_id=self.hold_id(hold),
                    expire_time=_timestamp(expire_time),
                )
            case RecordUsage():
                return governor.RecordUsageRequest(
                    organization_id=self.organization_id(operation.organization),
                    workflow_id=self.workflow_id(operation.workflow),
                    request_id=self.request_id(operation.request),
                    served_model=self.model_id(operation.served),
                    usage=_usage(operation.usage),
                    provider_cost_nano_usd=operation.provider_cost,
                    labels=dict(operation.labels),
                    occurred_time=_timestamp(operation.occurred_time),
                    price_context=dict(operation.context),
                )
            case Adjust(organization, request, entry, corrected_cost):
                return governor.AdjustRequest(
                    organization_id=self.organization_id(organization),
                    request_id=self.request_id(request),
                    entry_id=self.entry_id(entry),
                    corrected_cost_nano_usd=corrected_cost,
                    reason="the invoice",
                )
            case CreatePrice(request, model, rates, effective_time):
                return pricing.CreatePriceRequest(
                    request_id=self.request_id(request),
                    model=self.model_id(model),
                    input_nano_usd_per_mtok=rates.input_nano_usd_per_mtok,
                    cached_input_nano_usd_per_mtok=rates.cached_input_nano_usd_per_mtok,
                    cache_write_nano_usd_per_mtok=rates.cache_write_nano_usd_per_mtok,
                    output_nano_usd_per_mtok=rates.output_nano_usd_per_mtok,
                    reasoning_nano_usd_per_mtok=rates.reasoning_nano_usd_per_mtok,
                    request_nano_usd=rates.request_nano_usd,
                    rates=[
                        price_pb2.Rate(
                            unit=rate.unit,
                            per=rate.per,
                            nano_usd=rate.nano_usd,
                            input_tokens_above=rate.input_tokens_above,
                        )
                        for rate in rates.rates
                    ],
                    effective_time=_timestamp(effective_time),
                    price_context=dict(operation.context),
                    source=operation.source,
                    allow_unusual=operation.allow_unusual,
                )
            case SetModelAlias(request, alias, model):
                return pricing.SetModelAliasRequest(
                    alias=self.model_id(alias),
                    model=self.model_id(model),
                    request_id=self.request_id(request),
                )
            case DeleteModelAlias(request, alias):
                return pricing.DeleteModelAliasRequest(
                    alias=self.model_id(alias), request_id=self.request_id(request)
                )
            case SetBudget(request, organization, key, limit):
                return budgets.SetBudgetRequest(
                    organization_id=self.organization_id(organization),
                    scope=budget_pb2.BudgetScope.Value(f"BUDGET_SCOPE_{key.scope}"),
                    subject=self.workflow_id(int(key.subject)) if key.scope == "WORKFLOW" else key.subject,
                    period=budget_pb2.BudgetPeriod.Value(f"BUDGET_PERIOD_{key.period}"),
                    limit_nano_usd=limit,
                    period_start=_timestamp(key.begins),
                    request_id=self.request_id(request),
                )
            case SetTier():
                return budgets.SetTierRequest(
                    tier=budgets.Tier(
                        tier=self.tier_id(operation.tier),
                        workflow_limit_nano_usd=operation.workflow_limit,
                        monthly_quota_nano_usd=operation.monthly_quota,
                        allowed_models=[self.model_id(model) for model in operation.allowed_models],
                        downgrade_threshold_percent=operation.threshold_percent,
                        cost_basis=_basis(operation.cost_basis),
                    ),
                    request_id=self.request_id(operation.request),
                )
            case SetOrganization(request, organization, tier, workflow_limit, monthly_quota, basis):
                return budgets.SetOrganizationRequest(
                    organization=budgets.Organization(
                        organization_id=self.organization_id(organization),
                        tier=self.tier_id(tier or ""),
                        workflow_limit_nano_usd=workflow_limit,
                        monthly_quota_nano_usd=monthly_quota,
                        cost_basis=_basis(basis),
                    ),
                    update_mask=FieldMask(paths=_SETTABLE),
                    request_id=self.request_id(request),
                )
            case SetFreeze(request, frozen_organization, model, frozen):
                frozen_target: dict[str, Any] = {"everything": True}
                if frozen_organization is not None:
                    frozen_target = {"organization_id": self.organization_id(frozen_organization)}
                elif model is not None:
                    frozen_target = {"model": self.model_id(model)}
                return budgets.SetFreezeRequest(
                    **frozen_target, frozen=frozen, reason="a drill", request_id=self.request_id(request)
                )
        raise AssertionError(operation)

    def _call(self, call: Call) -> dict[str, Any]:
        return {
            "organization_id": self.organization_id(call.organization),
            "workflow_id": self.workflow_id(call.workflow),
            "models": [self.model_id(model) for model in call.models],
            "input_tokens_max": call.input_tokens,
            "output_tokens_max": call.output_tokens,
            "output_tokens_min": call.output_tokens_min,
            "requests_max": call.requests,
            "labels": dict(call.labels),
            "cache_write_tokens_max": call.cache_write_max,
            "cache_write_1h_tokens_max": call.cache_write_1h_max,
            "other_units_max": dict(call.others_max),
            "price_context": dict(call.context),
        }


def _usage(usage: Usage) -> entry_pb2.Usage:
    return entry_pb2.Usage(**{field.name: getattr(usage, field.name) for field in fields(usage)})


def _basis(basis: str | None) -> price_pb2.CostBasis.ValueType:
    return price_pb2.CostBasis.Value(f"COST_BASIS_{basis or 'UNSPECIFIED'}")


def _timestamp(time: datetime | None) -> Timestamp | None:
    if time is None:
        return None
    message = Timestamp()
    message.FromDatetime(time)
    return message


def _duration(duration: timedelta) -> Duration:
    message = Duration()
    message.FromTimedelta(duration)
    return message
