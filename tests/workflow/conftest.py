from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from tests.conftest import has_own_world
from tests.workflow.service import Client, PlainExecutor, served


@pytest.fixture
def executor() -> PlainExecutor:
    return PlainExecutor()


@pytest.fixture
async def client(
    request: pytest.FixtureRequest, workflow_world: str, executor: PlainExecutor
) -> AsyncIterator[Client]:
    """A client of a service for this test; on a database of its own if the test is marked `own_world`."""
    async with served(workflow_world, executor) as client:
        if not has_own_world(request):
            client.organization_id = str(uuid4())
        yield client
    # What the test left to be done is not for the next test's service.
    connection = await asyncpg.connect(workflow_world)
    await connection.execute(
        "UPDATE intent_workflows SET due_time = NULL, run_time = NULL, run_actor = NULL, "
        "run_on_budget_exceeded = NULL WHERE due_time IS NOT NULL OR run_time IS NOT NULL"
    )
    await connection.close()
