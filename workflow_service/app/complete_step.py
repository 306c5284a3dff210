"""Ends a leased step under its epoch: result and X_COMPLETED, or error and X_FAILED, in one transaction."""

from __future__ import annotations

from typing import Final

from service_chassis.postgres.database import Connection, Database
from workflow_service.app.hold_lease import lost_lease
from workflow_service.app.idempotency import STEP_METHOD, Answer, workflow_to_json
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.states import FAILED, Step, WorkflowState, completed, failed, processing, step_of
from workflow_service.domain.steps import (
    RESULT_TYPES,
    IcpResult,
    StepResult,
    ValidationResult,
    check_result,
)
from workflow_service.domain.workflow import LastError, Workflow
from workflow_service.steps.registry import STEP_DEFINITIONS
from workflow_service.store import leases, request_ids, workflows
from workflow_service.store.leases import LeaseKey

_NOTHING_VALID: Final = LastError(
    ErrorClass.NOTHING_VALID, ErrorClass.NOTHING_VALID.value, "no cluster was found valid"
)
_STEPS: Final = {result_type: step for step, result_type in RESULT_TYPES.items()}


async def check_lease(database: Database, key: LeaseKey) -> None:
    """Raises LEASE_LOST or WORKFLOW_NOT_FOUND for a lease that never existed.

    The lease may be lost after this check, so ending the step checks it again.
    """
    async with database.read() as connection:
        if not await leases.is_or_was_leased(connection, key):
            raise await lost_lease(connection, key)


async def complete_step(database: Database, key: LeaseKey, result: StepResult, *, actor: str) -> Answer:
    """A VALIDATION without a valid cluster ends in VALIDATION_FAILED, and its result is not stored.

    Raises WORKFLOW_NOT_FOUND, LEASE_LOST, INVALID_FIELD (the result does not answer the step's input).
    """
    step = _STEPS[type(result)]
    error = _NOTHING_VALID if isinstance(result, ValidationResult) and not result.valid_cluster_ids else None

    async def work(connection: Connection) -> Answer:
        workflow = await leases.lock_if_leased(connection, key)
        if workflow is None:
            return await _ended_before(
                connection, key, frozenset({failed(step) if error else completed(step)})
            )
        leased_step = step_of(workflow.state)
        assert leased_step is not None
        check_result(await STEP_DEFINITIONS[leased_step].read_input(connection, workflow), result)
        if error is None:
            await STEP_DEFINITIONS[step].store_result(connection, workflow, result)
        return Answer(await end_step(connection, key, step, actor=actor, error=error, result=result))

    return await database.write(work)


async def fail_step(database: Database, key: LeaseKey, error: LastError, *, actor: str) -> Answer:
    """Raises WORKFLOW_NOT_FOUND, LEASE_LOST."""

    async def work(connection: Connection) -> Answer:
        workflow = await leases.lock_if_leased(connection, key)
        if workflow is None:
            return await _ended_before(connection, key, FAILED)
        step = step_of(workflow.state)
        assert step is not None
        return Answer(await end_step(connection, key, step, actor=actor, error=error))

    return await database.write(work)


async def end_step(
    connection: Connection,
    key: LeaseKey,
    step: Step,
    *,
    actor: str,
    error: LastError | None,
    result: StepResult | None = None,
) -> Workflow:
    """Ends a lease whose row is locked, and answers the RunStep requests that wait for the step."""
    workflow = await leases.end_if_leased(
        connection,
        key,
        from_state=processing(step),
        to_state=completed(step) if error is None else failed(step),
        actor=actor,
        reason=f"{error.error_class}: {error.reason}" if error else "",
        error=error,
        icp=result if isinstance(result, IcpResult) else None,
    )
    assert workflow is not None  # its row has been locked since the lease was read
    await request_ids.answer_open(
        connection, key.organization_id, key.workflow_id, STEP_METHOD, workflow_to_json(workflow)
    )
    return workflow


async def _ended_before(connection: Connection, key: LeaseKey, wanted: frozenset[WorkflowState]) -> Answer:
    """The present workflow, if this lease has already ended the step. Otherwise raises LEASE_LOST."""
    if await leases.get_ending(connection, key) in wanted:
        workflow = await workflows.get_workflow(connection, key.organization_id, key.workflow_id)
        assert workflow is not None
        return Answer(workflow, replayed=True)
    raise await lost_lease(connection, key)
