"""`make run`: drives one workflow from CREATED to COMPLETED over gRPC, as any client can."""

from __future__ import annotations

import asyncio
import sys
from uuid import uuid4

import grpc

from infin8.workflow.v1 import (
    steps_pb2,
    workflow_pb2,
    workflow_service_pb2,
    workflow_service_pb2_grpc,
)
from pair.account import Account, account_of
from pair.lifecycle import Pair, running_pair
from pair.report import print_json, print_tables
from pair.settings import PairSettings

_RUN_SECONDS = 3600  # real models take minutes, and calls may be retried
_CALL_SECONDS = 30
_KEYWORDS_MAX = 1000

# On free ports, so that it runs beside a `make serve`.
_OVERRIDES = {"GOVERNOR_PORT": "0", "WORKFLOW_PORT": "0"}


async def run(settings: PairSettings, profile: workflow_pb2.Profile, *, as_json: bool) -> int:
    """Returns 0 if the workflow is COMPLETED and all sums agree to the nano-dollar."""
    async with running_pair(settings, _OVERRIDES) as pair:
        driving = asyncio.create_task(_drive(pair, profile))
        watching = asyncio.create_task(pair.until_one_ends())
        try:
            await asyncio.wait([driving, watching], return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                watching.result()
            account = await driving
        except grpc.aio.AioRpcError as error:
            print(f"pair: {error.code().name}: {error.details()}", file=sys.stderr)
            return 1
        finally:
            driving.cancel()
            watching.cancel()
            await asyncio.wait([driving, watching])
        (print_json if as_json else print_tables)(account, pair)
    if account.is_completed and all(check.holds for check in account.checks):
        return 0
    last_error = account.workflow.last_error
    if last_error.reason:
        print(f"pair: the workflow stopped: {last_error.reason}: {last_error.message}", file=sys.stderr)
    return 1


async def _drive(pair: Pair, profile: workflow_pb2.Profile) -> Account:
    """Uses a new organization, whose month begins at zero."""
    organization_id = str(uuid4())
    governor_target, workflow_target = pair.targets
    async with (
        grpc.aio.insecure_channel(governor_target) as governor,
        grpc.aio.insecure_channel(workflow_target) as workflow_channel,
    ):
        workflows = workflow_service_pb2_grpc.WorkflowServiceStub(workflow_channel)
        workflow = await workflows.CreateWorkflow(
            workflow_service_pb2.CreateWorkflowRequest(
                organization_id=organization_id,
                request_id=str(uuid4()),
                display_name=f"Articles for {profile.organization_name}",
                profile=profile,
            ),
            timeout=_CALL_SECONDS,
        )
        workflow = await _run_on(workflows, workflow)
        if workflow.state == workflow_pb2.WORKFLOW_STATE_SEED_REVIEW_PENDING:
            workflow = await _run_on(workflows, await _approve_all(workflows, workflow))
        return await account_of(
            organization_id, workflow.workflow_id, governor=governor, workflow=workflow_channel
        )


async def _run_on(
    workflows: workflow_service_pb2_grpc.WorkflowServiceAsyncStub, workflow: workflow_pb2.Workflow
) -> workflow_pb2.Workflow:
    """Until a person is needed, a step fails, or the end."""
    return await workflows.RunWorkflow(
        workflow_service_pb2.RunWorkflowRequest(
            organization_id=workflow.organization_id,
            workflow_id=workflow.workflow_id,
            request_id=str(uuid4()),
            expected_state=workflow.state,
        ),
        timeout=_RUN_SECONDS,
    )


async def _approve_all(
    workflows: workflow_service_pb2_grpc.WorkflowServiceAsyncStub, workflow: workflow_pb2.Workflow
) -> workflow_pb2.Workflow:
    """Answers the review in a person's place. There are at most 30 keywords, so one page has them all."""
    of_workflow = {"organization_id": workflow.organization_id, "workflow_id": workflow.workflow_id}
    listed = await workflows.ListKeywords(
        workflow_service_pb2.ListKeywordsRequest(**of_workflow, page_size=_KEYWORDS_MAX),
        timeout=_CALL_SECONDS,
    )
    return await workflows.SubmitSeedReview(
        workflow_service_pb2.SubmitSeedReviewRequest(
            **of_workflow,
            request_id=str(uuid4()),
            expected_state=workflow.state,
            decisions=[
                workflow_service_pb2.KeywordDecision(
                    keyword=keyword.keyword, decision=steps_pb2.REVIEW_DECISION_APPROVED
                )
                for keyword in listed.keywords
            ],
        ),
        timeout=_CALL_SECONDS,
    )
