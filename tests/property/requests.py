"""Operations as request messages."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from infin8.governor.v1 import authorization_pb2, budget_pb2, entry_pb2
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
    Extend,
    Operation,
    RecordUsage,
    SetBudget,
    SetFreeze,
    SetOrganization,
    SetTier,
    Settle,
    Usage,
    Void,
)

_SETTABLE = ("tier", "workflow_limit_nano_usd", "monthly_quota_nano_usd")


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
            case Settle(organization, hold, usage, served, provider_cost):
                outcome: dict[str, Any] = {"unknown_outcome": governor.UnknownOutcome()}
                if usage is not None:
                    outcome = {"usage": _usage(usage)}
                return governor.SettleRequest(
                    organization_id=self.organization_id(organization),
                    authorization_id=self.hold_id(hold),
                    served_model=self.model_id(served),
                    provider_cost_nano_usd=provider_cost,
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
                    input_nano_usd_per_mtok=rates.input,
                    cached_input_nano_usd_per_mtok=rates.cached,
                    cache_write_nano_usd_per_mtok=rates.cache_write,
                    output_nano_usd_per_mtok=rates.output,
                    reasoning_nano_usd_per_mtok=rates.reasoning,
                    request_nano_usd=rates.request,
                    effective_time=_timestamp(effective_time),
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
                    ),
                    request_id=self.request_id(operation.request),
                )
            case SetOrganization(request, organization, tier, workflow_limit, monthly_quota):
                return budgets.SetOrganizationRequest(
                    organization=budgets.Organization(
                        organization_id=self.organization_id(organization),
                        tier=self.tier_id(tier or ""),
                        workflow_limit_nano_usd=workflow_limit,
                        monthly_quota_nano_usd=monthly_quota,
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
        }


def _usage(usage: Usage) -> entry_pb2.Usage:
    return entry_pb2.Usage(
        input_tokens=usage.input,
        cached_input_tokens=usage.cached,
        cache_write_tokens=usage.cache_write,
        output_tokens=usage.output,
        reasoning_tokens=usage.reasoning,
        requests=usage.requests,
    )


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
