"""BudgetService over gRPC: parse, call, render."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from governor_service.api import budgets, parse, render
from governor_service.api.freezes import (
    freeze_content_hash,
    freeze_message,
    freeze_position,
    freeze_target,
)
from governor_service.api.governor_servicer import ANONYMOUS, Context
from governor_service.api.organizations import (
    allowed_models,
    organization_change,
    organization_message,
    tier_message,
    tier_terms,
)
from governor_service.app import freezes, limits, organizations, tiers
from infin8.governor.v1 import budget_pb2, budget_service_pb2, budget_service_pb2_grpc
from service_chassis.postgres.database import Database
from service_chassis.rpc.fields import Fields
from service_chassis.rpc.paging import Paging


class BudgetServicer(budget_service_pb2_grpc.BudgetServiceServicer):
    """Limits, tiers and freezes."""

    def __init__(self, database: Database, *, denies_unknown: bool) -> None:
        self._database = database
        self._denies_unknown = denies_unknown

    async def GetBudget(
        self, request: budget_service_pb2.GetBudgetRequest, context: Context
    ) -> budget_pb2.BudgetStatus:
        with Fields() as fields:
            organization_id = fields.required_uuid("organization_id", request.organization_id)
            name = budgets.budget_name(fields, request)
        status = await limits.get_budget(
            self._database, organization_id, name, either_period=not request.period
        )
        return render.lone_budget(status)

    async def ListBudgets(
        self, request: budget_service_pb2.ListBudgetsRequest, context: Context
    ) -> budget_service_pb2.ListBudgetsResponse:
        with Fields() as fields:
            organization_id = fields.required_uuid("organization_id", request.organization_id)
            scope = budgets.budget_scope(fields, request.scope)
            paging = Paging(fields, request, (str,), scope=[organization_id, scope])
        found = await limits.list_budgets(
            self._database, organization_id, scope, after_key=paging.after or "", limit=paging.limit
        )
        page = paging.page(found, render.lone_budget, lambda status: status.name.key)
        return budget_service_pb2.ListBudgetsResponse(
            budgets=page.messages, next_page_token=page.next_page_token
        )

    async def SetBudget(
        self, request: budget_service_pb2.SetBudgetRequest, context: Context
    ) -> budget_pb2.BudgetStatus:
        asked = budgets.limit_to_set(request)
        status = await limits.set_budget(
            self._database,
            asked.organization_id,
            asked.name,
            asked.limit_nano_usd,
            expire_time=asked.expire_time,
            author=ANONYMOUS,
            request_id=asked.request_id,
            content_hash=asked.content_hash,
        )
        return render.lone_budget(status)

    async def GetOrganization(
        self, request: budget_service_pb2.GetOrganizationRequest, context: Context
    ) -> budget_service_pb2.Organization:
        with Fields() as fields:
            organization_id = fields.required_uuid("organization_id", request.organization_id)
        organization = await organizations.get_organization(
            self._database, organization_id, denies_unknown=self._denies_unknown
        )
        return organization_message(organization)

    async def SetOrganization(
        self, request: budget_service_pb2.SetOrganizationRequest, context: Context
    ) -> budget_service_pb2.Organization:
        with Fields() as fields:
            change = organization_change(fields, request)
            change_request = parse.change_request(
                fields, request, author=ANONYMOUS, content_hash=change.content_hash
            )
        organization = await organizations.set_organization(self._database, change, change_request)
        return organization_message(organization)

    async def ListTiers(
        self, request: budget_service_pb2.ListTiersRequest, context: Context
    ) -> budget_service_pb2.ListTiersResponse:
        with Fields() as fields:
            paging = Paging(fields, request, (str,), scope=[])
        found = await tiers.list_tiers(self._database, after_tier=paging.after or "", limit=paging.limit)
        page = paging.page(found, tier_message, lambda tier: tier.terms.tier)
        return budget_service_pb2.ListTiersResponse(tiers=page.messages, next_page_token=page.next_page_token)

    async def SetTier(
        self, request: budget_service_pb2.SetTierRequest, context: Context
    ) -> budget_service_pb2.Tier:
        with Fields() as fields:
            terms = tier_terms(fields, request.tier)
            models = allowed_models(fields, request.tier.allowed_models)
            change_request = parse.change_request(
                fields, request, author=ANONYMOUS, content_hash=terms.content_hash
            )
        return tier_message(await tiers.set_tier(self._database, terms, models, change_request))

    async def SetFreeze(
        self, request: budget_service_pb2.SetFreezeRequest, context: Context
    ) -> budget_service_pb2.Freeze:
        with Fields() as fields:
            target, model = freeze_target(fields, request)
            reason = parse.reason(fields, "reason", request.reason, required=True)
            change_request = parse.change_request(
                fields,
                request,
                author=ANONYMOUS,
                content_hash=freeze_content_hash(target, frozen=request.frozen, reason=reason),
            )
        freeze = await freezes.set_freeze(
            self._database,
            target,
            model,
            change_request,
            frozen=request.frozen,
            reason=reason,
            allow_unpriced=request.allow_unpriced,
        )
        return freeze_message(freeze)

    async def ListFreezes(
        self, request: budget_service_pb2.ListFreezesRequest, context: Context
    ) -> budget_service_pb2.ListFreezesResponse:
        with Fields() as fields:
            organization_id = fields.optional_uuid("organization_id", request.organization_id)
            paging = Paging(fields, request, (UUID, str), scope=[organization_id])
        found = await freezes.list_freezes(
            self._database, organization_id, after=paging.after, limit=paging.limit
        )
        page = paging.page(found, freeze_message, freeze_position)
        return budget_service_pb2.ListFreezesResponse(
            freezes=page.messages, next_page_token=page.next_page_token
        )

    async def ListLimitChanges(
        self, request: budget_service_pb2.ListLimitChangesRequest, context: Context
    ) -> budget_service_pb2.ListLimitChangesResponse:
        with Fields() as fields:
            organization_id = fields.required_uuid("organization_id", request.organization_id)
            scope = budgets.budget_scope(fields, request.scope)
            paging = Paging(fields, request, (datetime, UUID), scope=[organization_id, scope])
        found = await limits.list_limit_changes(
            self._database,
            organization_id,
            scope,
            before=paging.after or budgets.AFTER_ALL_CHANGES,
            limit=paging.limit,
        )
        page = paging.page(
            found, budgets.limit_change_message, lambda change: (change.change_time, change.change_id)
        )
        return budget_service_pb2.ListLimitChangesResponse(
            changes=page.messages, next_page_token=page.next_page_token
        )
