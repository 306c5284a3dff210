"""The RPCs that run steps, with the built-in executor or with an outside worker."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc

from infin8.workflow.v1 import workflow_pb2, workflow_service_pb2, workflow_service_pb2_grpc
from service_chassis.postgres.database import Database
from service_chassis.rpc.fields import Fields
from workflow_service.api import parse, render
from workflow_service.api.step_messages import step_result
from workflow_service.app.claim_step import claim_step
from workflow_service.app.complete_step import check_lease, complete_step, fail_step
from workflow_service.app.hold_lease import heartbeat_step
from workflow_service.app.run_step import StepRunner
from workflow_service.app.run_workflow import WorkflowRunner
from workflow_service.domain.driving import OnBudgetExceeded

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
        takeovers_max: int,
    ) -> None:
        self._database = database
        self._step_runner = step_runner
        self._workflow_runner = workflow_runner
        self._lease_duration = lease_duration
        self._lease_duration_min = lease_duration_min
        self._takeovers_max = takeovers_max

    async def RunStep(
        self, request: workflow_service_pb2.RunStepRequest, _context: Context
    ) -> workflow_pb2.Workflow:
        with Fields() as fields:
            workflow_id = fields.required_uuid("workflow_id", request.workflow_id)
            step = parse.working_step(fields, request)
            expected_state = parse.expected_state(fields, request)
            asked = parse.request_of(
                fields, request, workflow_id=workflow_id, step=step, expected_state=expected_state
            )
        answer = await self._step_runner.run_step(
            asked, workflow_id, step, expected_state, wait=parse.wait(request)
        )
        return render.workflow_message(answer.workflow, replayed=answer.replayed)

    async def RunWorkflow(
        self, request: workflow_service_pb2.RunWorkflowRequest, _context: Context
    ) -> workflow_pb2.Workflow:
        with Fields() as fields:
            workflow_id = fields.required_uuid("workflow_id", request.workflow_id)
            expected_state = parse.optional_expected_state(fields, request)
            on_budget_exceeded = parse.on_budget_exceeded(fields, request)
            asked = parse.request_of(
                fields,
                request,
                workflow_id=workflow_id,
                expected_state=expected_state,
                on_budget_exceeded=None
                if on_budget_exceeded is OnBudgetExceeded.FAIL
                else on_budget_exceeded,
            )
        answer = await self._workflow_runner.run_workflow(
            asked,
            workflow_id,
            expected_state,
            on_budget_exceeded=on_budget_exceeded,
            wait=parse.wait(request),
        )
        return render.workflow_message(answer.workflow, replayed=answer.replayed)

    async def ClaimStep(
        self, request: workflow_service_pb2.ClaimStepRequest, _context: Context
    ) -> workflow_service_pb2.Lease:
        with Fields() as fields:
            workflow_id = fields.required_uuid("workflow_id", request.workflow_id)
            step = parse.working_step(fields, request)
            expected_state = parse.expected_state(fields, request)
            duration = self._duration(fields, request)
            asked = parse.request_of(
                fields,
                request,
                workflow_id=workflow_id,
                step=step,
                expected_state=expected_state,
                lease_duration=duration.total_seconds(),
            )
        claimed = await claim_step(
            self._database,
            asked,
            workflow_id,
            step,
            expected_state,
            duration,
            takeovers_max=self._takeovers_max,
        )
        return render.lease_message(claimed.lease, replayed=claimed.replayed)

    async def HeartbeatStep(
        self, request: workflow_service_pb2.HeartbeatStepRequest, _context: Context
    ) -> workflow_service_pb2.Lease:
        with Fields() as fields:
            key = parse.lease_key(fields, request)
            duration = self._duration(fields, request)
        leased = await heartbeat_step(self._database, key, duration)
        return render.renewed_lease_message(leased)

    async def CompleteStep(
        self, request: workflow_service_pb2.CompleteStepRequest, _context: Context
    ) -> workflow_pb2.Workflow:
        with Fields() as fields:
            key = parse.lease_key(fields, request)
            if not fields.all_good:  # no lease can be looked up, so the result's bad fields are named now
                step_result(fields, key.workflow_id, request)
        # A result can have megabytes, so it is parsed only for a caller that has, or had, the lease.
        await check_lease(self._database, key)
        with Fields() as fields:
            result = step_result(fields, key.workflow_id, request)
        answer = await complete_step(self._database, key, result, actor=parse.ANONYMOUS)
        return render.workflow_message(answer.workflow, replayed=answer.replayed)

    async def FailStep(
        self, request: workflow_service_pb2.FailStepRequest, _context: Context
    ) -> workflow_pb2.Workflow:
        with Fields() as fields:
            key = parse.lease_key(fields, request)
            error = parse.last_error(fields, request)
        answer = await fail_step(self._database, key, error, actor=parse.ANONYMOUS)
        return render.workflow_message(answer.workflow, replayed=answer.replayed)

    def _duration(
        self,
        fields: Fields,
        request: workflow_service_pb2.ClaimStepRequest | workflow_service_pb2.HeartbeatStepRequest,
    ) -> timedelta:
        return parse.lease_duration(
            fields, request, default=self._lease_duration, minimum=self._lease_duration_min
        )
