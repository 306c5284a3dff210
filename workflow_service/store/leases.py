"""Leases: the columns `lease_…` of `intent_workflows`, and the transitions that begin and end a lease.

Each write is named after its guard, and returns None if the guard did not hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from service_chassis.postgres.database import Connection
from service_chassis.postgres.queries import load_queries
from workflow_service.domain.states import WorkflowState
from workflow_service.domain.steps import IcpResult
from workflow_service.domain.workflow import LastError, Workflow
from workflow_service.store.workflows import to_workflow

QUERIES: Final = load_queries(__package__, "leases.sql")


@dataclass(frozen=True)
class LeaseKey:
    """How a worker proves that it holds the lease."""

    organization_id: UUID
    workflow_id: UUID
    lease_token: UUID
    epoch: int


@dataclass(frozen=True)
class LeasedWorkflow:
    """A workflow and its live lease."""

    workflow: Workflow
    lease_token: UUID
    expire_time: datetime

    @property
    def key(self) -> LeaseKey:
        return LeaseKey(
            self.workflow.organization_id, self.workflow.workflow_id, self.lease_token, self.workflow.epoch
        )


async def claim_if_state(
    connection: Connection,
    organization_id: UUID,
    workflow_id: UUID,
    *,
    from_state: WorkflowState,
    to_state: WorkflowState,
    lease_token: UUID,
    lease_duration: timedelta,
    actor: str,
    reason: str,
    is_service: bool = False,
) -> LeasedWorkflow | None:
    """`is_service`: the lease is that of the service's own executor."""
    record = await connection.fetchrow(
        QUERIES["claim_if_state"],
        organization_id,
        workflow_id,
        from_state,
        to_state,
        lease_token,
        lease_duration,
        actor,
        reason,
        is_service,
    )
    return _leased(record)


async def queue_if_state(
    connection: Connection,
    organization_id: UUID,
    workflow_id: UUID,
    *,
    from_state: WorkflowState,
    to_state: WorkflowState,
    actor: str,
    reason: str,
) -> Workflow | None:
    record = await connection.fetchrow(
        QUERIES["queue_if_state"], organization_id, workflow_id, from_state, to_state, actor, reason
    )
    return None if record is None else to_workflow(record)


async def queue_if_expired(
    connection: Connection, organization_id: UUID, workflow_id: UUID, *, state: WorkflowState
) -> Workflow | None:
    record = await connection.fetchrow(QUERIES["queue_if_expired"], organization_id, workflow_id, state)
    return None if record is None else to_workflow(record)


async def lock_if_given_up(
    connection: Connection,
    organization_id: UUID,
    workflow_id: UUID,
    *,
    state: WorkflowState,
    takeovers_max: int,
) -> LeaseKey | None:
    """The expired lease, locked until the transaction ends."""
    record = await connection.fetchrow(
        QUERIES["lock_if_given_up"], organization_id, workflow_id, state, takeovers_max
    )
    return None if (leased := _leased(record)) is None else leased.key


async def take_over_if_expired(
    connection: Connection,
    organization_id: UUID,
    workflow_id: UUID,
    *,
    state: WorkflowState,
    lease_token: UUID,
    lease_duration: timedelta,
) -> LeasedWorkflow | None:
    record = await connection.fetchrow(
        QUERIES["take_over_if_expired"], organization_id, workflow_id, state, lease_token, lease_duration
    )
    return _leased(record)


async def renew_if_leased(
    connection: Connection, key: LeaseKey, lease_duration: timedelta
) -> LeasedWorkflow | None:
    return _leased(await connection.fetchrow(QUERIES["renew_if_leased"], *_values(key), lease_duration))


async def release_if_leased(connection: Connection, key: LeaseKey) -> Workflow | None:
    record = await connection.fetchrow(QUERIES["release_if_leased"], *_values(key))
    return None if record is None else to_workflow(record)


async def lock_if_leased(connection: Connection, key: LeaseKey) -> Workflow | None:
    """Locks the workflow's row until the transaction ends."""
    record = await connection.fetchrow(QUERIES["lock_if_leased"], *_values(key))
    return None if record is None else to_workflow(record)


async def is_or_was_leased(connection: Connection, key: LeaseKey) -> bool:
    return bool(await connection.fetchval(QUERIES["is_or_was_leased"], *_values(key)))


async def end_if_leased(
    connection: Connection,
    key: LeaseKey,
    *,
    from_state: WorkflowState,
    to_state: WorkflowState,
    actor: str,
    reason: str,
    error: LastError | None = None,
    icp: IcpResult | None = None,
) -> Workflow | None:
    record = await connection.fetchrow(
        QUERIES["end_if_leased"],
        *_values(key),
        from_state,
        to_state,
        actor,
        reason,
        error and error.error_class,
        error and error.reason,
        error and error.message,
        icp and icp.model_dump(mode="json"),
    )
    return None if record is None else to_workflow(record)


async def get_ending(connection: Connection, key: LeaseKey) -> WorkflowState | None:
    """The state in which this lease ended, if its holder or a cancellation ended it."""
    state = await connection.fetchval(QUERIES["get_ending"], *_values(key))
    return None if state is None else WorkflowState(state)


def _values(key: LeaseKey) -> tuple[UUID, UUID, UUID, int]:
    return key.organization_id, key.workflow_id, key.lease_token, key.epoch


def _leased(record: asyncpg.Record | None) -> LeasedWorkflow | None:
    if record is None:
        return None
    return LeasedWorkflow(to_workflow(record), record["lease_token"], record["lease_expire_time"])
