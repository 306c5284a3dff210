"""Watching: each version of a workflow once, each event of an organization once, in offset order (S23)."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import asyncpg
import grpc
import pytest

from infin8.workflow.v1 import workflow_pb2, workflow_service_pb2
from service_chassis.refusal import Refusal
from service_chassis.rpc.errors import from_rpc_error
from tests.workflow.service import Client, PlainExecutor, served, state_name
from workflow_service.app.step_failed import StepFailed
from workflow_service.domain.error_class import ErrorClass


def watch(client: Client, workflow_id: str, **fields: Any) -> Any:
    return client.stub.WatchWorkflow(
        workflow_service_pb2.WatchWorkflowRequest(
            organization_id=client.organization_id, workflow_id=workflow_id, **fields
        )
    )


def events(client: Client, after_offset: int = 0) -> Any:
    return client.stub.WatchWorkflows(
        workflow_service_pb2.WatchWorkflowsRequest(
            organization_id=client.organization_id, after_offset=after_offset
        )
    )


async def read(stream: Any, count: int) -> list[Any]:
    return [await asyncio.wait_for(stream.read(), 20) for _ in range(count)]


async def test_a_workflow_is_seen_at_each_version(client: Client, workflow_dsn: str) -> None:
    """From now on, from a version on, and from the start, also what another instance does; then it ends."""
    workflow = await client.create()
    async with served(workflow_dsn, PlainExecutor()) as other:
        streams = [
            watch(client, workflow.workflow_id),
            watch(other, workflow.workflow_id, after_version=0),
            watch(other, workflow.workflow_id, after_version=3),
        ]
        assert (await read(streams[0], 1)) == [workflow]
        await client.call("RunWorkflow", workflow_id=workflow.workflow_id)
        await client.review(await client.get(workflow.workflow_id))
        await client.call("RunWorkflow", workflow_id=workflow.workflow_id)
        done = await client.get(workflow.workflow_id)
        assert state_name(done) == "COMPLETED"
        last = done.version
        for stream, first in zip(streams, (2, 1, 4), strict=True):
            seen = await read(stream, last - first + 2)
            assert [each.version for each in seen[:-1]] == list(range(first, last + 1))
            assert seen[-1] is grpc.aio.EOF


async def test_an_earlier_version_is_as_it_was(client: Client, executor: PlainExecutor) -> None:
    """State, error and cost are those of the version, the rest is that of now."""
    executor.failures = [StepFailed(ErrorClass.TIMEOUT, "TIMEOUT", "late")]
    failed = await client.run(await client.at("ICP_PENDING"), "ICP")
    done = await client.run(failed, "ICP")
    seen = {each.version: each for each in await read(watch(client, done.workflow_id, after_version=0), 6)}
    assert [state_name(seen[version]) for version in sorted(seen)] == [
        "CREATED",
        "ICP_PENDING",
        "ICP_PROCESSING",
        "ICP_FAILED",
        "ICP_PROCESSING",
        "ICP_COMPLETED",
    ]
    assert seen[4].last_error.reason == "TIMEOUT"
    assert not seen[5].HasField("last_error")
    assert (seen[5].HasField("icp"), seen[6].HasField("icp")) == (False, True)
    assert seen[6] == done


async def test_a_workflow_that_does_not_exist_cannot_be_watched(client: Client) -> None:
    with pytest.raises(Exception, match="no such workflow") as raised:
        await watch(client, str(uuid4())).read()
    refusal = from_rpc_error(raised.value, domain="workflow.infin8")  # type: ignore[arg-type]
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "WORKFLOW_NOT_FOUND"


async def test_events_have_offsets_without_gaps(client: Client, workflow_dsn: str) -> None:
    """Two organizations, two instances: each stream has its own events, and the offsets are dense."""
    async with served(workflow_dsn, PlainExecutor()) as other:
        other.organization_id = str(uuid4())
        streams = {each.organization_id: events(each) for each in (client, other)}
        workflows = [(each, await each.create()) for each in (client, other) for _ in range(5)]
        await asyncio.gather(
            *(each.call("RunWorkflow", workflow_id=workflow.workflow_id) for each, workflow in workflows)
        )
        versions = 8
        seen = {name: await read(stream, 5 * (versions - 1)) for name, stream in streams.items()}
        for name, told in seen.items():
            offsets = [event.offset for event in told]
            assert offsets == sorted(offsets)
            assert {event.organization_id for event in told} == {name}
            by_workflow: dict[str, list[int]] = {}
            for event in told:
                by_workflow.setdefault(event.workflow_id, []).append(event.version)
            assert list(by_workflow.values()) == [list(range(2, versions + 1))] * 5
        offsets = sorted(event.offset for told in seen.values() for event in told)
        assert offsets == list(range(1, len(offsets) + 1))
        middle = seen[client.organization_id][10].offset
        again = await read(events(client, middle), 3)
        assert again == seen[client.organization_id][11:14]


async def test_an_event_that_commits_late_is_not_missed(client: Client) -> None:
    """Its offset comes after the commit, so who follows the offsets sees it although it was written first."""
    late = await asyncpg.connect(client.dsn)
    first, second = [await client.create() for _ in range(2)]
    transaction = late.transaction()
    await transaction.start()
    await late.execute("UPDATE intent_workflows SET state = 'ICP_PENDING' WHERE id = $1", first.workflow_id)
    stream = events(client)
    await client.advance(second)
    assert (await read(stream, 1))[0].workflow_id == second.workflow_id
    await transaction.commit()
    assert (await read(stream, 1))[0].workflow_id == first.workflow_id
    await late.close()


async def test_retries_and_their_end_are_events(client: Client, executor: PlainExecutor) -> None:
    """RETRY has the attempt, the failure and the next try; GetWorkflow and ListWorkflows show them too."""
    executor.failures = [StepFailed(ErrorClass.GOVERNOR_UNAVAILABLE, "GOVERNOR_UNAVAILABLE", "away")] * 3
    workflow = await client.create()
    running = asyncio.create_task(client.call("RunWorkflow", workflow_id=workflow.workflow_id))
    stream = events(client)
    retry = workflow_pb2.EVENT_TYPE_RETRY
    while (event := (await read(stream, 1))[0]).type != retry:
        pass
    assert (event.attempt, event.attempts_max) == (1, 10)
    assert event.last_error.reason == "GOVERNOR_UNAVAILABLE"
    assert event.next_time.ToNanoseconds() > event.create_time.ToNanoseconds()
    while (event := (await read(stream, 1))[0]).type != retry:
        pass
    assert event.attempt == 2
    listed = await client.call("ListWorkflows", waits_for="WAIT_KIND_RETRY")
    for waiting in (each.waiting for each in listed.workflows):
        assert (waiting.attempt, waiting.attempts_max) == (2, 10)
        assert waiting.HasField("next_time")
    assert state_name(await running) == "SEED_REVIEW_PENDING"
