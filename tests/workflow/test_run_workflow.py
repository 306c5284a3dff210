"""RunWorkflow runs until a person is needed, a step fails, or the workflow ends."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from service_chassis.refusal import Refusal
from tests.workflow.service import Client, PlainExecutor, outcomes, state_name
from tests.workflow.test_run_step import reaches
from workflow_service.app.step_failed import StepFailed
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.states import Step


async def run(client: Client, workflow: object, **fields: object) -> object:
    return await client.call(
        "RunWorkflow",
        workflow_id=workflow.workflow_id,  # type: ignore[attr-defined]
        expected_state=workflow.state,  # type: ignore[attr-defined]
        **fields,
    )


async def test_from_created_to_the_review_to_the_end(client: Client, executor: PlainExecutor) -> None:
    """Two runs and a person's review take a workflow from CREATED to COMPLETED, each step once."""
    workflow = await run(client, await client.create())
    assert state_name(workflow) == "SEED_REVIEW_PENDING"

    workflow = await run(client, await client.review(workflow, approve=2))
    assert state_name(workflow) == "COMPLETED"
    assert set(executor.runs.values()) == {1}

    articles = (await client.call("ListArticles", workflow_id=workflow.workflow_id)).articles  # type: ignore[attr-defined]
    assert [article.location for article in articles] == ["out/article-0.md"]
    assert articles[0].HasField("publish_time")


async def test_a_failed_step_ends_the_run_and_the_next_run_goes_on(
    client: Client, executor: PlainExecutor
) -> None:
    """The answer is the workflow in X_FAILED; a new run repeats the step."""
    executor.failures = [StepFailed(ErrorClass.BUDGET_DENIED, "BUDGET_EXCEEDED", "no budget")]
    failed = await run(client, await client.create())
    assert state_name(failed) == "ICP_FAILED"
    assert failed.last_error.reason == "BUDGET_EXCEEDED"  # type: ignore[attr-defined]

    assert state_name(await run(client, failed)) == "SEED_REVIEW_PENDING"


async def test_of_concurrent_runs_one_goes_on(client: Client, executor: PlainExecutor) -> None:
    """The others get STATE_CONFLICT, and no step runs twice."""
    workflow = await client.create()
    done, refused = await outcomes([run(client, workflow) for _ in range(10)])
    assert [state_name(answer) for answer in done] == ["SEED_REVIEW_PENDING"]
    assert [refusal.reason for refusal in refused] == ["STATE_CONFLICT"] * 9
    assert set(executor.runs.values()) == {1}


@pytest.mark.parametrize("state", ["SEED_REVIEW_PENDING", "COMPLETED"])
async def test_there_is_no_run_from_where_nothing_can_be_done(client: Client, state: str) -> None:
    """Where a person must act, or the workflow has ended, RunWorkflow is ILLEGAL_TRANSITION."""
    with pytest.raises(Refusal) as raised:
        await run(client, await client.at(state))
    assert raised.value.reason == "ILLEGAL_TRANSITION"


async def test_without_wait_the_run_continues(client: Client) -> None:
    """The answer comes after the first transition, and the run continues."""
    workflow = await run(client, await client.create(), wait=False)
    assert state_name(workflow) == "ICP_PENDING"
    await reaches(client, workflow.workflow_id, "SEED_REVIEW_PENDING")  # type: ignore[attr-defined]


async def test_a_repeated_request_attaches_to_the_run(client: Client, executor: PlainExecutor) -> None:
    """During and after the run a repeated request gets the same answer, from one run."""
    workflow = await client.create()
    executor.gate.clear()
    request_id = str(uuid4())
    runs = [asyncio.create_task(run(client, workflow, request_id=request_id)) for _ in range(3)]
    await executor.entered.wait()
    executor.gate.set()
    answers = await asyncio.gather(*runs)
    answers.append(await run(client, workflow, request_id=request_id))

    assert {state_name(answer) for answer in answers} == {"SEED_REVIEW_PENDING"}
    assert sorted(answer.replayed for answer in answers) == [False, True, True, True]  # type: ignore[attr-defined]
    assert executor.runs[Step.ICP] == 1


async def test_a_run_whose_workflow_is_cancelled_ends(client: Client, executor: PlainExecutor) -> None:
    """The caller gets STATE_CONFLICT, and no further step runs."""
    executor.gate.clear()
    workflow = await client.create()
    running = asyncio.create_task(run(client, workflow))
    await executor.entered.wait()
    await client.call(
        "CancelWorkflow",
        workflow_id=workflow.workflow_id,
        expected_state="WORKFLOW_STATE_ICP_PROCESSING",
    )
    executor.gate.set()
    _, refused = await outcomes([running])
    assert [refusal.reason for refusal in refused] == ["STATE_CONFLICT"]
    assert set(executor.runs) == {Step.ICP}
