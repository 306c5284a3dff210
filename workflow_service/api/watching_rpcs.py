"""The RPCs that pause and resume workflows, and those that watch them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Final

import grpc

from infin8.workflow.v1 import workflow_pb2, workflow_service_pb2, workflow_service_pb2_grpc
from service_chassis.postgres.database import Database
from service_chassis.rpc.fields import Fields
from workflow_service.api import parse, render
from workflow_service.app.pause import Paused, pause_or_resume, pause_or_resume_matching
from workflow_service.app.watch import Watch
from workflow_service.domain.workflow import WorkflowKey

Context = grpc.aio.ServicerContext[Any, Any]
_INT64_MAX: Final = 2**63 - 1


class WatchingRpcs(workflow_service_pb2_grpc.WorkflowServiceServicer):
    def __init__(self, database: Database, watch: Watch, *, changed: Callable[[], None]) -> None:
        """`changed` is called when workflows were paused or resumed."""
        self._database = database
        self._watch = watch
        self._changed = changed

    async def PauseWorkflow(
        self, request: workflow_service_pb2.PauseWorkflowRequest, _context: Context
    ) -> workflow_service_pb2.PauseWorkflowResponse:
        paused = await self._set(request, pauses=True)
        return workflow_service_pb2.PauseWorkflowResponse(
            workflow_count=paused.count, workflow=_workflow(paused), more=paused.more
        )

    async def ResumeWorkflow(
        self, request: workflow_service_pb2.ResumeWorkflowRequest, _context: Context
    ) -> workflow_service_pb2.ResumeWorkflowResponse:
        resumed = await self._set(request, pauses=False)
        return workflow_service_pb2.ResumeWorkflowResponse(
            workflow_count=resumed.count, workflow=_workflow(resumed), more=resumed.more
        )

    async def WatchWorkflow(
        self, request: workflow_service_pb2.WatchWorkflowRequest, _context: Context
    ) -> AsyncIterator[workflow_pb2.Workflow]:
        with Fields() as fields:
            key = parse.workflow_of(fields, request)
            after_version = None
            if request.HasField("after_version"):
                after_version = fields.integer(
                    "after_version", request.after_version, minimum=0, maximum=_INT64_MAX
                )
        async with aclosing(self._watch.workflow(key, after_version)) as versions:
            async for workflow in versions:
                yield render.workflow_message(workflow)

    async def WatchWorkflows(
        self, request: workflow_service_pb2.WatchWorkflowsRequest, _context: Context
    ) -> AsyncIterator[workflow_pb2.WorkflowEvent]:
        with Fields() as fields:
            organization_id = fields.required_uuid("organization_id", request.organization_id)
            after_offset = fields.integer("after_offset", request.after_offset, minimum=0, maximum=_INT64_MAX)
        async with aclosing(self._watch.organization(organization_id, after_offset)) as events:
            async for event in events:
                yield render.event_message(event)

    async def _set(
        self,
        request: workflow_service_pb2.PauseWorkflowRequest | workflow_service_pb2.ResumeWorkflowRequest,
        *,
        pauses: bool,
    ) -> Paused:
        with Fields() as fields:
            organization_id = fields.required_uuid("organization_id", request.organization_id)
            reason = parse.free_text(fields, "reason", request.reason)
            matching = parse.matching(fields, request.filter)
            if request.WhichOneof("target") == "filter":
                workflow_id = None
            else:
                workflow_id = fields.required_uuid("workflow_id", request.workflow_id)
        done: dict[str, Any] = {"pauses": pauses, "actor": parse.ANONYMOUS, "reason": reason}
        if workflow_id is None:
            paused = await pause_or_resume_matching(self._database, organization_id, matching, **done)
        else:
            paused = await pause_or_resume(self._database, WorkflowKey(organization_id, workflow_id), **done)
        self._changed()
        return paused


def _workflow(paused: Paused) -> workflow_pb2.Workflow | None:
    return None if paused.workflow is None else render.workflow_message(paused.workflow)
