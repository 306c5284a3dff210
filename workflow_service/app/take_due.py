"""Takes a workflow that is due: does what needs no executor, and leases the step that needs one.

All of it is one transaction on the workflow's locked row, so that of several instances one takes it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import uuid4

from service_chassis.postgres.database import Connection
from workflow_service.app.complete_step import end_step
from workflow_service.app.hold_lease import taken_over_too_often
from workflow_service.app.idempotency import RUN_METHOD, STEP_METHOD, workflow_to_json
from workflow_service.domain.driving import (
    Advance,
    BeginStep,
    DueWorkflow,
    EndRun,
    GiveUp,
    LeaseStep,
    Patience,
    RetryLater,
    next_act,
)
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.events import EventType
from workflow_service.domain.states import Step, WorkflowState, processing
from workflow_service.domain.workflow import Lease, Workflow, WorkflowKey
from workflow_service.steps.registry import STEP_DEFINITIONS
from workflow_service.store import due as due_store
from workflow_service.store import events, leases, request_ids, workflows
from workflow_service.store.leases import LeasedWorkflow, LeaseKey

ACTOR: Final = "service"


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a due workflow. `lease`: its step is this instance's to do."""

    lease: Lease | None


async def take_if_due(
    connection: Connection, key: WorkflowKey, patience: Patience, *, lease_duration: timedelta
) -> Taken | None:
    """None if it is not due any more, or another instance is taking it."""
    due = await due_store.lock_if_due(connection, key)
    if due is None:
        return None
    while True:
        match next_act(due, patience, jitter=random.random()):  # noqa: S311 - no secret
            case LeaseStep(step):
                if due.has_live_lease:
                    # An instance of an earlier version renews its leases without saying when they are due.
                    await due_store.set_due_after(connection, key, lease_duration)
                    return Taken(None)
                leased = await due_store.lease_due(
                    connection, key, lease_token=uuid4(), lease_duration=lease_duration
                )
                if due.lease_token is not None:
                    await _tell(connection, key, EventType.TAKEN_OVER, step)
                return Taken(await _lease(connection, step, leased))
            case BeginStep(step, actor):
                begun = await leases.claim_if_state(
                    connection,
                    key.organization_id,
                    key.workflow_id,
                    from_state=due.workflow.state,
                    to_state=processing(step),
                    lease_token=uuid4(),
                    lease_duration=lease_duration,
                    actor=actor,
                    reason=RUN_METHOD,
                    is_service=True,
                )
                assert begun is not None  # the row is locked
                return Taken(await _lease(connection, step, begun))
            case GiveUp(step):
                await _give_up(connection, key, due, step)
            case Advance(target, actor):
                await _advance(connection, key, due.workflow.state, target, actor)
            case RetryLater(delay_seconds):
                await due_store.set_retry_after(
                    connection,
                    key,
                    timedelta(seconds=delay_seconds),
                    attempts_max=patience.attempts_max,
                )
                error = due.workflow.last_error
                is_denied = error is not None and error.error_class is ErrorClass.BUDGET_DENIED
                await _tell(connection, key, EventType.BUDGET_WAIT if is_denied else EventType.RETRY)
                return Taken(None)
            case EndRun(has_used_up_attempts):
                if has_used_up_attempts:
                    await _tell(connection, key, EventType.ATTEMPTS_EXHAUSTED)
                await end_run(connection, key)
                return Taken(None)
        due = await due_store.get_due(connection, key)
        if due is None:
            return Taken(None)


async def end_run(connection: Connection, key: WorkflowKey) -> Workflow:
    """The run's requests are answered with the workflow as it is; a cancelled one answers none."""
    workflow = await due_store.end_run(connection, key)
    if workflow.state is WorkflowState.CANCELLED:
        await request_ids.forget_open(
            connection, key.organization_id, key.workflow_id, [RUN_METHOD, STEP_METHOD]
        )
    else:
        await request_ids.answer_open(
            connection, key.organization_id, key.workflow_id, RUN_METHOD, workflow_to_json(workflow)
        )
    return workflow


async def _advance(
    connection: Connection, key: WorkflowKey, state: WorkflowState, target: WorkflowState, actor: str
) -> None:
    moved = await workflows.transition_if_state(
        connection,
        key.organization_id,
        key.workflow_id,
        from_state=state,
        to_state=target,
        actor=actor,
        reason=RUN_METHOD,
    )
    assert moved is not None  # the row is locked


async def _give_up(connection: Connection, key: WorkflowKey, due: DueWorkflow, step: Step) -> None:
    assert due.lease_token is not None
    lease = LeaseKey(key.organization_id, key.workflow_id, due.lease_token, due.workflow.epoch)
    await end_step(connection, lease, step, actor=ACTOR, error=taken_over_too_often(due.takeovers))
    await _tell(connection, key, EventType.ATTEMPTS_EXHAUSTED)


async def _tell(connection: Connection, key: WorkflowKey, what: EventType, step: Step | None = None) -> None:
    await events.insert_event(connection, key, what, actor=ACTOR, reason=step.value if step else "")


async def _lease(connection: Connection, step: Step, leased: LeasedWorkflow) -> Lease:
    workflow = leased.workflow
    return Lease(
        organization_id=workflow.organization_id,
        workflow_id=workflow.workflow_id,
        step=step,
        lease_token=leased.lease_token,
        epoch=workflow.epoch,
        expire_time=leased.expire_time,
        workflow=workflow,
        input=await STEP_DEFINITIONS[step].read_input(connection, workflow),
    )
