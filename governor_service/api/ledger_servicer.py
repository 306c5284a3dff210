"""LedgerService over gRPC: parse, call, render."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from governor_service.api import parse, render, reports
from governor_service.api.entries import entry_filter
from governor_service.api.governor_servicer import Context
from governor_service.app import read_ledger
from governor_service.app import reports as read_reports
from governor_service.domain.reports import TopWorkflowsPage
from infin8.governor.v1 import ledger_service_pb2 as ledger_pb2
from infin8.governor.v1 import ledger_service_pb2_grpc as ledger_grpc
from service_chassis.postgres.database import Database
from service_chassis.rpc.fields import Fields
from service_chassis.rpc.paging import Paging


class LedgerServicer(ledger_grpc.LedgerServiceServicer):
    """What was spent."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ListEntries(
        self, request: ledger_pb2.ListEntriesRequest, context: Context
    ) -> ledger_pb2.ListEntriesResponse:
        with Fields() as fields:
            wanted = entry_filter(fields, request)
            paging = Paging(fields, request, (int,), scope=[wanted])
        found = await read_ledger.list_entries(
            self._database, wanted, after_sequence=paging.after or 0, limit=paging.limit
        )
        page = paging.page(found, render.entry, lambda entry: entry.sequence)
        return ledger_pb2.ListEntriesResponse(entries=page.messages, next_page_token=page.next_page_token)

    async def GetWorkflowCost(
        self, request: ledger_pb2.GetWorkflowCostRequest, context: Context
    ) -> ledger_pb2.WorkflowCost:
        with Fields() as fields:
            organization_id = fields.required_uuid("organization_id", request.organization_id)
            workflow_id = fields.required_uuid("workflow_id", request.workflow_id)
        cost = await read_reports.get_workflow_cost(self._database, organization_id, workflow_id)
        return reports.workflow_cost(cost)

    async def GetOrganizationMonthlyCost(
        self, request: ledger_pb2.GetOrganizationMonthlyCostRequest, context: Context
    ) -> ledger_pb2.OrganizationMonthlyCost:
        with Fields() as fields:
            organization_id = fields.required_uuid("organization_id", request.organization_id)
            month = parse.month(fields, "period_start", request, "period_start")
            label_key = reports.label_key(fields, request.label_key)
        cost = await read_reports.get_monthly_cost(self._database, organization_id, month, label_key)
        return reports.monthly_cost(cost)

    async def ListTopWorkflows(
        self, request: ledger_pb2.ListTopWorkflowsRequest, context: Context
    ) -> ledger_pb2.ListTopWorkflowsResponse:
        with Fields() as fields:
            organization_id = fields.required_uuid("organization_id", request.organization_id)
            month = parse.month(fields, "period_start", request, "period_start")
            # A page token contains its month: a list of "this month" stays in that month after it has ended.
            paging = Paging(fields, request, (date, int, UUID), scope=[organization_id, month])
        found = await read_reports.list_top_workflows(
            self._database,
            organization_id,
            month,
            after=TopWorkflowsPage(*paging.after) if paging.after else None,
            limit=paging.limit,
        )
        page = paging.page(
            found.workflows,
            lambda workflow: reports.workflow_monthly_cost(organization_id, workflow),
            lambda workflow: (found.month, workflow.cost_nano_usd, workflow.workflow_id),
        )
        return ledger_pb2.ListTopWorkflowsResponse(
            workflows=page.messages, next_page_token=page.next_page_token
        )

    async def GetMargin(self, request: ledger_pb2.GetMarginRequest, context: Context) -> ledger_pb2.Margin:
        with Fields() as fields:
            organization_id = fields.optional_uuid("organization_id", request.organization_id)
            month = parse.month(fields, "period_start", request, "period_start")
        margin = await read_reports.get_margin(self._database, organization_id, month)
        return reports.margin(margin)
