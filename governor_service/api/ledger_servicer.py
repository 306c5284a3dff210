"""LedgerService over gRPC: parse, call, render."""

from __future__ import annotations

from governor_service.api import parse, render, reports
from governor_service.api.governor_servicer import Context
from governor_service.app import read_ledger
from governor_service.app import reports as read_reports
from infin8.governor.v1 import ledger_service_pb2 as ledger_pb2
from infin8.governor.v1 import ledger_service_pb2_grpc as ledger_grpc
from service_chassis.postgres.database import Database
from service_chassis.rpc import fields


class LedgerServicer(ledger_grpc.LedgerServiceServicer):
    """What was spent."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ListEntries(
        self, request: ledger_pb2.ListEntriesRequest, context: Context
    ) -> ledger_pb2.ListEntriesResponse:
        entries = parse.entry_filter(request)
        page_size = fields.page_size("page_size", request.page_size)
        scope = f"ListEntries {entries}"
        found = await read_ledger.list_entries(
            self._database,
            entries,
            after_sequence=parse.after_sequence(request.page_token, scope),
            # One more tells whether there is a next page.
            limit=page_size + 1,
        )
        answer = ledger_pb2.ListEntriesResponse(entries=[render.entry(entry) for entry in found[:page_size]])
        if len(found) > page_size:
            answer.next_page_token = fields.encode_page_token(
                scope=scope, position=[found[page_size - 1].sequence]
            )
        return answer

    async def GetWorkflowCost(
        self, request: ledger_pb2.GetWorkflowCostRequest, context: Context
    ) -> ledger_pb2.WorkflowCost:
        cost = await read_reports.get_workflow_cost(
            self._database,
            fields.required_uuid("organization_id", request.organization_id),
            fields.required_uuid("workflow_id", request.workflow_id),
        )
        return reports.workflow_cost(cost)

    async def GetOrganizationMonthlyCost(
        self, request: ledger_pb2.GetOrganizationMonthlyCostRequest, context: Context
    ) -> ledger_pb2.OrganizationMonthlyCost:
        cost = await read_reports.get_monthly_cost(
            self._database,
            fields.required_uuid("organization_id", request.organization_id),
            parse.month("period_start", request, "period_start"),
            reports.label_key(request.label_key),
        )
        return reports.monthly_cost(cost)

    async def ListTopWorkflows(
        self, request: ledger_pb2.ListTopWorkflowsRequest, context: Context
    ) -> ledger_pb2.ListTopWorkflowsResponse:
        organization_id = fields.required_uuid("organization_id", request.organization_id)
        month = parse.month("period_start", request, "period_start")
        page_size = fields.page_size("page_size", request.page_size)
        scope = reports.top_workflows_scope(organization_id, month)
        found = await read_reports.list_top_workflows(
            self._database,
            organization_id,
            month,
            after=reports.after_workflow(request.page_token, scope),
            limit=page_size + 1,
        )
        return reports.top_workflows(organization_id, found, page_size=page_size, scope=scope)

    async def GetMargin(self, request: ledger_pb2.GetMarginRequest, context: Context) -> ledger_pb2.Margin:
        margin = await read_reports.get_margin(
            self._database,
            fields.optional_uuid("organization_id", request.organization_id),
            parse.month("period_start", request, "period_start"),
        )
        return reports.margin(margin)
