"""GovernorService over gRPC: parse, call, render."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import grpc

from governor_service.api import batches, parse, postings, render
from governor_service.api import holds as requests
from governor_service.app import adjust, authorize, extend, get_authorization, record_usage, settle, void
from governor_service.domain.authorization import Hold
from governor_service.store.holds import HoldStore
from infin8.governor.v1 import authorization_pb2, entry_pb2
from infin8.governor.v1 import governor_service_pb2 as governor_pb2
from infin8.governor.v1 import governor_service_pb2_grpc as governor_grpc
from service_chassis.postgres.database import Database
from service_chassis.rpc.fields import Fields
from service_chassis.rpc.paging import Paging

Context = grpc.aio.ServicerContext[Any, Any]

# The author of everything, until callers authenticate.
ANONYMOUS = "anonymous"


class GovernorServicer(governor_grpc.GovernorServiceServicer):
    """What a caller does before and after each model call."""

    def __init__(self, holds: HoldStore, database: Database) -> None:
        self._holds = holds
        self._database = database

    async def CheckBudget(
        self, request: governor_pb2.CheckBudgetRequest, context: Context
    ) -> governor_pb2.CheckBudgetResponse:
        return render.budget_check(await self._holds.check_budget(requests.budget_check(request)))

    async def Authorize(
        self, request: governor_pb2.AuthorizeRequest, context: Context
    ) -> authorization_pb2.Authorization:
        return render.authorization(await authorize.authorize(self._holds, requests.hold_request(request)))

    async def Settle(self, request: governor_pb2.SettleRequest, context: Context) -> governor_pb2.Settlement:
        settlement = await settle.settle(self._holds, requests.settle_request(request, author=ANONYMOUS))
        return render.settlement(settlement)

    async def Void(
        self, request: governor_pb2.VoidRequest, context: Context
    ) -> authorization_pb2.Authorization:
        with Fields() as fields:
            target = requests.hold_target(fields, request)
            reason = parse.reason(fields, "reason", request.reason, required=False)
        return render.authorization(await void.void(self._holds, target, reason=reason))

    async def GetAuthorization(
        self, request: governor_pb2.GetAuthorizationRequest, context: Context
    ) -> authorization_pb2.Authorization:
        with Fields() as fields:
            target = requests.hold_target(fields, request)
        return render.authorization(await get_authorization.get_authorization(self._holds, target))

    async def Extend(
        self, request: governor_pb2.ExtendRequest, context: Context
    ) -> authorization_pb2.Authorization:
        return render.authorization(await extend.extend(self._holds, requests.extension(request)))

    async def ListAuthorizations(
        self, request: governor_pb2.ListAuthorizationsRequest, context: Context
    ) -> governor_pb2.ListAuthorizationsResponse:
        with Fields() as fields:
            wanted = requests.authorization_filter(fields, request)
            paging = Paging(fields, request, (datetime, UUID), scope=[wanted])
        found = await self._holds.list(wanted, after=paging.after or requests.BEFORE_ALL, limit=paging.limit)
        page = paging.page(
            found,
            lambda held: render.authorization(Hold(authorization=held, budgets=())),
            lambda held: (held.create_time, held.authorization_id),
        )
        return governor_pb2.ListAuthorizationsResponse(
            authorizations=page.messages, next_page_token=page.next_page_token
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
