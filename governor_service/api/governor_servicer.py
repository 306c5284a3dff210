"""GovernorService over gRPC: parse, call, render."""

from __future__ import annotations

from typing import Any

import grpc

from governor_service.api import batches, parse, postings, render
from governor_service.app import adjust, authorize, extend, get_authorization, record_usage, settle, void
from governor_service.domain.authorization import Hold
from governor_service.store.holds import HoldStore
from infin8.governor.v1 import authorization_pb2, entry_pb2
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from infin8.governor.v1 import governor_service_pb2_grpc as governor_grpc
from service_chassis.postgres.database import Database
from service_chassis.rpc import fields

Context = grpc.aio.ServicerContext[Any, Any]

# Until callers authenticate, nobody knows who they are.
ANONYMOUS = "anonymous"


class GovernorServicer(governor_grpc.GovernorServiceServicer):
    """Around each model call."""

    def __init__(self, holds: HoldStore, database: Database) -> None:
        self._holds = holds
        self._database = database

    async def CheckBudget(
        self, request: governor_pb2.CheckBudgetRequest, context: Context
    ) -> governor_pb2.CheckBudgetResponse:
        call = parse.planned_call(request)
        parse.hold_terms(request)
        return render.budget_check(await self._holds.check_budget(call))

    async def Authorize(
        self, request: governor_pb2.AuthorizeRequest, context: Context
    ) -> authorization_pb2.Authorization:
        return render.authorization(await authorize.authorize(self._holds, parse.hold_request(request)))

    async def Settle(self, request: governor_pb2.SettleRequest, context: Context) -> governor_pb2.Settlement:
        settlement = await settle.settle(self._holds, parse.settle_request(request, author=ANONYMOUS))
        return render.settlement(settlement)

    async def Void(
        self, request: governor_pb2.VoidRequest, context: Context
    ) -> authorization_pb2.Authorization:
        organization_id, authorization_id, request_id = parse.hold_target(request)
        hold = await void.void(
            self._holds,
            organization_id,
            authorization_id,
            request_id=request_id,
            reason=fields.text("reason", request.reason, max_length=parse.REASON_LENGTH_MAX, required=False),
        )
        return render.authorization(hold)

    async def GetAuthorization(
        self, request: governor_pb2.GetAuthorizationRequest, context: Context
    ) -> authorization_pb2.Authorization:
        organization_id, authorization_id, _ = parse.hold_target(request)
        hold = await get_authorization.get_authorization(self._holds, organization_id, authorization_id)
        return render.authorization(hold)

    async def Extend(
        self, request: governor_pb2.ExtendRequest, context: Context
    ) -> authorization_pb2.Authorization:
        return render.authorization(await extend.extend(self._holds, *parse.extension(request)))

    async def ListAuthorizations(
        self, request: governor_pb2.ListAuthorizationsRequest, context: Context
    ) -> governor_pb2.ListAuthorizationsResponse:
        wanted = parse.authorization_filter(request)
        page_size = fields.page_size("page_size", request.page_size)
        scope = f"ListAuthorizations {wanted}"
        # One more tells whether there is a next page.
        found = await self._holds.list(
            wanted, after=parse.after_authorization(request.page_token, scope), limit=page_size + 1
        )
        page = found[:page_size]
        return governor_pb2.ListAuthorizationsResponse(
            authorizations=[
                render.authorization(Hold(authorization=authorization, budgets=())) for authorization in page
            ],
            next_page_token=(
                parse.authorization_page_token(page[-1], scope) if len(found) > page_size else ""
            ),
        )

    async def BatchAuthorize(
        self, request: governor_pb2.BatchAuthorizeRequest, context: Context
    ) -> governor_pb2.BatchAuthorizeResponse:
        return await batches.authorize_items(self._holds, request.items)

    async def BatchSettle(
        self, request: governor_pb2.BatchSettleRequest, context: Context
    ) -> governor_pb2.BatchSettleResponse:
        return await batches.settle_items(self._holds, request.items, author=ANONYMOUS)

    async def RecordUsage(
        self, request: governor_pb2.RecordUsageRequest, context: Context
    ) -> entry_pb2.LedgerEntry:
        recorded = await record_usage.record_usage(
            self._database, postings.record_request(request, author=ANONYMOUS)
        )
        return render.entry(recorded)

    async def Adjust(self, request: governor_pb2.AdjustRequest, context: Context) -> entry_pb2.LedgerEntry:
        adjusted = await adjust.adjust(self._database, postings.adjust_request(request, author=ANONYMOUS))
        return render.entry(adjusted)
