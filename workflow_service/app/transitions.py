"""The transitions that hand out no lease: advance, review, cancel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from service_chassis.postgres.database import Connection, Database
from service_chassis.refusal import Refusal, invalid_field
from workflow_service.app.idempotency import (
    Answer,
    PlannedTransition,
    apply_idempotently,
    workflow_from_json,
    workflow_to_json,
)
from workflow_service.app.take_due import end_run
from workflow_service.domain.states import (
    ADVANCES,
    STEPS,
    Step,
    WorkflowState,
    completed,
    pending,
    step_of,
)
from workflow_service.domain.steps import keyword_key
from workflow_service.domain.workflow import ReviewDecision, Workflow, WorkflowKey
from workflow_service.store import results, workflows
from workflow_service.store.request_ids import Recorded, Request

_REVIEWED: Final = completed(Step.SEED_REVIEW)


def advance_target(state: WorkflowState) -> WorkflowState:
    """The state after `state`.

    If `state` cannot be advanced, the transition to the state returned is illegal.
    """
    if state in ADVANCES:
        return ADVANCES[state]
    step = step_of(state)
    if step is None or step is STEPS[-1]:
        return WorkflowState.COMPLETED
    return pending(STEPS[STEPS.index(step) + 1])


async def advance(
    database: Database, request: Request, workflow_id: UUID, expected_state: WorkflowState
) -> Answer:
    """Raises WORKFLOW_NOT_FOUND, ILLEGAL_TRANSITION, STATE_CONFLICT."""
    planned = PlannedTransition(expected_state, advance_target(expected_state))

    async def work(connection: Connection) -> Workflow | None:
        return await _transition(connection, request, workflow_id, planned, reason=request.method)

    outcome = await apply_idempotently(database, request, workflow_id, planned, work, answer=workflow_to_json)
    return _answer(outcome)


async def cancel(
    database: Database, request: Request, workflow_id: UUID, expected_state: WorkflowState, reason: str
) -> Answer:
    """Ends a lease on the workflow and its run as well. Raises as `advance`, and REQUEST_ID_REUSED."""
    planned = PlannedTransition(expected_state, WorkflowState.CANCELLED, also_paused=True)

    async def work(connection: Connection) -> Workflow | None:
        moved = await _transition(connection, request, workflow_id, planned, reason=reason or request.method)
        if moved is None:
            return None
        return await end_run(connection, WorkflowKey(request.organization_id, workflow_id))

    outcome = await apply_idempotently(database, request, workflow_id, planned, work, answer=workflow_to_json)
    return _answer(outcome)


async def submit_seed_review(
    database: Database,
    request: Request,
    workflow_id: UUID,
    expected_state: WorkflowState,
    decisions: Mapping[str, ReviewDecision],
) -> Answer:
    """`decisions` by keyword_key. A keyword without a decision is rejected.

    Raises as `cancel`; NOTHING_APPROVED; INVALID_FIELD for a keyword that the workflow does not have.
    """
    planned = PlannedTransition(expected_state, _REVIEWED, also_paused=True)
    approved_keys = [key for key, decision in decisions.items() if decision is ReviewDecision.APPROVED]

    async def work(connection: Connection) -> Workflow | None:
        workflow = await _transition(connection, request, workflow_id, planned, reason=request.method)
        if workflow is None:
            return None
        stored = await results.list_keywords(connection, request.organization_id, workflow_id)
        _require_known(decisions, {keyword_key(keyword.seed.keyword) for _, keyword in stored})
        if not approved_keys:
            raise Refusal("NOTHING_APPROVED", "at least one keyword has to be approved")
        await results.decide_keywords(connection, request.organization_id, workflow_id, approved_keys)
        return workflow

    outcome = await apply_idempotently(database, request, workflow_id, planned, work, answer=workflow_to_json)
    return _answer(outcome)


async def _transition(
    connection: Connection, request: Request, workflow_id: UUID, planned: PlannedTransition, *, reason: str
) -> Workflow | None:
    return await workflows.transition_if_state(
        connection,
        request.organization_id,
        workflow_id,
        from_state=planned.expected,
        to_state=planned.target,
        actor=request.actor,
        reason=reason,
    )


def _require_known(decisions: Mapping[str, ReviewDecision], known_keys: set[str]) -> None:
    for index, key in enumerate(decisions):
        if key not in known_keys:
            raise invalid_field(f"decisions[{index}].keyword", "is not a keyword of the workflow")


def _answer(outcome: Workflow | Recorded) -> Answer:
    if isinstance(outcome, Recorded):
        return Answer(workflow_from_json(outcome.answer), replayed=True)
    return Answer(outcome)
