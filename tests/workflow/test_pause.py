"""Pause and resume: nothing new is begun, what runs finishes; and what a workflow waits for can be seen."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from infin8.workflow.v1 import workflow_pb2, workflow_service_pb2
from service_chassis.refusal import Refusal
from tests.workflow.service import ICP_MESSAGE, Client, PlainExecutor, state_name
from tests.workflow.test_run_step import reaches


def waits_for(workflow: Any) -> str:
    return workflow_pb2.WaitKind.Name(workflow.waiting.kind).removeprefix("WAIT_KIND_")


async def pause(client: Client, workflow: Any, reason: str = "holidays") -> Any:
    return await client.call("PauseWorkflow", workflow_id=workflow.workflow_id, reason=reason)


async def test_nothing_new_is_begun_and_what_runs_finishes(client: Client, executor: PlainExecutor) -> None:
    """The running step ends, the run stops there, and goes on by itself when it is resumed."""
    executor.gate.clear()
    workflow = await client.create()
    running = asyncio.create_task(client.call("RunWorkflow", workflow_id=workflow.workflow_id))
    await executor.entered.wait()
    paused = await pause(client, workflow)
    assert paused.workflow_count == 1
    assert (paused.workflow.pause.reason, paused.workflow.pause.actor) == ("holidays", "anonymous")
    executor.gate.set()
    await reaches(client, workflow.workflow_id, "ICP_COMPLETED")
    at_rest = await client.get(workflow.workflow_id)
    assert waits_for(at_rest) == "RESUME"
    for method, fields in (
        ("AdvanceWorkflow", {"expected_state": at_rest.state}),
        ("RunWorkflow", {}),
    ):
        with pytest.raises(Refusal, match="PAUSED"):
            await client.call(method, workflow_id=workflow.workflow_id, **fields)
    assert (await pause(client, workflow)).workflow_count == 0
    assert not running.done()
    resumed = await client.call("ResumeWorkflow", workflow_id=workflow.workflow_id)
    assert not resumed.workflow.HasField("pause")
    assert state_name(await running) == "SEED_REVIEW_PENDING"


async def test_a_worker_is_told(client: Client) -> None:
    """HeartbeatStep answers `paused`; the worker may complete, and cannot claim what comes next."""
    lease = await client.claim(await client.at("ICP_PENDING"), "ICP")
    held = {"workflow_id": lease.workflow_id, "lease_token": lease.lease_token, "epoch": lease.epoch}
    assert not (await client.call("HeartbeatStep", **held)).paused
    await pause(client, lease)
    assert (await client.call("HeartbeatStep", **held)).paused
    assert state_name(await client.call("CompleteStep", **held, icp=ICP_MESSAGE)) == "ICP_COMPLETED"
    other = await client.at("ICP_PENDING")
    await pause(client, other)
    for attempt in (client.claim(other, "ICP"), client.run(other, "ICP")):
        with pytest.raises(Refusal, match="PAUSED"):
            await attempt
    assert (await client.get(other.workflow_id)).version == other.version


async def test_many_are_paused_by_a_filter(client: Client) -> None:
    """Those of the state, of the organization; cancelled ones stay as they are, and events tell of each."""
    client.organization_id = str(uuid4())
    created = [await client.create() for _ in range(3)]
    moved = await client.at("ICP_PENDING")
    ended = await client.create()
    await client.call("CancelWorkflow", workflow_id=ended.workflow_id, expected_state=ended.state)
    by_state = workflow_service_pb2.WorkflowFilter(state=workflow_pb2.WORKFLOW_STATE_CREATED)
    paused = await client.call("PauseWorkflow", filter=by_state, reason="all of them")
    assert (paused.workflow_count, paused.more) == (3, False)
    assert not (await client.get(moved.workflow_id)).HasField("pause")
    listed = await client.call("ListWorkflows", waits_for="WAIT_KIND_RESUME")
    assert {each.workflow_id for each in listed.workflows} == {each.workflow_id for each in created}
    everything = workflow_service_pb2.WorkflowFilter()
    assert (await client.call("PauseWorkflow", filter=everything)).workflow_count == 1
    assert (await client.call("ResumeWorkflow", filter=everything)).workflow_count == 4
    assert waits_for(await client.get(moved.workflow_id)) == "CALLER"


async def test_what_a_workflow_waits_for(client: Client, executor: PlainExecutor) -> None:
    """A caller, the holder of a lease until its time, a person; nothing at the end."""
    workflow = await client.at("ICP_PENDING")
    assert waits_for(workflow) == "CALLER"
    executor.gate.clear()
    await client.run(workflow, "ICP", wait=False)
    while waits_for(present := await client.get(workflow.workflow_id)) == "SLOT":  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert waits_for(present) == "LEASE_HOLDER"
    assert present.waiting.next_time == present.lease_expire_time
    executor.gate.set()
    review = await client.at("SEED_REVIEW_PENDING")
    assert waits_for(review) == "REVIEW"
    assert review.waiting.since_time.ToNanoseconds() > review.create_time.ToNanoseconds()
    cancelled = await client.call(
        "CancelWorkflow", workflow_id=review.workflow_id, expected_state=review.state
    )
    assert not cancelled.HasField("waiting")


async def test_a_paused_workflow_can_be_cancelled_and_reviewed(client: Client) -> None:
    """What begins nothing is not refused."""
    review = await client.at("SEED_REVIEW_PENDING")
    await pause(client, review)
    assert state_name(await client.review(review)) == "SEED_REVIEW_COMPLETED"
    created = await client.create()
    await pause(client, created)
    cancelled = await client.call(
        "CancelWorkflow", workflow_id=created.workflow_id, expected_state=created.state
    )
    assert state_name(cancelled) == "CANCELLED"
