"""Claims a working step for a worker outside: hands out a lease with an epoch, by compare-and-set."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from service_chassis.postgres.database import Connection, Database
from workflow_service.app.complete_step import end_step
from workflow_service.app.hold_lease import taken_over_too_often
from workflow_service.app.idempotency import (
    PlannedTransition,
    apply_idempotently,
    workflow_from_json,
    workflow_to_json,
)
from workflow_service.domain.refusals import state_conflict
from workflow_service.domain.states import Step, WorkflowState, processing
from workflow_service.domain.workflow import Lease
from workflow_service.steps.registry import STEP_DEFINITIONS
from workflow_service.store import leases, workflows
from workflow_service.store.leases import LeasedWorkflow
from workflow_service.store.request_ids import Request


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
    *,
    takeovers_max: int,
) -> Claimed:
    """Where `expected_state` is the step's PROCESSING state, an expired lease is taken over.

    A step whose lease ran out once more than it may be taken over becomes X_FAILED instead. Raises
    WORKFLOW_NOT_FOUND, ILLEGAL_TRANSITION, STATE_CONFLICT, REQUEST_ID_REUSED.
    """
    target = processing(step)
    planned = PlannedTransition(expected_state, target, takes_over=expected_state is target)
    step_claim = StepClaim(request, workflow_id, step, planned, lease_duration)
    if planned.takes_over:
        await database.write(
            partial(_give_up_if_exhausted, step_claim=step_claim, takeovers_max=takeovers_max)
        )
    outcome = await apply_idempotently(
        database,
        request,
        workflow_id,
        planned,
        step_claim.lease,
        answer=_to_json,
        epoch=lambda lease: lease.epoch,
    )
    if isinstance(outcome, Lease):
        return Claimed(outcome)
    async with database.read() as connection:
        return Claimed(await _from_json(connection, outcome.answer), replayed=True)


async def _give_up_if_exhausted(connection: Connection, step_claim: StepClaim, takeovers_max: int) -> None:
    organization_id = step_claim.request.organization_id
    key = await leases.lock_if_given_up(
        connection,
        organization_id,
        step_claim.workflow_id,
        state=step_claim.planned.target,
        takeovers_max=takeovers_max,
    )
    if key is not None:
        error = taken_over_too_often(takeovers_max)
        await end_step(connection, key, step_claim.step, actor=step_claim.request.actor, error=error)


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
