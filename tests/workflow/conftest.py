from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.workflow.service import Client, PlainExecutor, served


@pytest.fixture
def executor() -> PlainExecutor:
    return PlainExecutor()


@pytest.fixture
async def client(workflow_dsn: str, executor: PlainExecutor) -> AsyncIterator[Client]:
    """A service of this test's own, on a database of its own."""
    async with served(workflow_dsn, executor) as client:
        yield client
