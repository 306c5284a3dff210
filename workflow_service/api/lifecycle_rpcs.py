"""The RPCs of a workflow's life that no worker takes part in."""

from __future__ import annotations

from typing import Any

import grpc

from infin8.workflow.v1 import workflow_pb2, workflow_service_pb2, workflow_service_pb2_grpc
from service_chassis.postgres.database import Database
from service_chassis.rpc import fields
from workflow_service.api import parse, render
from workflow_service.api.paging import Paging, fitting, time_position
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
        answer = await create_workflow(
            self._database,
            parse.request_of(request, required=True),
            display_name=parse.display_name(request),
            profile=parse.profile(request),
            publish_target=parse.publish_target(request, allow_private=self._allow_private_targets),
        )
        return render.workflow_message(answer.workflow, replayed=answer.replayed)

    async def GetWorkflow(
        self, request: workflow_service_pb2.GetWorkflowRequest, _context: Context
    ) -> workflow_pb2.Workflow:
        return render.workflow_message(await read_workflows.get_workflow(self._database, *parse.ids(request)))

    async def ListWorkflows(
        self, request: workflow_service_pb2.ListWorkflowsRequest, _context: Context
    ) -> workflow_service_pb2.ListWorkflowsResponse:
        organization_id = fields.required_uuid("organization_id", request.organization_id)
        state = parse.state("state", request.state) if request.state else None
        paging = Paging(request, organization_id, state)
        page = await read_workflows.list_workflows(
            self._database,
            organization_id,
            state=state,
            after=paging.time_and_id,
            page_size=paging.page_size,
        )
        messages = [render.workflow_message(workflow) for workflow in page.items]
        count = fitting(messages)
        position = [
            (time_position(workflow.create_time), str(workflow.workflow_id))
            for workflow in page.items[count - 1 : count]
        ]
        more = page.more or count < len(messages)
        return workflow_service_pb2.ListWorkflowsResponse(
            workflows=messages[:count],
            next_page_token=paging.next_token(position[0], more=more) if position else "",
        )

    async def UpdateWorkflowData(
        self, request: workflow_service_pb2.UpdateWorkflowDataRequest, _context: Context
    ) -> workflow_pb2.Workflow:
        return render.workflow_message(
            await read_workflows.update_workflow_data(
                self._database, *parse.ids(request), parse.workflow_data(request)
            )
        )

    async def AdvanceWorkflow(
        self, request: workflow_service_pb2.AdvanceWorkflowRequest, _context: Context
    ) -> workflow_pb2.Workflow:
        _, workflow_id = parse.ids(request)
        answer = await transitions.advance(
            self._database, parse.request_of(request), workflow_id, parse.expected_state(request)
        )
        return render.workflow_message(answer.workflow)

    async def SubmitSeedReview(
        self, request: workflow_service_pb2.SubmitSeedReviewRequest, _context: Context
    ) -> workflow_pb2.Workflow:
        _, workflow_id = parse.ids(request)
        answer = await transitions.submit_seed_review(
            self._database,
            parse.request_of(request),
            workflow_id,
            parse.expected_state(request),
            parse.decisions(request),
        )
        return render.workflow_message(answer.workflow, replayed=answer.replayed)

    async def CancelWorkflow(
        self, request: workflow_service_pb2.CancelWorkflowRequest, _context: Context
    ) -> workflow_pb2.Workflow:
        _, workflow_id = parse.ids(request)
        answer = await transitions.cancel(
            self._database,
            parse.request_of(request),
            workflow_id,
            parse.expected_state(request),
            parse.reason(request, required=False),
        )
        return render.workflow_message(answer.workflow, replayed=answer.replayed)

    async def GetStateMachine(
        self, _request: workflow_service_pb2.GetStateMachineRequest, _context: Context
    ) -> workflow_pb2.StateMachine:
        return render.state_machine_message()
