"""What is to run is a matter of the table: any instance drives it, after a death, a failure, a wait (I10)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import grpc
import pytest

from infin8.workflow.v1 import errors_pb2
from tests.workflow.service import Client, PlainExecutor, served, state_name
from tests.workflow.test_run_step import reaches
from workflow_service.app.step_failed import StepFailed
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.states import Step
from workflow_service.domain.workflow import Lease
from workflow_service.settings import WorkflowSettings

DAY = 86_400.0


async def run(client: Client, workflow: Any, **fields: Any) -> Any:
    return await client.call("RunWorkflow", workflow_id=workflow.workflow_id, **fields)


@pytest.fixture
async def sql(workflow_dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(workflow_dsn)
    yield connection
    await connection.close()


async def let_lease_run_out(sql: Any, workflow_id: str) -> None:
    await sql.execute(
        "UPDATE intent_workflows SET lease_expire_time = clock_timestamp(), due_time = clock_timestamp() "
        "WHERE id = $1",
        workflow_id,
    )


async def test_a_step_of_an_instance_that_died_is_taken_over(
    workflow_dsn: str, sql: Any, executor: PlainExecutor
) -> None:
    """Once the lease has run out, another instance does the step at the next epoch, with nobody asking."""
    executor.gate.clear()
    # The first instance only seems dead: it must not renew its lease during the test.
    silent = WorkflowSettings(port=0, grace_seconds=0.1, lease_seconds=600)
    async with served(workflow_dsn, executor, silent) as first:
        workflow = await run(first, await first.create(), wait=False)
        await executor.entered.wait()
        other = PlainExecutor()
        async with served(workflow_dsn, other) as second:
            await let_lease_run_out(sql, workflow.workflow_id)
            await reaches(second, workflow.workflow_id, "SEED_REVIEW_PENDING")
            history = (await second.call("ListTransitions", workflow_id=workflow.workflow_id)).transitions
    assert other.runs[Step.ICP] == 1
    assert [line.epoch for line in history if line.epoch][:2] == [1, 2]


async def test_a_step_whose_instances_keep_dying_fails_in_the_end(client: Client, sql: Any) -> None:
    """After so many takeovers it is X_FAILED with LEASE_EXPIRED, and who waits is told."""
    workflow = await client.at("ICP_PENDING")
    await sql.execute(
        "UPDATE intent_workflows SET state = 'ICP_PROCESSING', lease_token = gen_random_uuid(), "
        "lease_expire_time = clock_timestamp() + interval '1 day' WHERE id = $1",
        workflow.workflow_id,
    )
    running = asyncio.create_task(run(client, workflow))
    while not await sql.fetchval(  # noqa: ASYNC110 - there is no event
        "SELECT run_time IS NOT NULL FROM intent_workflows WHERE id = $1", workflow.workflow_id
    ):
        await asyncio.sleep(0.01)
    await sql.execute("UPDATE intent_workflows SET takeovers = 5 WHERE id = $1", workflow.workflow_id)
    await let_lease_run_out(sql, workflow.workflow_id)
    failed = await running
    assert state_name(failed) == "ICP_FAILED"
    assert failed.last_error.error_class == errors_pb2.ERROR_CLASS_LEASE_EXPIRED
    assert failed.last_error.reason == "TAKEOVERS_EXHAUSTED"


async def test_a_run_joins_a_step_that_a_worker_does(client: Client, executor: PlainExecutor) -> None:
    """Without an expected state a run begins wherever the workflow is: here at the end of a worker's step."""
    lease = await client.claim(await client.at("ICP_PENDING"), "ICP")
    before = executor.runs[Step.ICP]
    joined = await run(client, lease.workflow, wait=False)
    assert state_name(joined) == "ICP_PROCESSING"
    failed = await client.call(
        "FailStep", workflow_id=lease.workflow_id, lease_token=lease.lease_token, epoch=1, reason="no"
    )
    assert state_name(failed) == "ICP_FAILED"
    assert state_name(await run(client, failed)) == "SEED_REVIEW_PENDING"
    assert executor.runs[Step.ICP] == before + 1


async def test_a_run_tries_again_while_the_governor_is_away(client: Client, executor: PlainExecutor) -> None:
    """The step fails and is begun again by itself; who waits sees only the end."""
    executor.failures = [StepFailed(ErrorClass.GOVERNOR_UNAVAILABLE, "GOVERNOR_UNAVAILABLE", "away")]
    workflow = await run(client, await client.create())
    assert state_name(workflow) == "SEED_REVIEW_PENDING"
    history = (await client.call("ListTransitions", workflow_id=workflow.workflow_id)).transitions
    states = [line.to_state for line in history]
    assert executor.runs[Step.ICP] == 2
    assert len(states) == workflow.version - 1


async def test_a_run_gives_up_after_its_attempts(workflow_dsn: str, executor: PlainExecutor) -> None:
    """The last failure is the answer."""
    executor.failures = [StepFailed(ErrorClass.GOVERNOR_UNAVAILABLE, "GOVERNOR_UNAVAILABLE", "away")] * 9
    settings = WorkflowSettings(port=0, grace_seconds=5, step_attempts_max=2)
    async with served(workflow_dsn, executor, settings) as client:
        failed = await run(client, await client.create())
    assert state_name(failed) == "ICP_FAILED"
    assert executor.runs[Step.ICP] == 2


@pytest.mark.parametrize("wish", ["FAIL", "WAIT"])
async def test_a_budget_that_is_used_up(client: Client, executor: PlainExecutor, sql: Any, wish: str) -> None:
    """FAIL ends the run. WAIT keeps it in X_FAILED and tries again every minute."""
    executor.failures = [StepFailed(ErrorClass.BUDGET_DENIED, "BUDGET_EXCEEDED", "no budget")]
    workflow = await client.create()
    running = asyncio.create_task(run(client, workflow, on_budget_exceeded=f"ON_BUDGET_EXCEEDED_{wish}"))
    if wish == "FAIL":
        assert state_name(await running) == "ICP_FAILED"
        return
    wait = None
    while wait is None or wait <= 0:
        wait = await sql.fetchval(
            "SELECT extract(epoch FROM due_time - state_time)::float8 FROM intent_workflows "
            "WHERE id = $1 AND state = 'ICP_FAILED'",
            workflow.workflow_id,
        )
        await asyncio.sleep(0.01)
    assert 59 < wait < 62
    assert not running.done()
    await sql.execute(
        "UPDATE intent_workflows SET due_time = clock_timestamp() WHERE id = $1", workflow.workflow_id
    )
    assert state_name(await running) == "SEED_REVIEW_PENDING"


async def test_a_replay_attaches_to_a_run_that_did_not_wait(client: Client, executor: PlainExecutor) -> None:
    """`wait` is no content: the id of a call that did not wait can be waited for, and gets the end."""
    executor.gate.clear()
    workflow = await client.at("ICP_PENDING")
    for method, fields in (
        ("RunStep", {"step": "STEP_ICP", "expected_state": workflow.state}),
        ("RunWorkflow", {}),
    ):
        request_id = str(uuid4())
        ask = {"workflow_id": workflow.workflow_id, "request_id": request_id, **fields}
        first = await client.call(method, **ask, wait=False)
        again = await client.call(method, **ask, wait=False)
        assert (state_name(first), state_name(again)) == ("ICP_PROCESSING", "ICP_PROCESSING")
        waiting = asyncio.create_task(client.call(method, **ask))
        executor.gate.set()
        done = await waiting
        assert done.replayed
        assert state_name(done) == ("ICP_COMPLETED" if method == "RunStep" else "SEED_REVIEW_PENDING")
        executor.gate.clear()
        if method == "RunStep":
            workflow = await client.at("ICP_PENDING")


async def test_who_waits_longer_than_his_deadline_blames_nobody(
    client: Client, executor: PlainExecutor
) -> None:
    """The deadline passes while the step runs: DEADLINE_EXCEEDED, and never DATABASE_UNAVAILABLE."""
    executor.gate.clear()
    workflow = await client.at("ICP_PENDING")
    client.timeout_seconds = 0.6
    for _ in range(3):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await run(client, workflow, request_id="5c6e9b8e-7d8f-4d42-9d53-3b3c2f6f2e10")
        assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    executor.gate.set()


async def test_an_instance_does_so_many_steps_at_once(workflow_dsn: str) -> None:
    """A burst of runs waits in the table, and all of them come to their end."""
    executor = CountingExecutor()
    executor.gate.clear()
    settings = WorkflowSettings(port=0, grace_seconds=5, runs_max=4, organization_runs_max=3)
    async with served(workflow_dsn, executor, settings) as client:
        client.organization_id = str(uuid4())
        asked = [{"workflow_id": (await client.create()).workflow_id} for _ in range(40)]
        for request in asked:
            request["request_id"] = str(uuid4())
            await client.call("RunWorkflow", **request, wait=False)
        while executor.now < 3:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.01)
        executor.gate.set()
        ends = await asyncio.gather(*(client.call("RunWorkflow", **request) for request in asked))
    assert executor.most == 3
    assert {state_name(end) for end in ends} == {"SEED_REVIEW_PENDING"}


async def test_an_organization_with_a_queue_delays_nobody_else(workflow_dsn: str) -> None:
    """Its workflows never take all the slots, so another's single workflow begins at once."""
    executor = PlainExecutor()
    executor.gate.clear()
    settings = WorkflowSettings(port=0, grace_seconds=0.1, runs_max=4, organization_runs_max=3)
    async with served(workflow_dsn, executor, settings) as client:
        client.organization_id = str(uuid4())
        for _ in range(30):
            await run(client, await client.create(), wait=False)
        client.organization_id = str(uuid4())
        single = await client.create()
        await run(client, single, wait=False)
        while not (await client.get(single.workflow_id)).HasField("lease_expire_time"):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_with_full_slots_organizations_take_turns(workflow_dsn: str) -> None:
    """A free slot goes to the organization that comes next, however many workflows another one has due."""
    executor = PlainExecutor()
    executor.gate.clear()
    settings = WorkflowSettings(port=0, grace_seconds=0.1, runs_max=1, organization_runs_max=1)
    async with served(workflow_dsn, executor, settings) as client:
        many, few = str(uuid4()), str(uuid4())
        client.organization_id = many
        queued = [await client.create() for _ in range(10)]
        for workflow in queued:
            await run(client, workflow, wait=False)
        client.organization_id = few
        single = await client.create()
        await run(client, single, wait=False)
        executor.gate.set()
        await reaches(client, single.workflow_id, "SEED_REVIEW_PENDING")
        client.organization_id = many
        states = [state_name(await client.get(workflow.workflow_id)) for workflow in queued]
        assert "ICP_PENDING" in states
        for workflow in queued:
            await reaches(client, workflow.workflow_id, "SEED_REVIEW_PENDING")


class CountingExecutor(PlainExecutor):
    """Notes how many steps it did at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.most = 0

    async def execute(self, lease: Lease) -> Any:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await super().execute(lease)
        finally:
            self.now -= 1
