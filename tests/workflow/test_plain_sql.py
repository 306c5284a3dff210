"""The document's SQL, word for word: an UPDATE of the state that names the state before moves it (S27)."""

from __future__ import annotations

import asyncio

import asyncpg

from tests.workflow.service import ICP_MESSAGE, Client, state_name
from tests.workflow.test_leases import held

MOVE = """
UPDATE intent_workflows SET state = 'ICP_PROCESSING'
WHERE id = $1 AND organization_id = $2 AND state = 'ICP_PENDING'
"""


async def test_of_twenty_sessions_one_moves_the_workflow(client: Client) -> None:
    """One gets one row, nineteen none; version and epoch grow, and the history names the session's user."""
    workflow = await client.at("ICP_PENDING")
    sessions = [await asyncpg.connect(client.dsn) for _ in range(20)]
    try:
        done = await asyncio.gather(
            *(session.execute(MOVE, workflow.workflow_id, client.organization_id) for session in sessions)
        )
        user = await sessions[0].fetchval("SELECT session_user")
    finally:
        for session in sessions:
            await session.close()
    assert sorted(done) == ["UPDATE 0"] * 19 + ["UPDATE 1"]
    moved = await client.get(workflow.workflow_id)
    assert (state_name(moved), moved.version, moved.epoch) == ("ICP_PROCESSING", workflow.version + 1, 1)
    line = (await client.call("ListTransitions", workflow_id=workflow.workflow_id)).transitions[-1]
    assert (line.actor, line.reason, line.epoch, line.version) == (user, "SQL", 1, moved.version)

    lease = await client.claim(moved, "ICP")
    assert lease.epoch == 2
    assert state_name(await client.call("CompleteStep", **held(lease), icp=ICP_MESSAGE)) == "ICP_COMPLETED"


async def test_a_step_that_nobody_leased_is_run(client: Client) -> None:
    """RunStep takes it over, as it does with a step whose lease ran out."""
    workflow = await client.at("ICP_PENDING")
    session = await asyncpg.connect(client.dsn)
    await session.execute(MOVE, workflow.workflow_id, client.organization_id)
    await session.close()
    moved = await client.get(workflow.workflow_id)
    assert state_name(await client.run(moved, "ICP")) == "ICP_COMPLETED"
