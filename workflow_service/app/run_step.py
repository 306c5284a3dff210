"""Runs a leased step with the built-in executor, and keeps track of the runs of this process.

A run belongs to the service: it is a task of its own, and the caller only waits for it. If a run is cut off
(by the end of the stop's grace, or by a kill), the step stays X_PROCESSING until its lease expires.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

import structlog

from service_chassis.postgres.database import Database
from service_chassis.refusal import Refusal
from workflow_service.app.claim_step import StepClaim, claim, heartbeat_step
from workflow_service.app.complete_step import complete_step, fail_step
from workflow_service.app.idempotency import Answer, PlannedTransition, workflow_from_json, workflow_to_json
from workflow_service.app.step_failed import StepFailed
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.refusals import lease_lost, state_conflict, workflow_not_found
from workflow_service.domain.states import Step, WorkflowState, processing
from workflow_service.domain.steps import StepResult
from workflow_service.domain.workflow import LastError, Lease, Workflow
from workflow_service.store import request_ids, workflows
from workflow_service.store.leases import LeaseKey
from workflow_service.store.request_ids import Recorded, Request

T = TypeVar("T")

ACTOR: Final = "service"
_UNAVAILABLE: Final = frozenset({"DATABASE_UNAVAILABLE", "OVERLOADED"})
_TEXT_LENGTH_MAX: Final = 1024
_POLL_SECONDS: Final = 0.25
_RETRY_SECONDS: Final = 1.0

_log = structlog.get_logger(__name__)


class Executor(Protocol):
    """Does the work of a step, including its model calls."""

    async def execute(self, lease: Lease) -> StepResult:
        """Raises StepFailed; Refusal LEASE_LOST if the step was taken over or cancelled meanwhile."""
        ...


class Runs:
    """The runs of this process: tasks that do not depend on their callers, and that `stop` waits for."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopping = False

    @property
    def stopping(self) -> bool:
        return self._stopping

    def start(self, run: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Raises SHUTTING_DOWN after `stop` was called."""
        if self._stopping:
            run.close()
            raise shutting_down()
        return self.start_successor(run)

    def start_successor(self, run: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Starts the next part of a run that was started before; also while the process stops."""
        task = asyncio.create_task(run)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    async def stop(self, grace_seconds: float) -> None:
        """Refuses new runs, waits for the present ones, and cancels what still runs after the grace."""
        self._stopping = True
        try:
            async with asyncio.timeout(grace_seconds):
                while self._tasks:
                    await asyncio.wait(self._tasks)
        except TimeoutError:
            left = list(self._tasks)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # read, so that asyncio does not log it where no caller waits any more


def planned_run(step: Step, expected_state: WorkflowState) -> PlannedTransition:
    """The built-in executor takes over no lease: from X_PROCESSING the matrix has no such edge."""
    return PlannedTransition(expected_state, processing(step))


def shutting_down() -> Refusal:
    return Refusal("SHUTTING_DOWN", "the service is stopping", retry_after_seconds=1)


class StepRunner:
    """One per process. It renews leases of `lease_duration` while the executor works."""

    def __init__(
        self, database: Database, executor: Executor, runs: Runs, *, lease_duration: timedelta
    ) -> None:
        self._database = database
        self._executor = executor
        self._runs = runs
        self.lease_duration = lease_duration

    async def run_step(
        self,
        request: Request,
        workflow_id: UUID,
        step: Step,
        expected_state: WorkflowState,
        *,
        wait: bool,
    ) -> Answer:
        """The workflow after the end of the step; without `wait`, as it is when the step is claimed.

        Raises as `claim_step`; LEASE_LOST or STATE_CONFLICT if the step was taken over or cancelled
        meanwhile.
        """
        step_claim = StepClaim(
            request, workflow_id, step, planned_run(step, expected_state), self.lease_duration
        )
        begun = await asyncio.shield(self._runs.start(self._claim_and_start(step_claim, wait=wait)))
        if isinstance(begun, Recorded):
            return await self._wait_for_recorded_run(request, workflow_id, step, begun)
        lease, run = begun
        return Answer(await asyncio.shield(run) if wait else lease.workflow)

    async def run(self, lease: Lease, *, answers: Request | None = None) -> Workflow:
        """Does the work of the leased step, and completes or fails it.

        The outcome is recorded as the answer to the request `answers`. Raises LEASE_LOST, STATE_CONFLICT as
        `run_step`.
        """
        key = LeaseKey(lease.organization_id, lease.workflow_id, lease.lease_token, lease.epoch)
        work = asyncio.create_task(self._executor.execute(lease))
        heartbeat = asyncio.create_task(self._keep_leased(key))
        try:
            await asyncio.wait({work, heartbeat}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                await heartbeat  # raises LEASE_LOST
            return await self._end(lease, key, work, answers)
        except Refusal as refusal:
            if refusal.reason == "LEASE_LOST":
                raise await self._why_lost(lease) from None
            raise
        finally:
            for task in (work, heartbeat):
                task.cancel()
            await asyncio.gather(work, heartbeat, return_exceptions=True)

    async def _claim_and_start(
        self, step_claim: StepClaim, *, wait: bool
    ) -> Recorded | tuple[Lease, asyncio.Task[Workflow]]:
        outcome = await claim(
            self._database,
            step_claim,
            answer=lambda lease: None if wait else workflow_to_json(lease.workflow),
        )
        if isinstance(outcome, Recorded):
            return outcome
        run = self.run(outcome, answers=step_claim.request if wait else None)
        return outcome, self._runs.start_successor(run)

    async def _end(
        self, lease: Lease, key: LeaseKey, work: asyncio.Task[StepResult], answers: Request | None
    ) -> Workflow:
        """Completes or fails the step. The heartbeat continues until that is committed."""
        try:
            result = await work
        except StepFailed as failure:
            return await self._fail(key, failure.error, answers)
        except Refusal as refusal:
            if refusal.reason == "LEASE_LOST":
                raise
            error = LastError(ErrorClass.INTERNAL, refusal.reason, refusal.message)
            return await self._fail(key, error, answers)
        except Exception:
            _log.exception("step_broke", step=lease.step, workflow_id=str(lease.workflow_id))
            return await self._fail(key, _internal_error(), answers)
        return await self._complete(key, result, answers)

    async def _complete(self, key: LeaseKey, result: StepResult, answers: Request | None) -> Workflow:
        while True:
            try:
                answer = await complete_step(self._database, key, result, actor=ACTOR, answers=answers)
            except Refusal as refusal:
                if refusal.reason == "INVALID_FIELD":
                    _log.error("result_refused", detail=refusal.message, workflow_id=str(key.workflow_id))
                    return await self._fail(key, _internal_error(), answers)
                if refusal.reason not in _UNAVAILABLE:
                    raise
                # The result was paid for: try until it is committed or the lease is lost.
                await asyncio.sleep(_RETRY_SECONDS)
            except Exception:
                # Nothing was committed. Without this the step would stay X_PROCESSING until its lease
                # expires.
                _log.exception("result_not_kept", workflow_id=str(key.workflow_id))
                return await self._fail(key, _internal_error(), answers)
            else:
                return answer.workflow

    async def _fail(self, key: LeaseKey, error: LastError, answers: Request | None) -> Workflow:
        error = LastError(
            error.error_class, error.reason[:_TEXT_LENGTH_MAX], error.message[:_TEXT_LENGTH_MAX]
        )
        while True:
            try:
                answer = await fail_step(self._database, key, error, actor=ACTOR, answers=answers)
            except Refusal as refusal:
                if refusal.reason not in _UNAVAILABLE:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return answer.workflow

    async def _keep_leased(self, key: LeaseKey) -> None:
        """Renews the lease three times within its duration. Ends only by raising LEASE_LOST."""
        while True:
            await asyncio.sleep(self.lease_duration.total_seconds() / 3)
            try:
                await heartbeat_step(self._database, key, self.lease_duration)
            except Refusal as refusal:
                if refusal.reason not in _UNAVAILABLE:
                    raise

    async def _why_lost(self, lease: Lease) -> Refusal:
        async with self._database.read() as connection:
            workflow = await workflows.get_workflow(connection, lease.organization_id, lease.workflow_id)
        if workflow is None:
            return workflow_not_found()
        return _lease_ended(lease.step, workflow.state, workflow.epoch)

    async def _wait_for_recorded_run(
        self, request: Request, workflow_id: UUID, step: Step, recorded: Recorded
    ) -> Answer:
        """Waits for the run that the same request started earlier, on any instance."""
        while recorded.answer is None:
            await asyncio.sleep(_POLL_SECONDS)
            async with self._database.read() as connection:
                found, standing = await request_ids.look(connection, request, workflow_id)
            if found is None or standing is None:
                raise workflow_not_found()
            recorded = found
            # A run records its answer in the transaction that ends its lease.
            if recorded.answer is None and (standing.state, standing.epoch) != (
                processing(step),
                recorded.epoch,
            ):
                raise _lease_ended(step, standing.state, standing.epoch)
        return Answer(workflow_from_json(recorded.answer), replayed=True)


def _lease_ended(step: Step, state: WorkflowState, epoch: int) -> Refusal:
    """The refusal for a run whose lease was taken over, or whose workflow was moved by another caller."""
    return lease_lost(epoch) if state is processing(step) else state_conflict(processing(step), state)


def _internal_error() -> LastError:
    return LastError(ErrorClass.INTERNAL, "INTERNAL_ERROR", "a fault of the service; its log has it")
