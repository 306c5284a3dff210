"""The RPCs that create, read and move workflows without a worker."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import grpc

from infin8.workflow.v1 import workflow_pb2, workflow_service_pb2, workflow_service_pb2_grpc
from service_chassis.postgres.database import Database
from service_chassis.rpc.fields import Fields
from service_chassis.rpc.paging import Paging
from workflow_service.api import parse, render
from workflow_service.app import read_workflows, transitions
from workflow_service.app.create_workflow import create_workflow

Context = grpc.aio.ServicerContext[Any, Any]


class LifecycleRpcs(workflow_service_pb2_grpc.WorkflowServiceServicer):
    def __init__(self, database: Database, *, allow_private_targets: bool) -> None:
        self._database = database
        self._allow_private_targets = allow_private_targets

    async def CreateWorkflow(
        self, request: workflow_service_pb2.CreateWorkflowRequest, _context: Context
    ) -> workflow_pb2.Workflow:
        asked = parse.workflow_to_create(request, allow_private_targets=self._allow_private_targets)
        answer = await create_workflow(
            self._database,
            asked.request,
            display_name=asked.display_name,
            profile=asked.profile,
            publish_target=asked.publish_target,
        )
        return render.workflow_message(answer.workflow, replayed=answer.replayed)

    async def GetWorkflow(
        self, request: workflow_service_pb2.GetWorkflowRequest, _context: Context
    ) -> workflow_pb2.Workflow:
        with Fields() as fields:
            key = parse.workflow_of(fields, request)
        return render.workflow_message(
            await read_workflows.get_workflow(self._database, key.organization_id, key.workflow_id)
        )

    async def ListWorkflows(
        self, request: workflow_service_pb2.ListWorkflowsRequest, _context: Context
    ) -> workflow_service_pb2.ListWorkflowsResponse:
        with Fields() as fields:
            organization_id = fields.required_uuid("organization_id", request.organization_id)
            state = parse.state_filter(fields, request)
            waits_for = parse.waits_for(fields, "waits_for", request.waits_for)
            scope = [organization_id, state] if waits_for is None else [organization_id, state, waits_for]
            paging = Paging(fields, request, (datetime, UUID), scope=scope)
        found = await read_workflows.list_workflows(
            self._database,
            organization_id,
            state=state,
            waits_for=waits_for,
            after=paging.after,
            limit=paging.limit,
        )
        page = paging.page(
            found, render.workflow_message, lambda workflow: (workflow.create_time, workflow.workflow_id)
        )
        return workflow_service_pb2.ListWorkflowsResponse(
            workflows=page.messages, next_page_token=page.next_page_token
        )

    async def UpdateWorkflowData(
        self, request: workflow_service_pb2.UpdateWorkflowDataRequest, _context: Context
    ) -> workflow_pb2.Workflow:
        with Fields() as fields:
            key = parse.workflow_of(fields, request)
            data = parse.workflow_data(fields, request)
        return render.workflow_message(
            await read_workflows.update_workflow_data(
                self._database, key.organization_id, key.workflow_id, data
            )
        )

    async def AdvanceWorkflow(
        self, request: workflow_service_pb2.AdvanceWorkflowRequest, _context: Context
    ) -> workflow_pb2.Workflow:
        with Fields() as fields:
            workflow_id = fields.required_uuid("workflow_id", request.workflow_id)
            expected_state = parse.expected_state(fields, request)
            asked = parse.request_of(fields, request)
        answer = await transitions.advance(self._database, asked, workflow_id, expected_state)
        return render.workflow_message(answer.workflow)

    async def SubmitSeedReview(
        self, request: workflow_service_pb2.SubmitSeedReviewRequest, _context: Context
    ) -> workflow_pb2.Workflow:
        with Fields() as fields:
            workflow_id = fields.required_uuid("workflow_id", request.workflow_id)
            expected_state = parse.expected_state(fields, request)
            decisions = parse.decisions(fields, request)
            asked = parse.request_of(
                fields,
                request,
                workflow_id=workflow_id,
                expected_state=expected_state,
                approved=parse.approved(decisions),
            )
        answer = await transitions.submit_seed_review(
            self._database, asked, workflow_id, expected_state, decisions
        )
        return render.workflow_message(answer.workflow, replayed=answer.replayed)

    async def CancelWorkflow(
        self, request: workflow_service_pb2.CancelWorkflowRequest, _context: Context
    ) -> workflow_pb2.Workflow:
        with Fields() as fields:
            workflow_id = fields.required_uuid("workflow_id", request.workflow_id)
            expected_state = parse.expected_state(fields, request)
            reason = parse.free_text(fields, "reason", request.reason)
            asked = parse.request_of(
                fields, request, workflow_id=workflow_id, expected_state=expected_state, reason=reason
            )
        answer = await transitions.cancel(self._database, asked, workflow_id, expected_state, reason)
        return render.workflow_message(answer.workflow, replayed=answer.replayed)

    async def GetStateMachine(
        self, _request: workflow_service_pb2.GetStateMachineRequest, _context: Context
    ) -> workflow_pb2.StateMachine:
        return render.state_machine_message()
