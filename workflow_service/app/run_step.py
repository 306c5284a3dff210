"""RunStep: the step becomes X_PROCESSING at once, and the driver of any instance does its work."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

from service_chassis.postgres.database import Connection, Database
from workflow_service.app.driver import Driver
from workflow_service.app.idempotency import Answer, PlannedTransition, apply_idempotently
from workflow_service.app.waiting import Waiting
from workflow_service.domain.refusals import state_conflict
from workflow_service.domain.states import Step, WorkflowState, processing
from workflow_service.domain.workflow import Workflow
from workflow_service.store import leases, workflows
from workflow_service.store.request_ids import Request


class StepRunner:
    """One per process."""

    def __init__(self, database: Database, driver: Driver, waiting: Waiting) -> None:
        self._database = database
        self._driver = driver
        self._waiting = waiting

    async def run_step(
        self,
        request: Request,
        workflow_id: UUID,
        step: Step,
        expected_state: WorkflowState,
        *,
        wait: bool,
    ) -> Answer:
        """The workflow after the end of the step; without `wait`, as it is when the step is begun.

        From X_PROCESSING a step whose lease ran out is taken over. Raises WORKFLOW_NOT_FOUND,
        ILLEGAL_TRANSITION, STATE_CONFLICT, REQUEST_ID_REUSED, SHUTTING_DOWN.
        """
        self._waiting.refuse_if_stopping()
        request = named(request)
        target = processing(step)
        planned = PlannedTransition(expected_state, target, takes_over=expected_state is target)

        async def begin(connection: Connection) -> Workflow | None:
            if planned.takes_over:
                return await _take_over(connection, request, workflow_id, target)
            return await queue(connection, request, workflow_id, planned)

        begun = await apply_idempotently(
            self._database, request, workflow_id, planned, begin, answer=lambda _: None
        )
        self._driver.wake()
        if isinstance(begun, Workflow) and not wait:
            return Answer(begun)
        return await self._waiting.answer(
            request, workflow_id, target, wait=wait, replayed=not isinstance(begun, Workflow)
        )


def named(request: Request) -> Request:
    """With a request_id, under which the end of the run records its answer."""
    return request if request.request_id is not None else replace(request, request_id=uuid4())


async def queue(
    connection: Connection, request: Request, workflow_id: UUID, planned: PlannedTransition
) -> Workflow | None:
    """Begins the step for the driver. `planned.target` is its PROCESSING state."""
    return await leases.queue_if_state(
        connection,
        request.organization_id,
        workflow_id,
        from_state=planned.expected,
        to_state=planned.target,
        actor=request.actor,
        reason=request.method,
    )


async def _take_over(
    connection: Connection, request: Request, workflow_id: UUID, state: WorkflowState
) -> Workflow | None:
    queued = await leases.queue_if_expired(connection, request.organization_id, workflow_id, state=state)
    if queued is None:
        workflow = await workflows.get_workflow(connection, request.organization_id, workflow_id)
        if workflow is not None and workflow.state is state:
            raise state_conflict(state, state, lease_expire_time=workflow.lease_expire_time)
    return queued
