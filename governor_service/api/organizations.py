"""Organizations and tiers, between messages and the domain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from governor_service.api import parse, render
from governor_service.domain.budgets import LIMIT_NANO_USD_MAX
from governor_service.domain.model_id import ModelId, general_names
from governor_service.domain.organizations import (
    TIER_LENGTH_MAX,
    CostBasis,
    Organization,
    OrganizationChange,
    OrganizationField,
    Tier,
    TierTerms,
)
from infin8.governor.v1 import budget_service_pb2, price_pb2
from service_chassis.rpc.fields import Fields


def organization_change(
    fields: Fields, request: budget_service_pb2.SetOrganizationRequest
) -> OrganizationChange:
    """The fields that the mask names; without a mask, those that are set. Other fields are not checked."""
    sent = request.organization
    named = _fields_to_set(fields, request)
    tier = workflow_limit = monthly_quota = cost_basis = None
    if OrganizationField.TIER in named and sent.tier:
        tier = fields.text("organization.tier", sent.tier, max_length=TIER_LENGTH_MAX)
    if OrganizationField.WORKFLOW_LIMIT in named:
        workflow_limit = _limit(fields, "organization", sent, "workflow_limit_nano_usd")
    if OrganizationField.MONTHLY_QUOTA in named:
        monthly_quota = _limit(fields, "organization", sent, "monthly_quota_nano_usd")
    if OrganizationField.COST_BASIS in named:
        cost_basis = _cost_basis(fields, "organization.cost_basis", sent.cost_basis)
    return OrganizationChange(
        organization_id=fields.required_uuid("organization.organization_id", sent.organization_id),
        fields=named,
        tier=tier,
        workflow_limit_nano_usd=workflow_limit,
        monthly_quota_nano_usd=monthly_quota,
        cost_basis=cost_basis,
    )


def _fields_to_set(
    fields: Fields, request: budget_service_pb2.SetOrganizationRequest
) -> list[OrganizationField]:
    settable = list(OrganizationField)
    paths = request.update_mask.paths
    if not paths:
        sent = {descriptor.name for descriptor, _ in request.organization.ListFields()}
        return [field for field in settable if field in sent]
    if "*" in paths:
        return settable
    if not set(paths) <= set(settable):
        fields.invalid("update_mask", f"may name only {', '.join(settable)} or *")
    return [field for field in settable if field in paths]


def tier_terms(fields: Fields, sent: budget_service_pb2.Tier) -> TierTerms:
    """A whole tier."""
    threshold = None
    if sent.HasField("downgrade_threshold_percent"):
        threshold = fields.integer(
            "tier.downgrade_threshold_percent", sent.downgrade_threshold_percent, minimum=1, maximum=100
        )
    return TierTerms(
        tier=fields.text("tier.tier", sent.tier, max_length=TIER_LENGTH_MAX),
        workflow_limit_nano_usd=_limit(fields, "tier", sent, "workflow_limit_nano_usd"),
        monthly_quota_nano_usd=_limit(fields, "tier", sent, "monthly_quota_nano_usd"),
        allowed_models=tuple(general_names(allowed_models(fields, sent.allowed_models))),
        downgrade_threshold_percent=threshold,
        subscription_price_nano_usd=fields.integer(
            "tier.subscription_price_nano_usd",
            sent.subscription_price_nano_usd,
            minimum=0,
            maximum=LIMIT_NANO_USD_MAX,
        ),
        cost_basis=_cost_basis(fields, "tier.cost_basis", sent.cost_basis) or CostBasis.GREATER,
    )


def allowed_models(fields: Fields, sent: Sequence[str]) -> list[ModelId]:
    """The models that a tier allows; empty: all."""
    return [parse.model(fields, f"tier.allowed_models[{place}]", model) for place, model in enumerate(sent)]


def _cost_basis(fields: Fields, path: str, sent: price_pb2.CostBasis.ValueType) -> CostBasis | None:
    return fields.optional_enum(path, sent, price_pb2.CostBasis, "COST_BASIS_", CostBasis)


def _limit(
    fields: Fields,
    path: str,
    message: budget_service_pb2.Organization | budget_service_pb2.Tier,
    field: Literal["workflow_limit_nano_usd", "monthly_quota_nano_usd"],
) -> int | None:
    if not message.HasField(field):
        return None
    return fields.integer(f"{path}.{field}", getattr(message, field), minimum=0, maximum=LIMIT_NANO_USD_MAX)


def organization_message(value: Organization) -> budget_service_pb2.Organization:
    return budget_service_pb2.Organization(
        organization_id=str(value.organization_id),
        tier=value.tier,
        workflow_limit_nano_usd=value.workflow_limit_nano_usd,
        monthly_quota_nano_usd=value.monthly_quota_nano_usd,
        cost_basis=_basis_number(value.cost_basis),
        create_time=render.timestamp(value.create_time),
        update_time=render.timestamp(value.update_time),
        author=value.author or "",
    )


def tier_message(value: Tier) -> budget_service_pb2.Tier:
    return budget_service_pb2.Tier(
        tier=value.terms.tier,
        workflow_limit_nano_usd=value.terms.workflow_limit_nano_usd,
        monthly_quota_nano_usd=value.terms.monthly_quota_nano_usd,
        allowed_models=value.terms.allowed_models,
        downgrade_threshold_percent=value.terms.downgrade_threshold_percent,
        subscription_price_nano_usd=value.terms.subscription_price_nano_usd,
        cost_basis=_basis_number(value.terms.cost_basis),
        update_time=render.timestamp(value.update_time),
        author=value.author,
    )


def _basis_number(value: CostBasis | None) -> price_pb2.CostBasis.ValueType:
    return price_pb2.CostBasis.Value(f"COST_BASIS_{value or 'UNSPECIFIED'}")
