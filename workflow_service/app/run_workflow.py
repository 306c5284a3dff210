"""RunWorkflow: writes that the workflow is to run. The drivers run and advance it until the run ends."""

from __future__ import annotations

from functools import partial
from typing import Final
from uuid import UUID

from service_chassis.postgres.database import Connection, Database
from service_chassis.refusal import Refusal
from workflow_service.app.driver import Driver
from workflow_service.app.idempotency import Answer, PlannedTransition, apply_idempotently
from workflow_service.app.read_workflows import get_workflow
from workflow_service.app.run_step import named, queue
from workflow_service.app.transitions import advance_target
from workflow_service.app.waiting import Waiting
from workflow_service.domain.driving import OnBudgetExceeded
from workflow_service.domain.states import (
    PROCESSING,
    WORKING_STEPS,
    WorkflowState,
    failed,
    pending,
    processing,
    step_of,
)
from workflow_service.domain.workflow import Workflow, WorkflowKey
from workflow_service.store import due, workflows
from workflow_service.store.request_ids import Request

_TRIES: Final = 5
_RUNNABLE: Final = frozenset(state(step) for step in WORKING_STEPS for state in (pending, failed))


def next_transition(state: WorkflowState) -> PlannedTransition:
    """The transition that a run makes first in `state`; an illegal one if a run cannot begin there.

    A step that is PROCESSING goes on: the run begins at its end.
    """
    if state in PROCESSING:
        return PlannedTransition(state, state, takes_over=True)
    if state in _RUNNABLE:
        step = step_of(state)
        assert step is not None
        return PlannedTransition(state, processing(step))
    return PlannedTransition(state, advance_target(state))


class WorkflowRunner:
    """One per process."""

    def __init__(self, database: Database, driver: Driver, waiting: Waiting) -> None:
        self._database = database
        self._driver = driver
        self._waiting = waiting

    async def run_workflow(
        self,
        request: Request,
        workflow_id: UUID,
        expected_state: WorkflowState | None,
        *,
        on_budget_exceeded: OnBudgetExceeded,
        wait: bool,
    ) -> Answer:
        """The workflow where the run ended; without `wait`, after the first transition.

        `expected_state` None: whatever it is. Raises WORKFLOW_NOT_FOUND, ILLEGAL_TRANSITION, STATE_CONFLICT,
        REQUEST_ID_REUSED, SHUTTING_DOWN.
        """
        self._waiting.refuse_if_stopping()
        request = named(request)
        key = WorkflowKey(request.organization_id, workflow_id)
        for last in (False,) * (_TRIES - 1) + (True,):
            state = expected_state
            if state is None:
                state = (await get_workflow(self._database, request.organization_id, workflow_id)).state
            planned = next_transition(state)
            begin = partial(_begin, request=request, key=key, planned=planned, wish=on_budget_exceeded)
            try:
                begun = await apply_idempotently(
                    self._database, request, workflow_id, planned, begin, answer=lambda _: None
                )
                break
            except Refusal as refusal:
                # Without an expected state the caller means whatever it is by now.
                if expected_state is not None or refusal.reason != "STATE_CONFLICT" or last:
                    raise
        self._driver.wake()
        if isinstance(begun, Workflow) and not wait:
            return Answer(begun)
        return await self._waiting.answer(
            request, workflow_id, planned.target, wait=wait, replayed=not isinstance(begun, Workflow)
        )


async def _begin(
    connection: Connection,
    *,
    request: Request,
    key: WorkflowKey,
    planned: PlannedTransition,
    wish: OnBudgetExceeded,
) -> Workflow | None:
    if await _first_move(connection, request, key.workflow_id, planned) is None:
        return None
    return await due.begin_run(connection, key, actor=request.actor, on_budget_exceeded=wish)


async def _first_move(
    connection: Connection, request: Request, workflow_id: UUID, planned: PlannedTransition
) -> Workflow | None:
    if planned.takes_over:
        workflow = await due.lock_workflow(connection, WorkflowKey(request.organization_id, workflow_id))
        return workflow if workflow is not None and workflow.state is planned.expected else None
    if planned.target in PROCESSING:
        return await queue(connection, request, workflow_id, planned)
    return await workflows.transition_if_state(
        connection,
        request.organization_id,
        workflow_id,
        from_state=planned.expected,
        to_state=planned.target,
        actor=request.actor,
        reason=request.method,
    )
