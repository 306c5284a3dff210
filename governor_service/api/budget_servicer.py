"""BudgetService over gRPC: parse, call, render."""

from __future__ import annotations

from governor_service.api import parse, render
from governor_service.api.governor_servicer import ANONYMOUS, Context
from governor_service.app import limits
from infin8.governor.v1 import budget_pb2, budget_service_pb2, budget_service_pb2_grpc
from service_chassis import fields
from service_chassis.database import Database


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
