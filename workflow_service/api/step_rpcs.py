"""The RPCs by which steps are worked on: by the built-in executor, or by a worker outside."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc

from infin8.workflow.v1 import workflow_pb2, workflow_service_pb2, workflow_service_pb2_grpc
from service_chassis.postgres.database import Database
from workflow_service.api import parse, render
from workflow_service.api.step_messages import step_result
from workflow_service.app.claim_step import claim_step, heartbeat_step
from workflow_service.app.complete_step import complete_step, fail_step
from workflow_service.app.run_step import StepRunner
from workflow_service.app.run_workflow import WorkflowRunner

Context = grpc.aio.ServicerContext[Any, Any]


class StepRpcs(workflow_service_pb2_grpc.WorkflowServiceServicer):
    def __init__(
        self,
        database: Database,
        *,
        step_runner: StepRunner,
        workflow_runner: WorkflowRunner,
        lease_duration: timedelta,
        lease_duration_min: timedelta,
    ) -> None:
        self._database = database
        self._step_runner = step_runner
        self._workflow_runner = workflow_runner
        self._lease_duration = lease_duration
        self._lease_duration_min = lease_duration_min

    async def RunStep(
        self, request: workflow_service_pb2.RunStepRequest, _context: Context
    ) -> workflow_pb2.Workflow:
        _, workflow_id = parse.ids(request)
        answer = await self._step_runner.run_step(
            parse.request_of(request),
            workflow_id,
            parse.working_step(request),
            parse.expected_state(request),
            wait=parse.wait(request),
        )
        return render.workflow_message(answer.workflow, replayed=answer.replayed)

    async def RunWorkflow(
        self, request: workflow_service_pb2.RunWorkflowRequest, _context: Context
    ) -> workflow_pb2.Workflow:
        _, workflow_id = parse.ids(request)
        answer = await self._workflow_runner.run_workflow(
            parse.request_of(request), workflow_id, parse.expected_state(request), wait=parse.wait(request)
        )
        return render.workflow_message(answer.workflow, replayed=answer.replayed)

    async def ClaimStep(
        self, request: workflow_service_pb2.ClaimStepRequest, _context: Context
    ) -> workflow_service_pb2.Lease:
        _, workflow_id = parse.ids(request)
        claimed = await claim_step(
            self._database,
            parse.request_of(request),
            workflow_id,
            parse.working_step(request),
            parse.expected_state(request),
            self._duration(request),
        )
        return render.lease_message(claimed.lease, replayed=claimed.replayed)

    async def HeartbeatStep(
        self, request: workflow_service_pb2.HeartbeatStepRequest, _context: Context
    ) -> workflow_service_pb2.Lease:
        leased = await heartbeat_step(self._database, parse.lease_key(request), self._duration(request))
        return render.renewed_lease_message(leased)

    async def CompleteStep(
        self, request: workflow_service_pb2.CompleteStepRequest, _context: Context
    ) -> workflow_pb2.Workflow:
        key = parse.lease_key(request)
        answer = await complete_step(
            self._database, key, step_result(key.workflow_id, request), actor=parse.ANONYMOUS
        )
        return render.workflow_message(answer.workflow, replayed=answer.replayed)

    async def FailStep(
        self, request: workflow_service_pb2.FailStepRequest, _context: Context
    ) -> workflow_pb2.Workflow:
        answer = await fail_step(
            self._database, parse.lease_key(request), parse.last_error(request), actor=parse.ANONYMOUS
        )
        return render.workflow_message(answer.workflow, replayed=answer.replayed)

    def _duration(
        self, request: workflow_service_pb2.ClaimStepRequest | workflow_service_pb2.HeartbeatStepRequest
    ) -> timedelta:
        return parse.lease_duration(request, default=self._lease_duration, minimum=self._lease_duration_min)
