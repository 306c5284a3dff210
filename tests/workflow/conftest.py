from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

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
