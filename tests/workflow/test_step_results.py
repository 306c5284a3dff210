"""A step whose result has no table stores it as one document, which later steps read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from service_chassis.postgres.database import Connection, Database
from service_chassis.settings import DatabaseSettings
from tests.workflow.service import Client
from workflow_service.domain.states import Step
from workflow_service.domain.steps import IcpInput, IcpResult
from workflow_service.domain.workflow import Workflow
from workflow_service.steps.icp import IcpStep
from workflow_service.steps.step_definition import StepDefinition
from workflow_service.store import results, workflows


class PlainStep(StepDefinition[IcpInput, IcpResult]):
    """Like a new step that does not define where its result is stored."""

    step = Step.ICP

    async def read_input(self, connection: Connection, workflow: Workflow) -> IcpInput:
        return await IcpStep().read_input(connection, workflow)


RESULT = IcpResult(
    industries=("Software",), buyer_roles=("CMO",), pain_points=("No leads",), value_proposition="More"
)


@pytest.fixture
async def database(workflow_dsn: str) -> AsyncIterator[Database]:
    database = await Database.open(workflow_dsn, DatabaseSettings(), application_name="test")
    yield database
    await database.close()


async def test_a_result_is_read_as_it_was_stored(client: Client, database: Database) -> None:
    """Before it is stored the result is None; a repetition changes nothing; other organizations have none."""
    made = await client.create()
    organization_id, workflow_id = UUID(made.organization_id), UUID(made.workflow_id)

    async def store(connection: Connection) -> None:
        workflow = await workflows.get_workflow(connection, organization_id, workflow_id)
        assert workflow is not None
        await PlainStep().store_result(connection, workflow, RESULT)
        other = RESULT.model_copy(update={"value_proposition": "another"})
        await PlainStep().store_result(connection, workflow, other)

    async def stored(owner: UUID) -> IcpResult | None:
        async with database.read() as connection:
            return await results.get_document(connection, owner, workflow_id, Step.ICP, IcpResult)

    assert await stored(organization_id) is None
    await database.write(store)
    assert await stored(organization_id) == RESULT
    assert await stored(workflow_id) is None
