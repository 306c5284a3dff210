"""What the service has to do with workflows by itself: the columns `due_time`, `run_…` and their like.

A workflow with a `due_time` in the past is work for any instance. There is no other queue.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

import asyncpg

from service_chassis.postgres.database import Connection
from service_chassis.postgres.queries import load_queries
from workflow_service.domain.driving import DueWorkflow, OnBudgetExceeded, Run
from workflow_service.domain.workflow import Workflow, WorkflowKey
from workflow_service.store.leases import LeasedWorkflow
from workflow_service.store.workflows import to_workflow

QUERIES: Final = load_queries(__package__, "due.sql")


@dataclass(frozen=True, slots=True)
class Picked:
    """Due workflows, the organizations' oldest first, and how many organizations were looked at."""

    workflows: list[WorkflowKey]
    organizations: list[UUID]


async def pick_due(
    connection: Connection,
    *,
    after_organization_id: UUID,
    organizations_max: int,
    of_each_max: int,
    except_of: Collection[UUID],
) -> Picked:
    """Organizations are looked at in the order of their ids, those `except_of` without their workflows."""
    records = await connection.fetch(
        QUERIES["pick_due"], after_organization_id, organizations_max, of_each_max, list(except_of)
    )
    return Picked(
        [WorkflowKey(each["organization_id"], each["id"]) for each in records if each["id"] is not None],
        sorted({each["organization_id"] for each in records}),
    )


async def lock_if_due(connection: Connection, key: WorkflowKey) -> DueWorkflow | None:
    return _due(await connection.fetchrow(QUERIES["lock_if_due"], key.organization_id, key.workflow_id))


async def get_due(connection: Connection, key: WorkflowKey) -> DueWorkflow | None:
    """The workflow that the transaction has locked; None if the service has nothing more to do with it."""
    return _due(await connection.fetchrow(QUERIES["get_due"], key.organization_id, key.workflow_id))


async def lock_workflow(connection: Connection, key: WorkflowKey) -> Workflow | None:
    record = await connection.fetchrow(QUERIES["lock_workflow"], key.organization_id, key.workflow_id)
    return None if record is None else to_workflow(record)


async def lease_due(
    connection: Connection, key: WorkflowKey, *, lease_token: UUID, lease_duration: timedelta
) -> LeasedWorkflow:
    """The workflow is locked, and its step is PROCESSING without a live lease."""
    record = await connection.fetchrow(
        QUERIES["lease_due"], key.organization_id, key.workflow_id, lease_token, lease_duration
    )
    assert record is not None
    return LeasedWorkflow(to_workflow(record), record["lease_token"], record["lease_expire_time"])


async def set_due_after(connection: Connection, key: WorkflowKey, delay: timedelta) -> None:
    await connection.execute(QUERIES["set_due_after"], key.organization_id, key.workflow_id, delay)


async def set_retry_after(
    connection: Connection, key: WorkflowKey, delay: timedelta, *, attempts_max: int
) -> None:
    await connection.execute(
        QUERIES["set_retry_after"], key.organization_id, key.workflow_id, delay, attempts_max
    )


async def begin_run(
    connection: Connection, key: WorkflowKey, *, actor: str, on_budget_exceeded: OnBudgetExceeded
) -> Workflow | None:
    record = await connection.fetchrow(
        QUERIES["begin_run"], key.organization_id, key.workflow_id, actor, on_budget_exceeded
    )
    return None if record is None else to_workflow(record)


async def end_run(connection: Connection, key: WorkflowKey) -> Workflow:
    record = await connection.fetchrow(QUERIES["end_run"], key.organization_id, key.workflow_id)
    assert record is not None
    return to_workflow(record)


def _due(record: asyncpg.Record | None) -> DueWorkflow | None:
    if record is None:
        return None
    run = None
    if record["run_time"] is not None:
        run = Run(record["run_actor"], OnBudgetExceeded(record["run_on_budget_exceeded"]))
    return DueWorkflow(
        workflow=to_workflow(record),
        run=run,
        lease_token=record["lease_token"],
        has_live_lease=record["has_live_lease"],
        takeovers=record["takeovers"],
        failed_attempts=record["failed_attempts"],
        is_retry_due=record["due_time"] > record["state_time"],
    )
