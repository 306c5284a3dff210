"""Does the work of a leased step with the built-in executor, keeps its lease, and ends the step."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final, Protocol

import structlog

from service_chassis.postgres.database import Database
from service_chassis.refusal import Refusal
from workflow_service.app.complete_step import complete_step, fail_step
from workflow_service.app.hold_lease import heartbeat_step
from workflow_service.app.step_failed import StepFailed
from workflow_service.domain.error_class import ErrorClass
from workflow_service.domain.steps import StepResult
from workflow_service.domain.workflow import LastError, Lease
from workflow_service.store.leases import LeaseKey

ACTOR: Final = "service"
RENEWALS: Final = 3
"""How often a lease is renewed within its duration."""
_UNAVAILABLE: Final = frozenset({"DATABASE_UNAVAILABLE", "OVERLOADED"})
_TEXT_LENGTH_MAX: Final = 1024
_RETRY_SECONDS: Final = 1.0

_log = structlog.get_logger(__name__)


class Executor(Protocol):
    """Does the work of a step, including its model calls."""

    async def execute(self, lease: Lease) -> StepResult:
        """Raises StepFailed; Refusal LEASE_LOST if the step was taken over or cancelled meanwhile."""
        ...


class StepWorker:
    """One per process. It renews leases of `lease_duration` while the executor works."""

    def __init__(self, database: Database, executor: Executor, *, lease_duration: timedelta) -> None:
        self._database = database
        self._executor = executor
        self.lease_duration = lease_duration

    async def work(self, lease: Lease) -> None:
        """Completes or fails the step. Raises LEASE_LOST where it was taken over or cancelled meanwhile."""
        key = lease_key(lease)
        work = asyncio.create_task(self._executor.execute(lease))
        heartbeat = asyncio.create_task(self._keep_leased(key))
        try:
            await asyncio.wait({work, heartbeat}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                await heartbeat  # raises LEASE_LOST
            await self._end(lease, key, work)
        finally:
            for task in (work, heartbeat):
                task.cancel()
            await asyncio.gather(work, heartbeat, return_exceptions=True)

    async def _end(self, lease: Lease, key: LeaseKey, work: asyncio.Task[StepResult]) -> None:
        """Completes or fails the step. The heartbeat continues until that is committed."""
        try:
            result = await work
        except StepFailed as failure:
            await self._fail(key, failure.error)
        except Refusal as refusal:
            if refusal.reason == "LEASE_LOST":
                raise
            await self._fail(key, LastError(ErrorClass.INTERNAL, refusal.reason, refusal.message))
        except Exception:
            _log.exception("step_broke", step=lease.step, workflow_id=str(lease.workflow_id))
            await self._fail(key, _internal_error())
        else:
            await self._complete(key, result)

    async def _complete(self, key: LeaseKey, result: StepResult) -> None:
        while True:
            try:
                await complete_step(self._database, key, result, actor=ACTOR)
            except Refusal as refusal:
                if refusal.reason == "INVALID_FIELD":
                    _log.error("result_refused", detail=refusal.message, workflow_id=str(key.workflow_id))
                    return await self._fail(key, _internal_error())
                if refusal.reason not in _UNAVAILABLE:
                    raise
                # The result was paid for: try until it is committed or the lease is lost.
                await asyncio.sleep(_RETRY_SECONDS)
            except Exception:
                # Nothing was committed. Without this the step would be done again and again, to the same end.
                _log.exception("result_not_kept", workflow_id=str(key.workflow_id))
                return await self._fail(key, _internal_error())
            else:
                return None

    async def _fail(self, key: LeaseKey, error: LastError) -> None:
        error = LastError(
            error.error_class, error.reason[:_TEXT_LENGTH_MAX], error.message[:_TEXT_LENGTH_MAX]
        )
        while True:
            try:
                await fail_step(self._database, key, error, actor=ACTOR)
            except Refusal as refusal:
                if refusal.reason not in _UNAVAILABLE:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return

    async def _keep_leased(self, key: LeaseKey) -> None:
        """Ends only by raising LEASE_LOST."""
        while True:
            await asyncio.sleep(self.lease_duration.total_seconds() / RENEWALS)
            try:
                await heartbeat_step(self._database, key, self.lease_duration)
            except Refusal as refusal:
                if refusal.reason not in _UNAVAILABLE:
                    raise


def lease_key(lease: Lease) -> LeaseKey:
    return LeaseKey(lease.organization_id, lease.workflow_id, lease.lease_token, lease.epoch)


def _internal_error() -> LastError:
    return LastError(ErrorClass.INTERNAL, "INTERNAL_ERROR", "a fault of the service; its log has it")
