"""Runs and advances a workflow until a person is needed, a step fails, or the end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final
from uuid import UUID

from service_chassis.postgres.database import Connection, Database
from workflow_service.app.claim_step import claim
from workflow_service.app.once import Answer, Move, once, workflow_from_json, workflow_to_json
from workflow_service.app.run_step import Runs, StepRunner, shutting_down
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
    processing,
    step_of,
)
from workflow_service.domain.workflow import Lease, Workflow
from workflow_service.store import request_ids, workflows
from workflow_service.store.request_ids import Recorded, Request

_RUNNABLE: Final = frozenset(state(step) for step in WORKING_STEPS for state in (pending, failed))
_STOPS: Final = FAILED | TERMINAL | {pending(Step.SEED_REVIEW)}
_POLL_SECONDS: Final = 0.5
_GONE_AFTER_POLLS: Final = 60
"""A run that nobody works on and that has not moved for so long (30 s) died with its instance."""


def run_move(state: WorkflowState) -> Move:
    """The move that a run makes in `state`; no edge of the matrix where it cannot go on from there."""
    if state in _RUNNABLE:
        step = step_of(state)
        assert step is not None
        return Move(state, processing(step))
    return Move(state, advance_target(state))


class WorkflowRunner:
    """One per process."""

    def __init__(self, database: Database, step_runner: StepRunner, runs: Runs) -> None:
        self._database = database
        self._step_runner = step_runner
        self._runs = runs

    async def run_workflow(
        self, request: Request, workflow_id: UUID, expected_state: WorkflowState, *, wait: bool
    ) -> Answer:
        """The workflow where the run stopped, or, without `wait`, after its first transition.

        Raises as `run_step`; STATE_CONFLICT also where somebody else moved the workflow meanwhile.
        """
        begun = await asyncio.shield(
            self._runs.start(self._begin(request, workflow_id, expected_state, wait=wait))
        )
        if isinstance(begun, Recorded):
            return await self._follow(request, workflow_id, begun)
        first, run = begun
        if wait:
            return Answer(await asyncio.shield(run))
        return Answer(first.workflow if isinstance(first, Lease) else first)

    async def _begin(
        self, request: Request, workflow_id: UUID, expected_state: WorkflowState, *, wait: bool
    ) -> Recorded | tuple[Lease | Workflow, asyncio.Task[Workflow]]:
        first = await self._move(request, workflow_id, run_move(expected_state), answered=not wait)
        if isinstance(first, Recorded):
            return first
        return first, self._runs.go_on(self._go_on(request, workflow_id, first, answered=not wait))

    async def _go_on(
        self, request: Request, workflow_id: UUID, moved: Lease | Workflow, *, answered: bool
    ) -> Workflow:
        unnamed = replace(request, request_id=None)  # the id names the run, not each of its moves
        while True:
            workflow = await self._step_runner.run(moved) if isinstance(moved, Lease) else moved
            if workflow.state in _STOPS:
                break
            if self._runs.stopping:
                raise shutting_down()
            following = await self._move(unnamed, workflow_id, run_move(workflow.state), answered=False)
            assert not isinstance(following, Recorded)  # it has no request_id
            moved = following
        if not answered and request.request_id is not None:
            await self._keep_answer(request, workflow)
        return workflow

    async def _move(
        self, request: Request, workflow_id: UUID, move: Move, *, answered: bool
    ) -> Lease | Workflow | Recorded:
        """One transition. `answered`: the request is answered with it."""
        step = step_of(move.target)
        if move.target in PROCESSING and step is not None:
            return await claim(
                self._database,
                request,
                workflow_id,
                move,
                step,
                self._step_runner.lease_duration,
                answer=lambda lease: workflow_to_json(lease.workflow) if answered else None,
            )

        async def advance(connection: Connection) -> Workflow | None:
            return await workflows.transition_if_state(
                connection,
                request.organization_id,
                workflow_id,
                from_state=move.expected,
                to_state=move.target,
                actor=request.actor,
                reason=request.method,
            )

        return await once(
            self._database,
            request,
            workflow_id,
            move,
            advance,
            answer=lambda workflow: workflow_to_json(workflow) if answered else None,
        )

    async def _keep_answer(self, request: Request, workflow: Workflow) -> None:
        async def keep(connection: Connection) -> None:
            await request_ids.set_answer(connection, request, workflow_to_json(workflow))

        await self._database.write(keep)

    async def _follow(self, request: Request, workflow_id: UUID, recorded: Recorded) -> Answer:
        """Waits for the run that the same request began, on whichever instance it runs."""
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
