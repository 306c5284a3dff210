"""Runs and advances a workflow until a person is needed, a step fails, or the workflow has ended."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final
from uuid import UUID

from service_chassis.postgres.database import Connection, Database
from workflow_service.app.claim_step import StepClaim, claim
from workflow_service.app.idempotency import (
    Answer,
    PlannedTransition,
    apply_idempotently,
    workflow_from_json,
    workflow_to_json,
)
from workflow_service.app.run_step import Runs, StepRunner, planned_run, shutting_down
from workflow_service.app.transitions import advance_target
from workflow_service.domain.refusals import workflow_not_found
from workflow_service.domain.states import (
    FAILED,
    PROCESSING,
    TERMINAL,
    WORKING_STEPS,
    Step,
    WorkflowState,
    failed,
    pending,
    step_of,
)
from workflow_service.domain.workflow import Lease, Workflow
from workflow_service.store import request_ids, workflows
from workflow_service.store.request_ids import Recorded, Request

_RUNNABLE: Final = frozenset(state(step) for step in WORKING_STEPS for state in (pending, failed))
_STOPS: Final = FAILED | TERMINAL | {pending(Step.SEED_REVIEW)}
_POLL_SECONDS: Final = 0.5
_GONE_AFTER_POLLS: Final = 60
"""If a run's workflow has not moved for this long (30 s) and has no lease, the run died with its instance."""


def next_transition(state: WorkflowState) -> PlannedTransition:
    """The transition that a run makes in `state`; an illegal one if a run cannot continue from there."""
    if state in _RUNNABLE:
        step = step_of(state)
        assert step is not None
        return planned_run(step, state)
    return PlannedTransition(state, advance_target(state))


class WorkflowRunner:
    """One per process."""

    def __init__(self, database: Database, step_runner: StepRunner, runs: Runs) -> None:
        self._database = database
        self._step_runner = step_runner
        self._runs = runs

    async def run_workflow(
        self, request: Request, workflow_id: UUID, expected_state: WorkflowState, *, wait: bool
    ) -> Answer:
        """The workflow where the run stopped; without `wait`, after the first transition.

        Raises as `run_step`; STATE_CONFLICT also if another caller moved the workflow meanwhile.
        """
        begun = await asyncio.shield(
            self._runs.start(self._start(request, workflow_id, expected_state, wait=wait))
        )
        if isinstance(begun, Recorded):
            return await self._wait_for_recorded_run(request, workflow_id, begun)
        first, run = begun
        if wait:
            return Answer(await asyncio.shield(run))
        return Answer(first.workflow if isinstance(first, Lease) else first)

    async def _start(
        self, request: Request, workflow_id: UUID, expected_state: WorkflowState, *, wait: bool
    ) -> Recorded | tuple[Lease | Workflow, asyncio.Task[Workflow]]:
        first = await self._transition(
            request, workflow_id, next_transition(expected_state), answered=not wait
        )
        if isinstance(first, Recorded):
            return first
        run = self._run_until_it_stops(request, workflow_id, first, answered=not wait)
        return first, self._runs.start_successor(run)

    async def _run_until_it_stops(
        self, request: Request, workflow_id: UUID, moved: Lease | Workflow, *, answered: bool
    ) -> Workflow:
        unnamed = replace(request, request_id=None)  # the request_id is the run's, not each transition's
        while True:
            workflow = await self._step_runner.run(moved) if isinstance(moved, Lease) else moved
            if workflow.state in _STOPS:
                break
            if self._runs.stopping:
                raise shutting_down()
            following = await self._transition(
                unnamed, workflow_id, next_transition(workflow.state), answered=False
            )
            assert not isinstance(following, Recorded)  # nothing is recorded without a request_id
            moved = following
        if not answered and request.request_id is not None:
            await self._record_answer(request, workflow)
        return workflow

    async def _transition(
        self, request: Request, workflow_id: UUID, planned: PlannedTransition, *, answered: bool
    ) -> Lease | Workflow | Recorded:
        """One transition. `answered`: it is recorded as the answer to the request."""
        step = step_of(planned.target)
        if planned.target in PROCESSING and step is not None:
            return await claim(
                self._database,
                StepClaim(request, workflow_id, step, planned, self._step_runner.lease_duration),
                answer=lambda lease: workflow_to_json(lease.workflow) if answered else None,
            )

        async def advance(connection: Connection) -> Workflow | None:
            return await workflows.transition_if_state(
                connection,
                request.organization_id,
                workflow_id,
                from_state=planned.expected,
                to_state=planned.target,
                actor=request.actor,
                reason=request.method,
            )

        return await apply_idempotently(
            self._database,
            request,
            workflow_id,
            planned,
            advance,
            answer=lambda workflow: workflow_to_json(workflow) if answered else None,
        )

    async def _record_answer(self, request: Request, workflow: Workflow) -> None:
        async def record(connection: Connection) -> None:
            await request_ids.set_answer(connection, request, workflow_to_json(workflow))

        await self._database.write(record)

    async def _wait_for_recorded_run(self, request: Request, workflow_id: UUID, recorded: Recorded) -> Answer:
        """Waits for the run that the same request started earlier, on any instance."""
        version = still_polls = 0
        while recorded.answer is None:
            workflow = await self._get(request, workflow_id)
            still_polls = still_polls + 1 if workflow.version == version else 0
            version = workflow.version
            at_rest = workflow.state not in PROCESSING and still_polls >= _GONE_AFTER_POLLS
            if workflow.state in _STOPS or at_rest:
                return Answer(workflow, replayed=True)
            await asyncio.sleep(_POLL_SECONDS)
            async with self._database.read() as connection:
                found, _ = await request_ids.look(connection, request, workflow_id)
            recorded = found or recorded
        return Answer(workflow_from_json(recorded.answer), replayed=True)

    async def _get(self, request: Request, workflow_id: UUID) -> Workflow:
        async with self._database.read() as connection:
            workflow = await workflows.get_workflow(connection, request.organization_id, workflow_id)
        if workflow is None:
            raise workflow_not_found()
        return workflow
