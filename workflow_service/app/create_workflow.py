"""Creates a workflow in the state CREATED."""

from __future__ import annotations

from uuid import uuid4

from service_chassis.postgres.database import Connection, Database
from workflow_service.app.idempotency import Answer, take_request_id, workflow_from_json, workflow_to_json
from workflow_service.domain.workflow import Profile, PublishTarget
from workflow_service.store import request_ids, workflows
from workflow_service.store.request_ids import Request


async def create_workflow(
    database: Database,
    request: Request,
    *,
    display_name: str,
    profile: Profile,
    publish_target: PublishTarget,
) -> Answer:
    """`request` must have a request_id. Raises REQUEST_ID_REUSED."""
    workflow_id = uuid4()

    async def transaction(connection: Connection) -> Answer:
        if earlier := await take_request_id(connection, request, workflow_id):
            return Answer(workflow_from_json(earlier.answer), replayed=True)
        workflow = await workflows.insert_workflow(
            connection,
            request.organization_id,
            workflow_id,
            display_name=display_name,
            profile=profile,
            publish_target=publish_target,
        )
        await request_ids.set_answer(connection, request, workflow_to_json(workflow))
        return Answer(workflow)

    return await database.write(transaction)
