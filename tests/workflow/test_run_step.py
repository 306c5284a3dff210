"""RunStep: the state is what is committed, a failure is an answer, the service does the work (S28, S31)."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from uuid import uuid4

import grpc
import pytest

from infin8.workflow.v1 import errors_pb2
from service_chassis.refusal import Refusal
from tests.workflow.service import COMPETITORS, Client, PlainExecutor, outcomes, served, state_name
from workflow_service.app.step_failed import StepFailed
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.states import Step
from workflow_service.domain.steps import CompetitorResult, IcpResult, SeedKeyword, ValidationResult
from workflow_service.settings import WorkflowSettings


async def test_the_state_follows_the_work(client: Client, executor: PlainExecutor) -> None:
    """The state is PROCESSING during the work; COMPLETED and the result are in one commit."""
    workflow = await client.at("COMPETITOR_PENDING")
    executor.gate.clear()
    executor.entered.clear()
    run = asyncio.create_task(client.run(workflow, "COMPETITOR"))
    await executor.entered.wait()

    during = await client.get(workflow.workflow_id)
    assert state_name(during) == "COMPETITOR_PROCESSING"
    assert during.HasField("lease_expire_time")
    assert not (await client.call("ListKeywords", workflow_id=workflow.workflow_id)).keywords

    executor.gate.set()
    after = await run
    assert state_name(after) == "COMPETITOR_COMPLETED"
    assert not after.HasField("lease_expire_time")
    assert after.version == workflow.version + 2
    assert len((await client.call("ListKeywords", workflow_id=workflow.workflow_id)).keywords) == 6


async def test_a_failed_step_is_an_answer_and_can_be_run_again(
    client: Client, executor: PlainExecutor
) -> None:
    """X_FAILED has class, reason and message; the next run clears them."""
    workflow = await client.at("ICP_PENDING")
    executor.failures = [StepFailed(ErrorClass.RATE_LIMITED, "RATE_LIMITED", "too many requests")]

    failed = await client.run(workflow, "ICP")

    assert state_name(failed) == "ICP_FAILED"
    assert failed.last_error.error_class == errors_pb2.ERROR_CLASS_RATE_LIMITED
    assert (failed.last_error.reason, failed.last_error.message) == ("RATE_LIMITED", "too many requests")
    assert not failed.HasField("icp")

    again = await client.run(failed, "ICP")
    assert state_name(again) == "ICP_COMPLETED"
    assert not again.HasField("last_error")
    assert again.epoch == 2
    assert list(again.icp.industries) == ["Software"]


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (RuntimeError("SELECT secret FROM prompts"), "INTERNAL_ERROR"),
        (Refusal("DATABASE_UNAVAILABLE", "the database is not available"), "DATABASE_UNAVAILABLE"),
    ],
)
async def test_an_internal_fault_fails_the_step_without_details(
    client: Client, executor: PlainExecutor, failure: Exception, reason: str
) -> None:
    """The class is INTERNAL, and the exception's text is not shown."""
    executor.failures = [failure]
    failed = await client.run(await client.at("ICP_PENDING"), "ICP")

    assert state_name(failed) == "ICP_FAILED"
    assert failed.last_error.error_class == errors_pb2.ERROR_CLASS_INTERNAL
    assert failed.last_error.reason == reason
    assert "secret" not in str(failed)


async def test_a_result_that_does_not_answer_its_input_is_not_kept(
    client: Client, executor: PlainExecutor
) -> None:
    """Results of the built-in executor pass the same checks as those of an outside worker."""
    workflow = await client.at("COMPETITOR_PENDING")
    executor.results[Step.COMPETITOR] = IcpResult(
        industries=("a",), buyer_roles=("b",), pain_points=("c",), value_proposition="d"
    )
    failed = await client.run(workflow, "COMPETITOR")
    assert state_name(failed) == "COMPETITOR_FAILED"
    assert failed.last_error.error_class == errors_pb2.ERROR_CLASS_INTERNAL


async def test_a_result_that_the_database_refuses_fails_the_step(
    client: Client, executor: PlainExecutor
) -> None:
    """The step fails at once (I10) with INTERNAL, and can be run again."""
    workflow = await client.at("COMPETITOR_PENDING")
    too_long = SeedKeyword.model_construct(
        keyword="x" * 201, competitor_url=COMPETITORS[0], intent="i", reason="r"
    )
    executor.results[Step.COMPETITOR] = CompetitorResult(keywords=(too_long,))
    failed = await client.run(workflow, "COMPETITOR")
    assert state_name(failed) == "COMPETITOR_FAILED"
    assert failed.last_error.error_class == errors_pb2.ERROR_CLASS_INTERNAL

    executor.results.clear()
    assert state_name(await client.run(failed, "COMPETITOR")) == "COMPETITOR_COMPLETED"


async def test_a_validation_that_finds_nothing_valid_has_failed(
    client: Client, executor: PlainExecutor
) -> None:
    """NOTHING_VALID: the clusters have no verdict, and the step can be run again."""
    workflow = await client.at("VALIDATION_PENDING")
    clusters = (await client.call("ListClusters", workflow_id=workflow.workflow_id)).clusters
    executor.results[Step.VALIDATION] = ValidationResult.model_validate(
        {
            "verdicts": [
                {"cluster_id": cluster.cluster_id, "valid": False, "confidence": 1, "reason": "no"}
                for cluster in clusters
            ]
        }
    )
    failed = await client.run(workflow, "VALIDATION")
    assert state_name(failed) == "VALIDATION_FAILED"
    assert failed.last_error.error_class == errors_pb2.ERROR_CLASS_NOTHING_VALID
    after = (await client.call("ListClusters", workflow_id=workflow.workflow_id)).clusters
    assert not any(cluster.HasField("valid") for cluster in after)

    executor.results.clear()
    assert state_name(await client.run(failed, "VALIDATION")) == "VALIDATION_COMPLETED"


async def test_the_work_goes_on_when_the_caller_goes_away(client: Client, executor: PlainExecutor) -> None:
    """A cancelled call and a passed deadline end only the waiting."""
    executor.gate.clear()
    workflows = [await client.at("ICP_PENDING") for _ in range(2)]
    cancelled = asyncio.create_task(client.run(workflows[0], "ICP"))
    client.timeout_seconds = 0.5
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await client.run(workflows[1], "ICP")
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    client.timeout_seconds = 30
    await executor.entered.wait()
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)

    executor.gate.set()
    for workflow in workflows:
        await reaches(client, workflow.workflow_id, "ICP_COMPLETED")


async def test_without_wait_the_answer_comes_at_once(client: Client, executor: PlainExecutor) -> None:
    """The answer is in X_PROCESSING, and the step is still done."""
    executor.gate.clear()
    workflow = await client.at("ICP_PENDING")
    assert state_name(await client.run(workflow, "ICP", wait=False)) == "ICP_PROCESSING"
    executor.gate.set()
    await reaches(client, workflow.workflow_id, "ICP_COMPLETED")


async def test_a_repeated_request_attaches_to_the_run(
    client: Client, executor: PlainExecutor, workflow_dsn: str
) -> None:
    """During or after the run, on the same instance or another, there is one run with one answer."""
    executor.gate.clear()
    workflow = await client.at("ICP_PENDING")
    request_id = str(uuid4())
    async with served(workflow_dsn, executor) as other:
        runs = [
            asyncio.create_task(each.run(workflow, "ICP", request_id=request_id))
            for each in (client, other, client)
        ]
        await executor.entered.wait()
        executor.gate.set()
        answers = await asyncio.gather(*runs)
    late = await client.run(workflow, "ICP", request_id=request_id)

    assert executor.runs[Step.ICP] == 1
    assert sorted(answer.replayed for answer in answers) == [False, True, True]
    assert late.replayed
    for answer in [*answers, late]:
        answer.replayed = False
        assert answer == answers[0]


async def test_a_repeated_run_keeps_a_failure_as_its_answer(client: Client, executor: PlainExecutor) -> None:
    """X_FAILED was the answer to that id, so a replay gets it without another run."""
    executor.failures = [StepFailed(ErrorClass.TIMEOUT, "TIMEOUT", "late")]
    workflow = await client.at("ICP_PENDING")
    request_id = str(uuid4())
    first = await client.run(workflow, "ICP", request_id=request_id)
    second = await client.run(workflow, "ICP", request_id=request_id)
    assert (state_name(first), state_name(second)) == ("ICP_FAILED", "ICP_FAILED")
    assert executor.runs[Step.ICP] == 1


async def test_a_run_that_is_cancelled_stores_nothing(client: Client, executor: PlainExecutor) -> None:
    """The caller gets STATE_CONFLICT; the workflow is CANCELLED and has no result."""
    executor.gate.clear()
    workflow = await client.at("ICP_PENDING")
    request_id = str(uuid4())
    run = asyncio.create_task(client.run(workflow, "ICP", request_id=request_id))
    await executor.entered.wait()
    cancelled = await client.call(
        "CancelWorkflow",
        workflow_id=workflow.workflow_id,
        expected_state="WORKFLOW_STATE_ICP_PROCESSING",
        reason="no longer needed",
    )
    assert state_name(cancelled) == "CANCELLED"
    executor.gate.set()

    _, refused = await outcomes([run, client.run(workflow, "ICP", request_id=request_id)])
    assert [refusal.reason for refusal in refused] == ["STATE_CONFLICT"] * 2
    assert refused[0].metadata == {"expected": "ICP_PROCESSING", "actual": "CANCELLED"}
    assert not (await client.get(workflow.workflow_id)).HasField("icp")


async def test_a_stop_lets_the_run_finish(workflow_dsn: str, executor: PlainExecutor) -> None:
    """A stop waits within the grace for a run, even if its caller is gone."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(served(workflow_dsn, executor))
        workflow = await client.at("ICP_PENDING")
        executor.gate.clear()
        await client.run(workflow, "ICP", wait=False)
        await executor.entered.wait()
        stopping = asyncio.create_task(stack.aclose())
        await asyncio.wait({stopping}, timeout=0.5)
        assert not stopping.done()  # the stop waits for the run, although no call is open
        executor.gate.set()
        await stopping
    async with served(workflow_dsn, executor) as client:
        assert state_name(await client.get(workflow.workflow_id)) == "ICP_COMPLETED"


async def test_a_run_that_outlives_the_grace_is_given_back(
    workflow_dsn: str, executor: PlainExecutor
) -> None:
    """Another instance goes on with the step at once: nobody waits for the lease to run out."""
    settings = WorkflowSettings(port=0, grace_seconds=0.1, lease_seconds=3600)
    async with served(workflow_dsn, executor, settings) as client:
        workflow = await client.at("ICP_PENDING")
        executor.gate.clear()
        await client.run(workflow, "ICP", wait=False)
        await executor.entered.wait()
    executor.gate.set()
    async with served(workflow_dsn, executor) as client:
        await reaches(client, workflow.workflow_id, "ICP_COMPLETED")
        assert (await client.get(workflow.workflow_id)).epoch == 2


async def reaches(client: Client, workflow_id: str, state: str) -> None:
    async with asyncio.timeout(10):
        while state_name(await client.get(workflow_id)) != state:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.02)
