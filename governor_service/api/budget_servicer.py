"""BudgetService over gRPC: parse, call, render."""

from __future__ import annotations

from governor_service.api import parse, render
from governor_service.api.freezes import freeze_message, freeze_reason, freeze_target
from governor_service.api.governor_servicer import ANONYMOUS, Context
from governor_service.api.organizations import (
    organization_change,
    organization_message,
    tier_message,
    tier_terms,
)
from governor_service.app import freezes, limits, organizations, tiers
from governor_service.domain.budgets import BudgetScope
from governor_service.domain.organizations import ChangeRequest
from infin8.governor.v1 import budget_pb2, budget_service_pb2, budget_service_pb2_grpc
from service_chassis.postgres.database import Database
from service_chassis.refusal import invalid_field
from service_chassis.rpc import fields


class BudgetServicer(budget_service_pb2_grpc.BudgetServiceServicer):
    """What may be spent, and by whom."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def GetBudget(
        self, request: budget_service_pb2.GetBudgetRequest, context: Context
    ) -> budget_pb2.BudgetStatus:
        status = await limits.get_budget(
            self._database,
            fields.required_uuid("organization_id", request.organization_id),
            parse.budget_name(request),
            either_period=not request.period,
        )
        return render.lone_budget(status)

    async def ListBudgets(
        self, request: budget_service_pb2.ListBudgetsRequest, context: Context
    ) -> budget_service_pb2.ListBudgetsResponse:
        organization_id = fields.required_uuid("organization_id", request.organization_id)
        budget_scope = None
        if request.scope:
            budget_scope = BudgetScope(
                fields.enum_name("scope", request.scope, budget_pb2.BudgetScope, "BUDGET_SCOPE_")
            )
        page_size = fields.page_size("page_size", request.page_size)
        scope = f"ListBudgets {organization_id} {budget_scope}"
        found = await limits.list_budgets(
            self._database,
            organization_id,
            budget_scope,
            after_key=_after(request.page_token, scope),
            # One more tells whether there is a next page.
            limit=page_size + 1,
        )
        page = found[:page_size]
        return budget_service_pb2.ListBudgetsResponse(
            budgets=[render.lone_budget(status) for status in page],
            next_page_token=fields.encode_page_token(scope=scope, position=[page[-1].name.key])
            if len(found) > page_size
            else "",
        )

    async def SetBudget(
        self, request: budget_service_pb2.SetBudgetRequest, context: Context
    ) -> budget_pb2.BudgetStatus:
        organization_id = fields.required_uuid("organization_id", request.organization_id)
        name, limit_nano_usd = parse.limit_to_set(request)
        status = await limits.set_budget(
            self._database,
            organization_id,
            name,
            limit_nano_usd,
            author=ANONYMOUS,
            request_id=fields.optional_uuid("request_id", request.request_id),
            content_hash=fields.content_hash(request),
        )
        return render.lone_budget(status)

    async def GetOrganization(
        self, request: budget_service_pb2.GetOrganizationRequest, context: Context
    ) -> budget_service_pb2.Organization:
        organization = await organizations.get_organization(
            self._database, fields.required_uuid("organization_id", request.organization_id)
        )
        return organization_message(organization)

    async def SetOrganization(
        self, request: budget_service_pb2.SetOrganizationRequest, context: Context
    ) -> budget_service_pb2.Organization:
        organization = await organizations.set_organization(
            self._database, organization_change(request), _change_request(request)
        )
        return organization_message(organization)

    async def ListTiers(
        self, request: budget_service_pb2.ListTiersRequest, context: Context
    ) -> budget_service_pb2.ListTiersResponse:
        page_size = fields.page_size("page_size", request.page_size)
        found = await tiers.list_tiers(
            self._database, after_tier=_after(request.page_token, "ListTiers"), limit=page_size + 1
        )
        page = found[:page_size]
        return budget_service_pb2.ListTiersResponse(
            tiers=[tier_message(tier) for tier in page],
            next_page_token=fields.encode_page_token(scope="ListTiers", position=[page[-1].terms.tier])
            if len(found) > page_size
            else "",
        )

    async def SetTier(
        self, request: budget_service_pb2.SetTierRequest, context: Context
    ) -> budget_service_pb2.Tier:
        tier = await tiers.set_tier(self._database, tier_terms(request.tier), _change_request(request))
        return tier_message(tier)

    async def SetFreeze(
        self, request: budget_service_pb2.SetFreezeRequest, context: Context
    ) -> budget_service_pb2.Freeze:
        freeze = await freezes.set_freeze(
            self._database,
            freeze_target(request),
            _change_request(request),
            frozen=request.frozen,
            reason=freeze_reason(request),
        )
        return freeze_message(freeze)


def _change_request(
    request: budget_service_pb2.SetOrganizationRequest
    | budget_service_pb2.SetTierRequest
    | budget_service_pb2.SetFreezeRequest,
) -> ChangeRequest:
    return ChangeRequest(
        author=ANONYMOUS,
        request_id=fields.optional_uuid("request_id", request.request_id),
        content_hash=fields.content_hash(request),
    )


def _after(page_token: str, scope: str) -> str:
    """The key or name that a page begins after; empty for the first."""
    match fields.decode_page_token("page_token", page_token, scope=scope):
        case None:
            return ""
        case [str(position)]:
            return position
        case _:
            raise invalid_field("page_token", "is not a page token of this list")
