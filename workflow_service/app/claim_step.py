"""Claims a working step: hands out a lease with an epoch, by compare-and-set.

Outside workers and the built-in executor claim in the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from service_chassis.postgres.database import Connection, Database
from service_chassis.refusal import Refusal
from workflow_service.app.idempotency import (
    PlannedTransition,
    apply_idempotently,
    workflow_from_json,
    workflow_to_json,
)
from workflow_service.domain.refusals import lease_lost, state_conflict, workflow_not_found
from workflow_service.domain.states import Step, WorkflowState, processing
from workflow_service.domain.workflow import Lease
from workflow_service.steps.registry import STEP_DEFINITIONS
from workflow_service.store import leases, workflows
from workflow_service.store.leases import LeasedWorkflow, LeaseKey
from workflow_service.store.request_ids import Recorded, Request


@dataclass(frozen=True)
class Claimed:
    """A lease. `replayed`: an earlier call with the same request_id got it."""

    lease: Lease
    replayed: bool = False


@dataclass(frozen=True)
class StepClaim:
    """What is claimed, by which request. `planned.target` is the step's PROCESSING state."""

    request: Request
    workflow_id: UUID
    step: Step
    planned: PlannedTransition
    lease_duration: timedelta

    async def lease(self, connection: Connection) -> Lease | None:
        """None where the workflow is not in the expected state. Raises STATE_CONFLICT for a live lease."""
        leased = await (self._take_over(connection) if self.planned.takes_over else self._begin(connection))
        if leased is None:
            return None
        return Lease(
            organization_id=self.request.organization_id,
            workflow_id=self.workflow_id,
            step=self.step,
            lease_token=leased.lease_token,
            epoch=leased.workflow.epoch,
            expire_time=leased.expire_time,
            workflow=leased.workflow,
            input=await STEP_DEFINITIONS[self.step].read_input(connection, leased.workflow),
        )

    # A transaction may run again, so each attempt makes a new token.

    async def _begin(self, connection: Connection) -> LeasedWorkflow | None:
        return await leases.claim_if_state(
            connection,
            self.request.organization_id,
            self.workflow_id,
            from_state=self.planned.expected,
            to_state=self.planned.target,
            lease_token=uuid4(),
            lease_duration=self.lease_duration,
            actor=self.request.actor,
            reason=self.request.method,
        )

    async def _take_over(self, connection: Connection) -> LeasedWorkflow | None:
        organization_id, state = self.request.organization_id, self.planned.target
        leased = await leases.take_over_if_expired(
            connection,
            organization_id,
            self.workflow_id,
            state=state,
            lease_token=uuid4(),
            lease_duration=self.lease_duration,
        )
        if leased is None:
            workflow = await workflows.get_workflow(connection, organization_id, self.workflow_id)
            if workflow is not None and workflow.state is state:
                raise state_conflict(state, state, lease_expire_time=workflow.lease_expire_time)
        return leased


async def claim_step(
    database: Database,
    request: Request,
    workflow_id: UUID,
    step: Step,
    expected_state: WorkflowState,
    lease_duration: timedelta,
) -> Claimed:
    """Where `expected_state` is the step's PROCESSING state, an expired lease is taken over.

    Raises WORKFLOW_NOT_FOUND, ILLEGAL_TRANSITION, STATE_CONFLICT, REQUEST_ID_REUSED.
    """
    target = processing(step)
    planned = PlannedTransition(expected_state, target, takes_over=expected_state is target)
    outcome = await claim(
        database, StepClaim(request, workflow_id, step, planned, lease_duration), answer=_to_json
    )
    if isinstance(outcome, Lease):
        return Claimed(outcome)
    async with database.read() as connection:
        return Claimed(await _from_json(connection, outcome.answer), replayed=True)


async def claim(
    database: Database, step_claim: StepClaim, *, answer: Callable[[Lease], Any | None]
) -> Lease | Recorded:
    """The lease, or what was recorded for the same request earlier.

    `answer` makes what is recorded with the request_id; None where the end of the run will answer.
    """
    return await apply_idempotently(
        database,
        step_claim.request,
        step_claim.workflow_id,
        step_claim.planned,
        step_claim.lease,
        answer=answer,
        epoch=lambda lease: lease.epoch,
    )


async def heartbeat_step(database: Database, key: LeaseKey, lease_duration: timedelta) -> LeasedWorkflow:
    """Raises WORKFLOW_NOT_FOUND, LEASE_LOST."""

    async def work(connection: Connection) -> LeasedWorkflow:
        leased = await leases.renew_if_leased(connection, key, lease_duration)
        if leased is None:
            raise await lost_lease(connection, key)
        return leased

    return await database.write(work)


async def lost_lease(connection: Connection, key: LeaseKey) -> Refusal:
    """The refusal for a lease that is not the present one: LEASE_LOST, or WORKFLOW_NOT_FOUND."""
    workflow = await workflows.get_workflow(connection, key.organization_id, key.workflow_id)
    return workflow_not_found() if workflow is None else lease_lost(workflow.epoch)


def _to_json(lease: Lease) -> dict[str, Any]:
    """Without the input: earlier steps have fixed it, so a repetition reads it again."""
    return {
        "step": lease.step.value,
        "lease_token": str(lease.lease_token),
        "expire_time": lease.expire_time.isoformat(),
        "workflow": workflow_to_json(lease.workflow),
    }


async def _from_json(connection: Connection, answer: Any) -> Lease:
    workflow = workflow_from_json(answer["workflow"])
    step = Step(answer["step"])
    return Lease(
        organization_id=workflow.organization_id,
        workflow_id=workflow.workflow_id,
        step=step,
        lease_token=UUID(answer["lease_token"]),
        epoch=workflow.epoch,
        expire_time=datetime.fromisoformat(answer["expire_time"]),
        workflow=workflow,
        input=await STEP_DEFINITIONS[step].read_input(connection, workflow),
    )
