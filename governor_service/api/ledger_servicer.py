"""LedgerService over gRPC: parse, call, render."""

from __future__ import annotations

from governor_service.api import parse, render
from governor_service.api.governor_servicer import Context
from governor_service.app import read_ledger
from infin8.governor.v1 import ledger_service_pb2 as ledger_pb2
from infin8.governor.v1 import ledger_service_pb2_grpc as ledger_grpc
from service_chassis import fields
from service_chassis.database import Database


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
        cost = await read_ledger.get_workflow_cost(
            self._database,
            fields.required_uuid("organization_id", request.organization_id),
            fields.required_uuid("workflow_id", request.workflow_id),
        )
        return render.workflow_cost(cost)
